"""Requests to TMDb, the threads that make them, and the queue of those to be made again.

The threads do HTTP and nothing else: they never touch the database.
"""

from __future__ import annotations

import heapq
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING

from django.db import connections

from config.monitoring.logs import with_correlation_id
from movies.models import Movie
from movies.tmdb import TMDb, TMDbError, Unavailable
from ratings.tmdb_sync import limits
from ratings.tmdb_sync.reader import Page

if TYPE_CHECKING:
    from ratings.tmdb_sync.user_import import UserImport

log = logging.getLogger(__name__)

Result = int | Page | Movie | None  # an account's id, a page of its ratings, a movie with details; None: a probe's
Answer = Result | TMDbError


class Kind(StrEnum):
    ACCOUNT = "account"
    PAGE = "page"
    DETAILS = "details"
    PROBE = "probe"


RequestKey = int | str  # the number of a page or the id of a movie; what there is only one of: its name


@dataclass(eq=False)
class Request:
    """One request to TMDb. `call` runs in a thread. Times are of time.monotonic()."""

    kind: Kind
    key: RequestKey
    call: Callable[[TMDb], Result]
    owner: UserImport | None = None  # None: for no user in particular
    encrypted_session: str = ""  # the owner's, as it was then
    attempts: int = 0  # failed ones
    failed_at: float = 0.0
    failing_since: float = 0.0
    sent_at: float = 0.0


class RequestPool:
    """Threads that make requests."""

    def __init__(self) -> None:
        self.in_progress: set[Request] = set()
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[Request, Answer]] = queue.SimpleQueue()
        target = with_correlation_id(self._work)
        self._threads = [
            threading.Thread(target=target, daemon=True, name=f"import-{n}") for n in range(limits.THREADS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        for _thread in self._threads:
            self._requests.put(None)

    def join(self) -> None:
        """Wait for the threads; one whose request still hangs ends by itself."""
        for thread in self._threads:
            thread.join(0.2 if self.in_progress else None)

    @property
    def has_room(self) -> bool:
        return len(self.in_progress) < limits.THREADS

    def send(self, request: Request) -> None:
        request.sent_at = time.monotonic()
        self.in_progress.add(request)
        self._requests.put(request)

    def receive(self, timeout: float) -> tuple[Request, Answer] | None:
        """The next request that was answered, and its result or error; None where none is within `timeout` seconds."""
        try:
            request, answer = self._answers.get(timeout=timeout)
        except queue.Empty:
            return None
        self.in_progress.discard(request)
        return request, answer

    def _work(self) -> None:
        tmdb = TMDb()
        tmdb.attempts = 1  # the engine tries again, and no thread waits for that
        try:
            while (request := self._requests.get()) is not None:
                answer: Answer
                try:
                    answer = request.call(tmdb)
                except TMDbError as error:
                    answer = error
                except Exception as error:  # a thread that ended would take its request along
                    log.exception("%s %s cannot be asked for", request.kind, request.key)
                    answer = Unavailable(f"{request.kind} {request.key}: {type(error).__name__}")
                self._answers.put((request, answer))
        finally:
            connections.close_all()


class RetryQueue:
    """Failed requests, each to be made again after a pause that doubles."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Request]] = []
        self._order = count()

    def __iter__(self) -> Iterator[Request]:
        return (request for _when, _number, request in self._heap)

    def add(self, request: Request, error: TMDbError) -> None:
        now = time.monotonic()
        request.attempts += 1
        request.failed_at, request.failing_since = now, request.failing_since or now
        doubled = limits.FIRST_RETRY_SECONDS * 2 ** (request.attempts - 1)
        pause = getattr(error, "retry_after", None) or min(doubled, limits.MAX_RETRY_SECONDS)
        heapq.heappush(self._heap, (now + pause, next(self._order), request))

    def pop_due(self, now: float) -> Request | None:
        return heapq.heappop(self._heap)[2] if self.has_before(now) else None

    def has_before(self, when: float) -> bool:
        return bool(self._heap) and self._heap[0][0] <= when

    def remove(self, request: Request) -> None:
        self._heap = [entry for entry in self._heap if entry[2] is not request]
        heapq.heapify(self._heap)
