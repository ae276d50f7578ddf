"""The outbox of watchlists: each change made here is sent to TMDb until TMDb has it or refuses it for good.

An addition is idempotent at TMDb, a removal too, so that one whose answer was lost is simply sent again.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q

from config.jobs.enqueue import StopEvent
from config.jobs.locks import lock
from config.moments import ahead, doubled
from movies.tmdb import BadRequest, NotFound, SessionRefused, TMDb, TMDbError, Unavailable
from ratings.models import PendingWrite, Rating
from ratings.tmdb_sync.outbox import MSG_SESSION_REFUSED, MSG_SESSION_UNREADABLE, disconnect_user
from ratings.watchlist.models import WatchlistEntry, WatchlistWrite
from users.models import SessionUnreadable, SyncStatus, User

if TYPE_CHECKING:
    from django.db.models.query import QuerySet

    from config.monitoring.secret import Secret

log = logging.getLogger(__name__)

FIRST_DELAY_SECONDS = 30  # before the second attempt; then twice as long
MAX_DELAY_SECONDS = 6 * 3600


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
    """Send pending changes, of one user or of all, for so many seconds at most; returns how many TMDb has taken.

    A user's changes are sent by one worker at a time. Whatever is left waits for the next run.
    """
    deadline = time.monotonic() + seconds
    waiting = due() if user_id is None else due().filter(user_id=user_id)
    written = 0
    for owner_id in list(waiting.values_list("user_id", flat=True).order_by("user_id").distinct()):
        if stop.is_set() or time.monotonic() > deadline:
            break
        with lock(f"watchlist.write.{owner_id}") as free:
            if not free:
                continue
            try:
                written += write_all_of(owner_id, deadline, stop)
            except SessionRefused as error:
                disconnect_user(owner_id, error, MSG_SESSION_REFUSED)
            except SessionUnreadable as error:
                disconnect_user(owner_id, error, MSG_SESSION_UNREADABLE)
            except Unavailable as error:
                log.warning("watchlists wait for TMDb: %s", error)
                break  # the next tick; the row that failed waits longer
    return written


def write_all_of(user_id: int, deadline: float, stop: StopEvent) -> int:
    mine = due().filter(user_id=user_id).select_related("user").order_by("next_try_at", "pk")
    written = 0
    while not stop.is_set() and time.monotonic() <= deadline and (write := mine.first()):
        if claim(write):
            written += attempt(write)
    return written


def claim(write: WatchlistWrite) -> bool:
    """Count the attempt and set the time of the next before it is made, so that a killed attempt is not lost."""
    delay = min(FIRST_DELAY_SECONDS * 2**write.attempts, MAX_DELAY_SECONDS)
    same = WatchlistWrite.objects.filter(
        pk=write.pk, wanted=write.wanted, attempts=write.attempts, next_try_at=write.next_try_at
    )
    return bool(same.update(attempts=F("attempts") + 1, next_try_at=int(time.time()) + delay))


def attempt(write: WatchlistWrite) -> bool:
    """Send one change. Raises SessionRefused, SessionUnreadable, Unavailable."""
    user = write.user
    assert user.tmdb_account_id is not None  # due() has seen to it
    try:
        session = user.session_id
        if write.wanted and is_rated_there_only(write, session):
            WatchlistWrite.objects.filter(pk=write.pk, wanted=True).delete()
            return False  # the next import brings the rating, and takes the movie off the list
        TMDb().set_on_watchlist(user.tmdb_account_id, write.movie_id, write.wanted, session)
    except (NotFound, BadRequest) as error:
        give_up(write, error)
        return False
    except TMDbError as error:
        WatchlistWrite.objects.filter(pk=write.pk).update(error=str(error)[:500])
        raise
    mark_written(write, user.tmdb_account_id)
    return True


def is_rated_there_only(write: WatchlistWrite, session: Secret) -> bool:
    """Whether the user has rated the movie at TMDb since the last import: such a movie is not put back on the list."""
    if Rating.objects.filter(user_id=write.user_id, movie_id=write.movie_id).exists():
        return False  # they want to see it again
    return TMDb().own_rating(write.movie_id, session) is not None


@transaction.atomic
def mark_written(write: WatchlistWrite, account_id: int) -> None:
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
    """TMDb will never take it: an addition stays on the list here alone; a removal has nothing left to remove."""
    log.warning("watchlist, film %s: TMDb refuses it for good: %s", write.movie_id, error)
    same = WatchlistWrite.objects.filter(pk=write.pk, wanted=write.wanted)
    if write.wanted:
        same.update(refused=True, error=str(error)[:500])
    else:
        same.delete()
