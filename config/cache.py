"""The caches: nothing fails because one does, and nothing stays longer in one because the clock is set back.

Each value is stored with the time of its writing. One that was written later than now is taken as not there.
"""

import time
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.db import DatabaseCache as DjangoDatabaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache as DjangoRedisCache

from config.best_effort import attempt

MAX_CLOCK_DIFFERENCE_SECONDS = 60  # between two machines
FAILURE = "the cache does not serve"


class Stamped(NamedTuple):
    """A value as it is stored."""

    at: float  # UNIX time
    value: Any


class BestEffort(BaseCache):
    """What fails is as if it had not been in the cache; add() says then that it was not."""

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        stored = attempt(FAILURE, partial(super().get, key, None, version), None)
        return default if stored is None or _is_void(stored) else _value(stored)

    def get_many(self, keys: Iterable[str], version: int | None = None) -> dict[str, Any]:
        nothing: dict[str, Any] = {}
        found = attempt(FAILURE, partial(super().get_many, keys, version), nothing)
        return {key: _value(stored) for key, stored in found.items() if not _is_void(stored)}

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        attempt(FAILURE, partial(super().set, key, Stamped(time.time(), value), timeout, version), None)

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        added = attempt(FAILURE, partial(super().add, key, Stamped(time.time(), value), timeout, version), True)
        if added or self.get(key, version=version) is not None:
            return added
        self.set(key, value, timeout, version)
        return True

    def delete(self, key: str, version: int | None = None) -> bool:
        return attempt(FAILURE, partial(super().delete, key, version), False)


def _value(stored: Any) -> Any:
    return stored.value if isinstance(stored, Stamped) else stored


def _is_void(stored: Any) -> bool:
    return isinstance(stored, Stamped) and stored.at > time.time() + MAX_CLOCK_DIFFERENCE_SECONDS


class RedisCache(BestEffort, DjangoRedisCache):
    pass


class DatabaseCache(BestEffort, DjangoDatabaseCache):
    pass


class LocalCache(BestEffort, LocMemCache):
    pass
