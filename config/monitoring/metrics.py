"""Counters of every process: added up in memory, written to the database every METRICS_FLUSH_SECONDS.

To count costs a microsecond and no query. A process that is killed loses what it had not yet written: metrics are for
people and dashboards, no code decides by them.
"""

import atexit
import logging
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from django.conf import settings
from django.core.cache import caches
from django.db import close_old_connections, connection, transaction
from django.db.models import Count, Model

from config.models import MetricCount

log = logging.getLogger(__name__)

COUNT_RETENTION_SECONDS = 2 * 86_400
PRUNE_INTERVAL_SECONDS = 60
EXACT_COUNT_LIMIT = 20_000  # rows that are counted for every page
STATUS_COUNTS_TTL_SECONDS = 60  # where there are more
ALL_TIME = 9_999_999_999  # the "minute" of the sums since the installation was made, under total:<name>
LATENCY_BUCKETS_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, float("inf"))  # upper bounds, inclusive

_lock = threading.Lock()
_counts: Counter[tuple[str, int]] = Counter()  # by name and minute
_flusher: threading.Thread | None = None
_pruned_at = 0.0
on_flush: list[Callable[[], None]] = []  # what else is to be written in every round; config.monitoring.heartbeats


def increment(name: str, number: int = 1) -> None:
    """Add to the counter `name` of this minute."""
    with _lock:
        _counts[name, int(time.time()) // 60 * 60] += number
    ensure_flusher()


def observe_latency(name: str, seconds: float) -> None:
    """Count one more of `name` in the bucket of its duration, and add that to `<name>.ms` (milliseconds)."""
    increment(f"{name}.within:{next(bound for bound in LATENCY_BUCKETS_SECONDS if seconds <= bound)}")
    increment(f"{name}.ms", round(seconds * 1000))


def count_failure(what: str, reason: str) -> None:
    """Count a failure by its cause: the reason without the path, the user or the movie that it concerns."""
    cause = re.sub(r"\b\d{4,}\b", "…", re.sub(r"/\S+:? *", "", reason)).strip()
    increment(f"failed:{what}:{cause[:100]}")


def flush() -> None:
    """Write what was counted since the last call, then do `on_flush`. Raises DatabaseError; nothing counts twice."""
    global _pruned_at
    now = time.time()
    with _lock:
        counts = Counter(_counts)
        _counts.clear()
    is_written = False
    try:
        if counts:
            with transaction.atomic():
                _add(counts)
                is_written = True
    except Exception:
        if not is_written:  # else it was the answer to the commit that was lost: rather not counted than counted twice
            with _lock:
                _counts.update(counts)
        raise
    for write in on_flush:
        write()
    if not 0 <= now - _pruned_at < PRUNE_INTERVAL_SECONDS:
        _pruned_at = now
        MetricCount.objects.filter(minute__lt=now - COUNT_RETENTION_SECONDS).delete()


def _add(counts: Counter[tuple[str, int]]) -> None:
    rows = Counter(counts)
    for (name, _minute), number in counts.items():
        if name.startswith("failed:"):  # a total for each cause would be one of many thousands
            name = f"{name.split(':')[1]}.failed"
        rows[f"total:{name}", ALL_TIME] += number
    values = [value for (name, minute), number in sorted(rows.items()) for value in (name, minute, number)]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO metric_counts (name, minute, number)"  # noqa: S608
            f" VALUES {', '.join(['(%s, %s, %s)'] * len(rows))}"
            " ON CONFLICT (name, minute) DO UPDATE SET number = metric_counts.number + excluded.number",
            values,
        )


def ensure_flusher() -> None:
    """Start this process's thread that flushes, where it has none."""
    global _flusher
    if _flusher is None and settings.METRICS_FLUSH_SECONDS:
        with _lock:
            if _flusher is None:
                _flusher = threading.Thread(target=_flush_regularly, daemon=True, name="metrics")
                _flusher.start()


def _flush_regularly() -> None:
    while True:
        time.sleep(settings.METRICS_FLUSH_SECONDS)
        _flush_quietly()


def _flush_quietly() -> None:
    close_old_connections()
    try:
        flush()
    except Exception as error:  # the database is away: the next round tries again
        log.debug("metrics could not be written: %s", error)
    finally:
        close_old_connections()


def _flush_at_exit() -> None:
    if _flusher is not None:
        _flush_quietly()


def _reset_after_fork() -> None:
    """A forked worker has no flusher, and what its parent counted is its parent's to write."""
    global _lock, _flusher
    _lock, _flusher = threading.Lock(), None
    _counts.clear()


atexit.register(_flush_at_exit)
os.register_at_fork(after_in_child=_reset_after_fork)


# --- Rows of a table by their status


class StatusCounts(NamedTuple):
    counts: dict[int, int]  # {status: rows}; a status without rows is not in it
    counted_at: float  # UNIX time


def count_by_status(model: type[Model], field: str) -> StatusCounts:
    """Count the rows of a table by the status in `field`; of a large table at most once a minute in each process."""
    rows = model._default_manager.order_by()
    large = rows[: EXACT_COUNT_LIMIT + 1].count() > EXACT_COUNT_LIMIT
    key = f"status_counts:{model._meta.label}"
    if large and (cached := caches["local"].get(key)):
        return StatusCounts(*cached)
    found = StatusCounts(dict(rows.values_list(field).annotate(Count("pk"))), time.time())
    if large:
        caches["local"].set(key, tuple(found), STATUS_COUNTS_TTL_SECONDS)
    return found
