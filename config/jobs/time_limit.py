"""How long a job may take: what waits or asks another server in it looks at the time that is left."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

JOB_SECONDS = 170  # after which a job asks nothing more; with a pause of 60 s that it may be in, it ends by 240

_ends_at: ContextVar[float] = ContextVar("ends_at", default=math.inf)  # time.monotonic()


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Let this block, or the function that this decorates, wait and ask for so long; its threads need their own."""
    token = _ends_at.set(min(_ends_at.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _ends_at.reset(token)


def seconds_left() -> float:
    """How long what is running now may still wait and ask; outside of jobs without end."""
    return _ends_at.get() - time.monotonic()
