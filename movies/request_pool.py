"""Threads that make requests to TMDb, and whether TMDb is asked at all.

The threads do HTTP and nothing else: they never touch the database.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db import connections

from config.monitoring.logs import with_correlation_id
from movies.tmdb import TMDb, TMDbError, Unavailable

log = logging.getLogger(__name__)

FAILURES_TO_OPEN = 4  # in a row, after which only probes are sent
FIRST_PROBE_SECONDS = 1.0  # before the second probe; then twice as long
SERVICE_DOWN_SECONDS = 15.0  # without an answer, after which a run ends
DRAIN_SECONDS = 5.0  # that the end of a run leaves to requests in progress


@dataclass(eq=False)
class Request:
    """One request to TMDb. `call` runs in a thread. Times are of time.monotonic()."""

    call: Callable[[TMDb], object]
    sent_at: float = 0.0


class Probe(Request):
    """Finds out cheaply whether TMDb answers."""

    def __init__(self) -> None:
        super().__init__(lambda tmdb: tmdb.check_key())


R = TypeVar("R", bound=Request)


class RequestPool(Generic[R]):
    """Threads that make requests."""

    def __init__(self, name: str, threads: int) -> None:
        self.in_progress: set[R | Probe] = set()
        self._requests: queue.SimpleQueue[R | Probe | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[R | Probe, object]] = queue.SimpleQueue()
        target = with_correlation_id(self._work)
        self._threads = [threading.Thread(target=target, daemon=True, name=f"{name}-{n}") for n in range(threads)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads; one whose request still hangs ends by itself."""
        for _thread in self._threads:
            self._requests.put(None)
        for thread in self._threads:
            thread.join(0.2 if self.in_progress else None)

    @property
    def has_room(self) -> bool:
        return len(self.in_progress) < len(self._threads)

    def send(self, request: R | Probe) -> None:
        request.sent_at = time.monotonic()
        self.in_progress.add(request)
        self._requests.put(request)

    def receive(self, timeout: float) -> tuple[R | Probe, object] | None:
        """The next request that was answered, and its result or TMDbError; None where none is within the timeout."""
        try:
            request, answer = self._answers.get(timeout=timeout)
        except queue.Empty:
            return None
        self.in_progress.discard(request)
        return request, answer

    def hanging(self) -> list[R | Probe]:
        """Requests that have had no answer for longer than the end of a run waits."""
        return [request for request in self.in_progress if time.monotonic() - request.sent_at >= DRAIN_SECONDS]

    def _work(self) -> None:
        tmdb = TMDb()
        tmdb.attempts = 1  # a failed request is made again by whoever sent it: no thread waits for that
        try:
            while (request := self._requests.get()) is not None:
                answer: object
                try:
                    answer = request.call(tmdb)
                except TMDbError as error:
                    answer = error
                except Exception as error:  # a thread that ended would take its request along
                    log.exception("a request to TMDb cannot be made")
                    answer = Unavailable(type(error).__name__)
                self._answers.put((request, answer))
        finally:
            connections.close_all()


class CircuitBreaker:
    """Whether TMDb is asked at all: after several failures in a row only cheap probes are, until one succeeds.

    Counts over all requests of a run. Times are of time.monotonic().
    """

    def __init__(self) -> None:
        self.last_success = 0.0
        self.is_probing = False
        self._failures = 0
        self._open_since = 0.0
        self._next_probe_at = 0.0
        self._probe_delay = FIRST_PROBE_SECONDS

    @property
    def is_open(self) -> bool:
        return self._failures >= FAILURES_TO_OPEN

    def record_success(self) -> None:
        """TMDb has answered, if only with a refusal."""
        self._failures, self._open_since, self._probe_delay = 0, 0.0, FIRST_PROBE_SECONDS
        self.last_success = time.monotonic()

    def record_failure(self) -> None:
        self._failures += 1

    def open(self) -> None:
        """Send nothing but probes from now on."""
        self._failures = max(self._failures, FAILURES_TO_OPEN)

    def probe_is_due(self, now: float) -> bool:
        self._open_since = self._open_since or now
        return not self.is_probing and now >= self._next_probe_at

    def service_is_down(self, now: float) -> bool:
        """Whether it has been open so long that waiting is of no use."""
        return now > self._open_since + SERVICE_DOWN_SECONDS

    def record_probe_answer(self) -> None:
        self.is_probing = False
        self._next_probe_at = time.monotonic() + self._probe_delay
        self._probe_delay *= 2
