"""Works off the queue of updates: in order within a chat, chats concurrently, on BOT_THREADS threads.

Each process that takes updates in (runbot, a web worker) or recovers them (a job) has one Engine. Its threads:

    updates-N   handle one claimed update at a time
    queue       writes how updates ended, claims what waits, makes dead processes' claims wait again
    claims      renews this process's claims and ends handlers after MAX_HANDLER_SECONDS; does nothing else

An update is claimed only when a thread is free for it, so that an attempt is counted only for what really begins.
What is in memory is only what is CLAIMED: a process that dies leaves it to the process that sees its claims expire.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections

from config.bot import drop_notice, update_queue
from config.bot.dispatch import handle_update, recycle_connections
from config.bot.update_queue import MAX_ATTEMPTS, MAX_HANDLER_SECONDS, Claim, RawUpdate, State
from config.jobs.enqueue import StopEvent
from config.monitoring import alerts, metrics

log = logging.getLogger(__name__)

RENEW_SECONDS = 5
LOOK_SECONDS = 5  # between two looks for what other processes left; with CLAIM_TTL_SECONDS, taken over within 25 s
RETRY_SECONDS = (0.1, 0.5, 1, 2, 4)  # while the database is away
FULL_SECONDS = 0.2  # for which a chat that was full when last looked at is taken to be full still
MAX_FULL_CHATS = 1000
RECOVERY_THREADS = 8
RECOVERY_CLAIMS_SECONDS = 100  # after which a job begins nothing more; with MAX_HANDLER_SECONDS it ends within 240
RECOVERED_AFTER_SECONDS = 20  # of waiting, which a living process would have ended


class Taken(NamedTuple):
    """What became of updates that came in: stored to be handled, dropped, or neither: known."""

    stored: int
    dropped: int


class Engine:
    """The threads of one process. `handle` gets a raw update and must end; what it raises is logged."""

    def __init__(self, handle: Callable[[RawUpdate], None], threads: int, min_age_seconds: float = 0) -> None:
        self.handle, self.min_age_seconds = handle, min_age_seconds
        lock = threading.Lock()
        self.work, self.look, self.progress = (threading.Condition(lock) for _ in range(3))
        self.free = threads
        self.ready: deque[Claim] = deque()  # claimed, not begun
        self.running: dict[int, Claim] = {}  # by primary key: claimed, its end not yet written
        self.ended: list[Claim] = []
        self.to_look = True
        self.idle = False  # the last look found nothing to claim, and nothing runs
        self.closing = self.closed = False
        self.full_until: dict[str, float] = {}  # chat: time.monotonic()
        self.threads: list[threading.Thread] = []
        self.workers = 0
        for _ in range(threads):
            self._start_worker()
        self._start(self._run_queue, "queue")
        self._start(self._run_claims, "claims")

    def store(self, updates: Sequence[tuple[RawUpdate, str]]) -> Taken:
        """Store updates, each with its JSON, and have them handled. Raises DatabaseError where they must come again."""
        now, stored = time.monotonic(), 0
        dropped = [update for update, _body in updates if self._is_full(update, now)]
        if dropped:
            updates = [pair for pair in updates if not self._is_full(pair[0], now)]
        if updates:
            stored, refused = self._store(updates)
            dropped += refused
        for update in dropped:
            metrics.increment("updates.dropped")
            drop_notice.give(update)
        return Taken(stored, len(dropped))

    def _is_full(self, update: RawUpdate, now: float) -> bool:
        return bool(self.full_until) and self.full_until.get(update_queue.chat_of(update), 0) > now

    def _store(self, updates: Sequence[tuple[RawUpdate, str]]) -> tuple[int, list[RawUpdate]]:
        with self.work:
            reserved = 0 if self.closing else min(self.free, len(updates))
            self.free -= reserved
        claimed: list[Claim] = []
        try:
            claimed, waiting, dropped = update_queue.store(updates, reserved)
        finally:
            with self.work:
                self.free += reserved - len(claimed)
                self._begin(claimed)
        if waiting:
            self._look_soon()
        if dropped:
            if len(self.full_until) > MAX_FULL_CHATS:
                self.full_until.clear()
            until = time.monotonic() + FULL_SECONDS
            self.full_until.update((update_queue.chat_of(update), until) for update in dropped)
        return len(claimed) + waiting, dropped

    def wait_while_running(self, seconds: float) -> None:
        """Wait, at most so long, while this process handles anything."""
        with self.progress:
            self.progress.wait_for(lambda: not self.running, seconds)

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until this process handles nothing and finds nothing to handle; returns whether it came to that."""
        with self.progress:
            return self.progress.wait_for(lambda: self.idle, seconds)

    def stop(self, seconds: float) -> int:
        """Begin nothing more, wait for what runs. Returns how many updates are left to other processes."""
        deadline = time.monotonic() + seconds
        with self.progress:
            self.closing = True
            self.progress.wait_for(lambda: not self.running, seconds)
            self.closed = True
            for condition in (self.work, self.look, self.progress):
                condition.notify_all()
            left = len(self.running)
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return left

    # --- updates-N

    def _start(self, run: Callable[[], None], name: str) -> None:
        def run_and_close() -> None:
            try:
                run()
            finally:
                connections.close_all()

        thread = threading.Thread(target=run_and_close, daemon=True, name=name)
        self.threads.append(thread)
        thread.start()

    def _start_worker(self) -> None:
        self.workers += 1
        self._start(self._run_worker, f"updates-{self.workers}")

    def _begin(self, claims: Sequence[Claim]) -> None:
        """Hand claims to the workers; the lock is held."""
        for one in claims:
            self.idle = False
            self.running[one.pk] = one
            self.ready.append(one)
            self.work.notify()

    def _run_worker(self) -> None:
        while True:
            with self.work:
                self.work.wait_for(lambda: self.closed or self.ready)
                if not self.ready:
                    return
                one = self.ready.popleft()
                one.began_at = time.monotonic()
            self._handle(one)
            with self.work:
                if one.end == State.TIMED_OUT:
                    return  # another thread has taken this one's place
                self.ended.append(one)
                self.look.notify()

    def _handle(self, one: Claim) -> None:
        try:
            update = one.parsed()
            if one.attempts > MAX_ATTEMPTS:
                log.error("update %s has ended its process %s times: given up", update["update_id"], MAX_ATTEMPTS)
                one.end = State.GIVEN_UP
            else:
                self.handle(update)
        except Exception:
            log.exception("an update cannot be handled")

    # --- queue

    def _look_soon(self) -> None:
        with self.look:
            self.to_look = True
            self.look.notify()

    def _run_queue(self) -> None:
        look_at = 0.0
        while not self.closed:
            if time.monotonic() >= look_at:
                self._patiently(update_queue.release_expired)
                look_at, self.to_look = time.monotonic() + LOOK_SECONDS, True
            with self.look:
                self.look.wait_for(
                    lambda: self.closed or self.ended or self.to_look, max(0.0, look_at - time.monotonic())
                )
                ended, self.ended = self.ended, []
                to_look, self.to_look = self.to_look, False
            if ended:
                to_look |= self._finish(ended)
            if to_look:
                self._patiently(self._claim)
            recycle_connections()

    def _finish(self, claims: Sequence[Claim]) -> bool:
        """Write how updates ended; returns whether others may wait."""
        waiting: list[bool] = []
        self._patiently(lambda: waiting.append(update_queue.finish(claims)))
        self._free(claims)
        if not any(waiting):
            with self.progress:
                self.idle = not self.running
                self.progress.notify_all()
        return any(waiting)

    def _free(self, claims: Sequence[Claim]) -> None:
        with self.progress:
            for one in claims:
                if self.running.pop(one.pk, None):
                    self.free += 1
            self.progress.notify_all()

    def _claim(self) -> None:
        with self.look:
            reserved = 0 if self.closing else (self.free + 1) // 2  # the rest is for what comes in meanwhile
            self.free -= reserved
        claims: list[Claim] = []
        try:
            claims = update_queue.claim(reserved, self.min_age_seconds) if reserved else []
        finally:
            with self.look:
                self.free += reserved - len(claims)
                self._begin(claims)
                self.to_look = self.to_look or (bool(claims) and len(claims) == reserved)
                self.idle = not self.running and not claims
                self.progress.notify_all()

    def _patiently(self, write: Callable[[], object]) -> None:
        """Write even if the database is away for a while: what ended must not be handled again."""
        attempt = 0
        while not self.closed:
            try:
                write()
                return
            except (DatabaseError, InterfaceError) as error:
                log.warning("the queue of updates cannot be reached: %s", error)
                connections.close_all()
                time.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
                attempt += 1
            except Exception:  # without this thread the process would handle nothing more
                log.exception("the queue of updates cannot be looked after")
                return

    # --- claims

    def _run_claims(self) -> None:
        while True:
            with self.progress:
                if self.progress.wait_for(lambda: self.closed, RENEW_SECONDS):
                    return
                claims = list(self.running.values())
            try:
                self._end_overdue(claims)
                update_queue.renew([one for one in claims if one.end != State.TIMED_OUT])
            except (DatabaseError, InterfaceError) as error:
                log.warning("claims could not be renewed: %s", error)
                connections.close_all()
            except Exception:  # without this thread the process would lose its claims
                log.exception("claims could not be renewed")
            recycle_connections()

    def _end_overdue(self, claims: Sequence[Claim]) -> None:
        """Let chats go on whose handler takes too long: it counts as ended, and a new thread takes its thread's place.

        The handler itself cannot be stopped; what it still does is done beside the chat's next update.
        """
        before = time.monotonic() - MAX_HANDLER_SECONDS
        for one in claims:
            with self.work:
                if one.began_at is None or one.began_at > before or one in self.ended or one.pk not in self.running:
                    continue
                if one.end == State.TIMED_OUT:
                    continue
                one.end = State.TIMED_OUT
                self.ended.append(one)
                self._start_worker()
                self.look.notify()
            log.error(
                "update %s takes more than %s s: its chat goes on without it",
                one.parsed().get("update_id"),
                MAX_HANDLER_SECONDS,
            )


