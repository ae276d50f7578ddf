"""The outbox of ratings made here: each is sent to TMDb until TMDb has it or refuses it for good."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from html import escape
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from telebot.apihelper import ApiException

from config.bot.client import TelegramUnavailable
from config.bot.replies import is_unreachable
from config.bot.router import bot
from config.jobs.enqueue import StopEvent
from config.jobs.locks import is_locked, lock
from config.jobs.time_limit import seconds_left, time_limit
from config.moments import ahead, doubled
from config.monitoring.secret import Secret
from movies import details
from movies.cards import display_title
from movies.request_pool import CircuitBreaker, Probe, Request, RequestPool
from movies.tmdb import BadRequest, KeyRefused, NotFound, SessionRefused, TMDb, TMDbError, Unavailable
from ratings.models import HALF_POINTS, FileChange, FileImport, PendingWrite, Rating, Source, normalize
from ratings.tmdb_sync.engine import LEASE
from users.models import SessionUnreadable, SyncStatus, User

if TYPE_CHECKING:
    from django.db.models.query import QuerySet

log = logging.getLogger(__name__)

THREADS = 12  # of the 20 connections that TMDb takes from one address; a file that is being read takes eight
THREADS_BESIDE_IMPORT = 4  # whose pages and details take 16
TURN_SECONDS = 10  # for one user, while others wait
FIRST_DELAY_SECONDS = 30  # before the second attempt; then twice as long
MAX_DELAY_SECONDS = 6 * 3600
MSG_RATING_REFUSED = gettext_noop("TMDb does not take your rating of “%(title)s”. It stays here.")
MSG_SESSION_REFUSED = gettext_noop(
    "TMDb no longer lets me write your ratings. They stay here; please link your account again: /connect"
)
MSG_SESSION_UNREADABLE = gettext_noop(
    "I cannot use your TMDb account just now. That is a fault on our side, and we know about it. Your ratings are safe "
    "and will reach TMDb once it is fixed. If you would rather not wait, link your account again: /connect"
)
MSG_DELETION_REFUSED = gettext_noop("TMDb does not let me remove your rating of “%(title)s” there. Here it is gone.")


@dataclass(eq=False, kw_only=True)
class WriteRequest(Request):
    write: PendingWrite


def write_pending(
    user_id: int | None, seconds: float, stop: StopEvent, watch: Callable[[PendingWrite], None] = lambda write: None
) -> int:
    """Send pending ratings to TMDb, of one user or of all, for so many seconds at most; returns how many it has taken.

    Whatever is left when `stop` is set or the time is over waits for the next run. A user's ratings are sent by one
    worker at a time, and none while an import reads them: it would take an older value for TMDb's newest. Users take
    turns. `watch(write)` is called after each.
    """
    deadline = time.monotonic() + seconds
    waiting = due() if user_id is None else due().filter(user_id=user_id)
    owners = deque(waiting.values_list("user_id", flat=True).order_by("user_id").distinct())
    breaker = CircuitBreaker()
    written = 0
    while owners and not stop.is_set() and not breaker.is_open and (now := time.monotonic()) <= deadline:
        owner_id = owners.popleft()
        with lock(f"ratings.write.{owner_id}") as free:
            if not free:
                continue
            outbox = UserOutbox(owner_id, breaker, watch)
            outbox.send(min(deadline, now + TURN_SECONDS) if owners else deadline, stop)
            written += outbox.written
            if isinstance(outbox.error, SessionRefused):
                disconnect_user(owner_id, outbox.error, MSG_SESSION_REFUSED)
            elif isinstance(outbox.error, SessionUnreadable):
                disconnect_user(owner_id, outbox.error, MSG_SESSION_UNREADABLE)
            elif due().filter(user_id=owner_id).exists():
                owners.append(owner_id)
    if breaker.is_open:
        log.warning("ratings wait for TMDb, which does not take them")
    return written


class UserOutbox:
    """Sends the pending ratings of one user, several films at once; a film's ratings one after another.

    Threads do HTTP; the caller's claims what is sent and writes what came of it. The first is sent alone, and each
    that is taken makes room for one more, so that little is in vain while TMDb is away.
    """

    def __init__(self, user_id: int, breaker: CircuitBreaker, watch: Callable[[PendingWrite], None]) -> None:
        self.user_id, self.breaker, self.watch = user_id, breaker, watch
        beside_import = is_locked(LEASE) or is_locked(details.LEASE)
        self.threads = min(THREADS_BESIDE_IMPORT if beside_import else THREADS, self._due().count())
        self.pool: RequestPool[WriteRequest] = RequestPool("outbox", self.threads)
        self.width = 1  # requests at a time
        self.written = 0
        self.error: SessionRefused | SessionUnreadable | None = None

    def send(self, deadline: float, stop: StopEvent) -> None:
        """Send until nothing is due; SessionRefused and SessionUnreadable end it and stay in `error`."""
        self.pool.start()
        try:
            while True:
                if not (self.error or self.breaker.is_open or stop.is_set() or time.monotonic() > deadline):
                    self._submit()
                if not self.pool.in_progress:
                    break
                if received := self.pool.receive(timeout=0.5):
                    self._take(*received)
        finally:
            self.pool.stop()

    def _due(self) -> QuerySet[PendingWrite]:
        return due().filter(user_id=self.user_id)

    def _submit(self) -> None:
        busy = [request.write.movie_id for request in self.pool.in_progress if isinstance(request, WriteRequest)]
        left = min(self.width, self.threads) - len(busy)
        if left <= 0:
            return
        ready = self._due().exclude(movie_id__in=busy).select_related("user", "movie").order_by("next_try_at", "pk")
        for write in ready[:left]:
            try:
                session = write.user.session_id
            except SessionUnreadable as error:
                self.error = error
                return
            if claim(write):
                call = partial(attempt, write, session, is_from_file(write), seconds_left())
                self.pool.send(WriteRequest(call, write=write))

    def _take(self, request: WriteRequest | Probe, answer: object) -> None:
        assert isinstance(request, WriteRequest)  # a probe is never sent
        write = request.write
        if isinstance(answer, Unavailable):
            self.breaker.record_failure()
            if isinstance(answer, KeyRefused):
                self.breaker.open()
        else:
            self.breaker.record_success()
        if isinstance(answer, (NotFound, BadRequest)):
            give_up(write, answer)
        elif isinstance(answer, TMDbError):
            log.warning("a rating waits for TMDb: %s", answer)
            PendingWrite.objects.filter(pk=write.pk).update(error=str(answer)[:500])
            if isinstance(answer, SessionRefused):
                self.error = answer
        elif isinstance(answer, Decimal):
            accept_tmdb_value(write, answer)
        else:
            mark_written(write)
            self.written += 1
            self.width += 1
        self.watch(write)


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
def accept_tmdb_value(write: PendingWrite, there: Decimal) -> None:
    """Take a rating made at TMDb meanwhile, by the rule of the merge, and count it in the report of the file."""
    User.objects.select_for_update().filter(pk=write.user_id).first()
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


def disconnect_user(user_id: int, error: SessionRefused | SessionUnreadable, message: str) -> None:
    """The session cannot be used: notify the user once; pending ratings wait for the next session."""
    log.warning("ratings of %s: %s", user_id, error)
    connected = User.objects.filter(pk=user_id).exclude(sync_status__in=[SyncStatus.FAILED, SyncStatus.QUEUED])
    if connected.update(sync_status=SyncStatus.FAILED, sync_error=str(error)[:500]):
        notify(User.objects.get(pk=user_id), message)


def notify(user: User, message: str, **values: str) -> None:
    """Send `message`, a msgid, in the user's language, unless they have blocked the bot or are banned."""
    if user.blocked_at or user.banned_at:
        return
    with translation.override(user.language):
        text = _(message) % values
    try:
        bot.send_message(user.pk, text)
    except (ApiException, TelegramUnavailable) as error:
        log.warning("user %s could not be notified: %s", user.pk, error)
        if is_unreachable(error):
            User.objects.filter(pk=user.pk).update(blocked_at=int(time.time()))
