"""The outbox of watchlists: each change made here is sent to TMDb until TMDb has it or refuses it for good.

An addition is idempotent at TMDb, a removal too, so that one whose answer was lost is simply sent again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q

from config.jobs.enqueue import StopEvent
from config.jobs.time_limit import seconds_left, time_limit
from config.moments import ahead, doubled
from movies.tmdb import BadRequest, NotFound, TMDb, TMDbError
from ratings.models import PendingWrite, Rating
from ratings.tmdb_sync.sending import FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS, UserOutbox, send_in_turns
from ratings.watchlist.models import WatchlistEntry, WatchlistWrite
from users.models import SyncStatus, User

if TYPE_CHECKING:
    from django.db.models.query import QuerySet

    from config.monitoring.secret import Secret

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 5  # at a removal that TMDb refuses: it may have stumbled, and would bring the film back


def due() -> QuerySet[WatchlistWrite]:
    """What is to be sent now; a removal only to the account that holds the movie.

    A rating of the same movie goes first: TMDb takes a movie that is rated off the watchlist.
    """
    waiting = ahead("next_try_at", doubled(FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS))
    rating = PendingWrite.objects.filter(user_id=OuterRef("user_id"), movie_id=OuterRef("movie_id"))
    ready = WatchlistWrite.objects.exclude(waiting).filter(
        Q(wanted=True) | Q(tmdb_account_id=F("user__tmdb_account_id")),
        ~Exists(rating),
        refused=False,
        user__writes_ratings=True,
        user__tmdb_session_id__gt="",
        user__tmdb_account_id__isnull=False,
    )
    return ready.exclude(user__sync_status=SyncStatus.QUEUED)  # an import would take an older list for the newest


def write_pending(user_id: int | None, seconds: float, stop: StopEvent) -> int:
    """Send pending changes, of one user or of all, for so many seconds at most; returns how many TMDb has taken."""
    waiting = due() if user_id is None else due().filter(user_id=user_id)
    return send_in_turns(WatchlistOutbox, waiting, "watchlist.write", seconds, stop)


class WatchlistOutbox(UserOutbox):
    """Sends the pending changes of one user's list."""

    def due(self) -> QuerySet[WatchlistWrite]:
        return due()

    def begin(self, write: WatchlistWrite, session: Secret) -> Callable[[TMDb], object] | None:
        if not claim(write):
            return None
        rated_here = Rating.objects.filter(user_id=write.user_id, movie_id=write.movie_id).exists()
        # what they have rated here they want to see again
        return partial(attempt, write, session, write.wanted and not rated_here, seconds_left())

    def end(self, write: WatchlistWrite, answer: object) -> bool:
        same = WatchlistWrite.objects.filter(pk=write.pk)
        if isinstance(answer, (NotFound, BadRequest)):
            give_up(write, answer)
        elif isinstance(answer, TMDbError):
            log.warning("a watchlist waits for TMDb: %s", answer)
            same.update(error=str(answer)[:500])
        elif answer:
            mark_written(write, write.user.tmdb_account_id)
            return True
        else:
            same.filter(wanted=True).delete()  # the next import brings the rating, and takes the movie off the list
        return False


def claim(write: WatchlistWrite) -> bool:
    """Count the attempt and set the time of the next before it is made, so that a killed attempt is not lost."""
    delay = min(FIRST_DELAY_SECONDS * 2**write.attempts, MAX_DELAY_SECONDS)
    same = WatchlistWrite.objects.filter(
        pk=write.pk, wanted=write.wanted, attempts=write.attempts, next_try_at=write.next_try_at
    )
    return bool(same.update(attempts=F("attempts") + 1, next_try_at=int(time.time()) + delay))


def attempt(write: WatchlistWrite, session: Secret, check: bool, seconds: float, _tmdb: TMDb) -> bool:
    """Send one change; runs in a thread. Raises TMDbError.

    Where it is to `check` first and the user has rated the movie at TMDb since the last import, nothing is sent, and
    False returned: such a movie is not put back on the list.
    """
    account_id = write.user.tmdb_account_id
    assert account_id is not None  # due() has seen to it
    tmdb = TMDb()  # which tries again by itself
    with time_limit(seconds):
        if check and tmdb.own_rating(write.movie_id, session) is not None:
            return False
        tmdb.set_on_watchlist(account_id, write.movie_id, write.wanted, session)
    return True


@transaction.atomic
def mark_written(write: WatchlistWrite, account_id: int | None) -> None:
    """Save that TMDb has the change: it is the base of the next merge.

    What was changed here meanwhile stays pending. Where an import has begun, it may have read the older list, so this
    write stays too and is repeated after the import.
    """
    user = User.objects.lock(write.user_id)
    if user is None or user.sync_status == SyncStatus.QUEUED or user.tmdb_account_id != account_id:
        return
    entry = WatchlistEntry.objects.filter(user=user, movie_id=write.movie_id)
    entry.update(tmdb_account_id=account_id if write.wanted else None)
    WatchlistWrite.objects.filter(pk=write.pk, wanted=write.wanted).delete()


def give_up(write: WatchlistWrite, error: TMDbError) -> None:
    """TMDb will never take it: the change stands here alone.

    A removal is tried some times more; its row stays, by which the next import knows that the movie is off the list.
    """
    same = WatchlistWrite.objects.filter(pk=write.pk, wanted=write.wanted)
    is_final = write.wanted or write.attempts + 1 >= MAX_ATTEMPTS  # `write` is as before this attempt
    if same.update(refused=is_final, error=str(error)[:500]) and is_final:
        log.warning("watchlist, film %s: TMDb refuses it for good: %s", write.movie_id, error)
