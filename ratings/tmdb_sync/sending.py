"""Sending to TMDb what was changed here: ratings and watchlists, each from an outbox of its own.

A user's changes are sent by one worker at a time, several films at once, and users take turns. Whatever is left when
the time is over waits for the next run.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from telebot.apihelper import ApiException

from config.bot.client import TelegramUnavailable
from config.bot.replies import is_unreachable
from config.bot.router import bot
from config.jobs.enqueue import StopEvent
from config.jobs.locks import is_locked, lock
from config.monitoring.secret import Secret
from movies import details
from movies.request_pool import CircuitBreaker, Probe, Request, RequestPool
from movies.tmdb import KeyRefused, SessionRefused, TMDb, Unavailable
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
MSG_SESSION_REFUSED = gettext_noop(
    "TMDb no longer lets me write your ratings. They stay here; please link your account again: /connect"
)
MSG_SESSION_UNREADABLE = gettext_noop(
    "I cannot use your TMDb account right now. That is a fault on our side, and we know about it. Your ratings are "
    "safe and will reach TMDb once it is fixed. If you would rather not wait, link your account again: /connect"
)


@dataclass(eq=False, kw_only=True)
class WriteRequest(Request):
    write: Any  # a row of an outbox


class UserOutbox:
    """Sends the pending changes of one user, several films at once; a film's changes one after another.

    Threads do HTTP; the caller's claims what is sent and writes what came of it. The first is sent alone, and each
    that is taken makes room for one more, so that little is in vain while TMDb is away.
    """

    def __init__(self, user_id: int, breaker: CircuitBreaker) -> None:
        self.user_id, self.breaker = user_id, breaker
        beside_import = is_locked(LEASE) or is_locked(details.LEASE)
        self.threads = min(THREADS_BESIDE_IMPORT if beside_import else THREADS, self.mine().count())
        self.pool: RequestPool[WriteRequest] = RequestPool("outbox", self.threads)
        self.width = 1  # requests at a time
        self.written = 0
        self.error: SessionRefused | SessionUnreadable | None = None

    def due(self) -> QuerySet[Any]:
        """What is to be sent now, of all users."""
        raise NotImplementedError

    def begin(self, write: Any, session: Secret) -> Callable[[TMDb], object] | None:
        """Claim a change: what a thread is to do for it, or None where another worker has it."""
        raise NotImplementedError

    def end(self, write: Any, answer: object) -> bool:
        """Write down what came of it, a TMDbError among the answers; returns whether TMDb has taken it."""
        raise NotImplementedError

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

    def mine(self) -> QuerySet[Any]:
        return self.due().filter(user_id=self.user_id)

    def _submit(self) -> None:
        busy = [request.write.movie_id for request in self.pool.in_progress if isinstance(request, WriteRequest)]
        left = min(self.width, self.threads) - len(busy)
        if left <= 0:
            return
        ready = self.mine().exclude(movie_id__in=busy).select_related("user", "movie").order_by("next_try_at", "pk")
        for write in ready[:left]:
            try:
                session = write.user.session_id
            except SessionUnreadable as error:
                self.error = error
                return
            if call := self.begin(write, session):
                self.pool.send(WriteRequest(call, write=write))

    def _take(self, request: WriteRequest | Probe, answer: object) -> None:
        assert isinstance(request, WriteRequest)  # a probe is never sent
        if isinstance(answer, Unavailable):
            self.breaker.record_failure()
            if isinstance(answer, KeyRefused):
                self.breaker.open()
        else:
            self.breaker.record_success()
        if isinstance(answer, SessionRefused):
            self.error = answer
        if self.end(request.write, answer):
            self.written += 1
            self.width += 1


def send_in_turns(
    outbox_of: Callable[[int, CircuitBreaker], UserOutbox],
    due: QuerySet[Any],
    lease: str,
    seconds: float,
    stop: StopEvent,
) -> int:
    """Send what is `due` for so many seconds at most; returns how many changes TMDb has taken.

    `lease`: with the user's id, the name of the lock under which one worker sends their changes.
    """
    deadline = time.monotonic() + seconds
    owners = deque(due.values_list("user_id", flat=True).order_by("user_id").distinct())
    breaker = CircuitBreaker()
    written = 0
    while owners and not stop.is_set() and not breaker.is_open and (now := time.monotonic()) <= deadline:
        owner_id = owners.popleft()
        with lock(f"{lease}.{owner_id}") as free:
            if not free:
                continue
            outbox = outbox_of(owner_id, breaker)
            outbox.send(min(deadline, now + TURN_SECONDS) if owners else deadline, stop)
            written += outbox.written
            if isinstance(outbox.error, SessionRefused):
                disconnect_user(owner_id, outbox.error, MSG_SESSION_REFUSED)
            elif isinstance(outbox.error, SessionUnreadable):
                disconnect_user(owner_id, outbox.error, MSG_SESSION_UNREADABLE)
            elif outbox.mine().exists():
                owners.append(owner_id)
    if breaker.is_open:
        log.warning("changes wait for TMDb, which does not take them")
    return written


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