# --- The engine of this process

_engine: Engine | None = None
_engine_lock = threading.Lock()


def engine() -> Engine:
    """This process's engine, started when it is first asked for."""
    global _engine
    if _engine is None:
        with _engine_lock:
            if _engine is None:
                _engine = Engine(handle_update, settings.BOT_THREADS)
                alerts.watch()
    return _engine


def stop_engine(seconds: float) -> int:
    """Stop this process's engine, if it has one; returns how many updates are left to other processes."""
    global _engine
    with _engine_lock:
        stopped, _engine = _engine, None
    return stopped.stop(seconds) if stopped else 0


def _after_fork() -> None:
    """Threads do not survive a fork: the child starts its own."""
    global _engine, _engine_lock
    _engine, _engine_lock = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def recover(stop: StopEvent) -> int:
    """Handle what dead processes left, until nothing is left or `stop` is set; returns how many updates that were."""
    update_queue.release_expired()
    if not update_queue.is_anything_left(RECOVERED_AFTER_SECONDS):
        return 0
    handled: list[object] = []

    def handle(update: RawUpdate) -> None:
        handle_update(update)
        handled.append(update.get("update_id"))

    recovery = Engine(handle, RECOVERY_THREADS, RECOVERED_AFTER_SECONDS)
    deadline = time.monotonic() + RECOVERY_CLAIMS_SECONDS
    while not stop.is_set() and time.monotonic() < deadline and not recovery.wait_until_idle(0.5):
        pass
    recovery.stop(MAX_HANDLER_SECONDS)
    return len(handled)
