"""What may fail without failing the action it belongs to: wake-up jobs, caches, Redis' part in the rate limits."""

import logging
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from django.conf import settings
from django.db import DatabaseError

T = TypeVar("T")

log = logging.getLogger(__name__)

LOG_INTERVAL_SECONDS = 60  # between two lines about the same thing, in each process
REDIS_PAUSE_SECONDS = 5  # for which nothing is asked of a Redis that failed: one that hangs costs three seconds a call

_lock = threading.Lock()
_logged_at: dict[str, float] = {}  # times of time.monotonic()
_redis_paused_until = 0.0


def attempt(what: str, call: Callable[[], T], otherwise: T) -> T:
    """What the call returns; `otherwise` where Redis or the database fails it, or Redis failed a moment ago."""
    global _redis_paused_until
    if settings.REDIS_URL and time.monotonic() < _redis_paused_until:
        return otherwise
    try:
        return call()
    except _failures() as error:
        if settings.REDIS_URL:
            _redis_paused_until = time.monotonic() + REDIS_PAUSE_SECONDS
        _log(what, error)
        return otherwise


@cache
def _failures() -> tuple[type[Exception], ...]:
    if not settings.REDIS_URL:
        return (DatabaseError,)
    from redis import RedisError  # an extra

    return (DatabaseError, RedisError)


def _log(what: str, error: Exception) -> None:
    now = time.monotonic()
    with _lock:
        if now < _logged_at.get(what, -LOG_INTERVAL_SECONDS) + LOG_INTERVAL_SECONDS:
            return
        _logged_at[what] = now
    log.warning("%s: %s; the work goes on without", what, error)
