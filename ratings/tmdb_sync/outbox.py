"""The outbox of ratings made here: each is sent to TMDb until TMDb has it or refuses it for good."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from html import escape
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext_noop

from config.jobs.enqueue import StopEvent
from config.jobs.time_limit import seconds_left, time_limit
from config.moments import ahead, doubled
from config.monitoring.secret import Secret
from movies.cards import display_title
from movies.tmdb import BadRequest, NotFound, TMDb, TMDbError
from ratings.models import HALF_POINTS, FileChange, FileImport, PendingWrite, Rating, Source, normalize
from ratings.tmdb_sync.sending import FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS, UserOutbox, notify, send_in_turns
from users.models import SyncStatus, User

if TYPE_CHECKING:
    from django.db.models.query import QuerySet

    from movies.request_pool import CircuitBreaker

log = logging.getLogger(__name__)

MSG_RATING_REFUSED = gettext_noop("TMDb does not take your rating of “%(title)s”. It stays here.")
MSG_DELETION_REFUSED = gettext_noop("TMDb does not let me remove your rating of “%(title)s” there. Here it is gone.")


def write_pending(
    user_id: int | None, seconds: float, stop: StopEvent, watch: Callable[[PendingWrite], None] = lambda write: None
) -> int:
    """Send pending ratings to TMDb, of one user or of all, for so many seconds at most; returns how many it has taken.

    No user's while an import reads them: it would take an older value for TMDb's newest. `watch(write)` is called
    after each.
    """
    waiting = due() if user_id is None else due().filter(user_id=user_id)
    return send_in_turns(partial(RatingOutbox, watch), waiting, "ratings.write", seconds, stop)


class RatingOutbox(UserOutbox):
    """Sends the pending ratings of one user."""

    def __init__(self, watch: Callable[[PendingWrite], None], user_id: int, breaker: CircuitBreaker) -> None:
        super().__init__(user_id, breaker)
        self.watch = watch

    def due(self) -> QuerySet[PendingWrite]:
        return due()

    def begin(self, write: PendingWrite, session: Secret) -> Callable[[TMDb], object] | None:
        return partial(attempt, write, session, is_from_file(write), seconds_left()) if claim(write) else None

    def end(self, write: PendingWrite, answer: object) -> bool:
        is_taken = False
        if isinstance(answer, (NotFound, BadRequest)):
            give_up(write, answer)
        elif isinstance(answer, TMDbError):
            log.warning("a rating waits for TMDb: %s", answer)
            PendingWrite.objects.filter(pk=write.pk).update(error=str(answer)[:500])
        elif isinstance(answer, Decimal):
            accept_rating_there(write, answer)
        else:
            mark_written(write)
            is_taken = True
        self.watch(write)
        return is_taken


def due() -> QuerySet[PendingWrite]:
    """What is to be sent now."""
    waiting = ahead("next_try_at", doubled(FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS))
    ready = PendingWrite.objects.exclude(waiting).filter(user__writes_ratings=True)
    return ready.filter(user__tmdb_session_id__gt="").exclude(user__sync_status=SyncStatus.QUEUED)


def claim(write: PendingWrite) -> bool:
    """Count the attempt and set the time of the next before it is made, so that a killed attempt is not lost."""
    delay = min(FIRST_DELAY_SECONDS * 2**write.attempts, MAX_DELAY_SECONDS)
    same = PendingWrite.objects.filter(pk=write.pk, attempts=write.attempts, next_try_at=write.next_try_at)
    return bool(same.update(attempts=F("attempts") + 1, next_try_at=int(time.time()) + delay))


def attempt(write: PendingWrite, session: Secret, check: bool, seconds: float, _tmdb: TMDb) -> Decimal | None:
    """Send one rating to TMDb, or delete it there; runs in a thread. Raises TMDbError.

    Where it is to `check` first and TMDb has got another rating meanwhile, that one is returned, and nothing is sent.
    """
    tmdb = TMDb()  # which tries again by itself
    with time_limit(seconds):
        if check and (there := overtaken_by(tmdb.own_rating(write.movie_id, session), write)):
            return there
        if write.rating is None:
            tmdb.unrate(write.movie_id, session)
        else:
            tmdb.rate(write.movie_id, write.rating, session)
    return None


def is_from_file(write: PendingWrite) -> bool:
    """Whether a file set the rating: the user has not looked at each of its films, and may have rated some at TMDb."""
    same = FileChange.objects.filter(file__user_id=write.user_id, movie_id=write.movie_id)
    return write.rating is not None and same.filter(after=write.rating).exists()


def overtaken_by(there: Decimal | None, write: PendingWrite) -> Decimal | None:
    """TMDb's value, where it is a rating that was made there since the write was queued."""
    return there if there in HALF_POINTS and there not in (write.base, write.rating) else None


@transaction.atomic
def accept_rating_there(write: PendingWrite, there: Decimal) -> None:
    """Take a rating made at TMDb meanwhile, by the rule of the merge, and count it in the report of the file."""
    User.objects.lock(write.user_id)
    if not PendingWrite.objects.filter(pk=write.pk, rating=write.rating).delete()[0]:
        return
    values = {"tmdb_rating": there, "manual_rating": None, "normalized_rating": normalize(there)}
    mine = Rating.objects.filter(user_id=write.user_id, movie_id=write.movie_id)
    mine.update(**values, source=Source.TMDB, rated_at=int(time.time()))
    for file in FileImport.objects.select_for_update().filter(user_id=write.user_id, changes__movie_id=write.movie_id):
        file.count("overtaken")
        file.save(update_fields=["outcome"])


@transaction.atomic
def mark_written(write: PendingWrite) -> None:
    """Save that TMDb holds the value: it is the base of the next merge, and the pending write is done.

    A rating given meanwhile stays pending. Where an import has begun, it may have read the old value, so this write
    stays too and is repeated after the import.
    """
    user = User.objects.lock(write.user_id)
    if user is None or user.sync_status == SyncStatus.QUEUED:
        return
    Rating.objects.filter(user=write.user, movie=write.movie).update(tmdb_rating=write.rating)
    waiting = PendingWrite.objects.filter(pk=write.pk)
    if not waiting.filter(rating=write.rating).delete()[0]:
        waiting.update(base=write.rating)


def give_up(write: PendingWrite, error: TMDbError) -> None:
    """TMDb will never take it: notify the user once, and leave the rating as it is here."""
    log.warning("rating of film %s: TMDb refuses it for good: %s", write.movie_id, error)
    if PendingWrite.objects.filter(pk=write.pk, rating=write.rating).delete()[0]:
        notify(
            write.user,
            MSG_DELETION_REFUSED if write.rating is None else MSG_RATING_REFUSED,
            title=escape(display_title(write.movie, 100)),
        )
