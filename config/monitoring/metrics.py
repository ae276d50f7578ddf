"""Signs of life and counts from every process: added up in memory, written to the database every few seconds.

A count in the doors to TMDb and Telegram costs a microsecond and no query. What a process that is killed had not yet
written is lost: these are figures to look at, nothing is decided by them.
"""

import atexit
import logging
import os
import re
import socket
import threading
import time
from collections import Counter

from django.conf import settings
from django.db import close_old_connections, connection

from config.models import Heartbeat, MetricCount

log = logging.getLogger(__name__)

HOST = socket.gethostname()
HEARTBEAT_INTERVAL_SECONDS = 15  # seconds after which a process that is simply there says so again
KEEP_BEATS, KEEP_COUNTS = 7 * 86_400, 2 * 86_400  # seconds
ALL_TIME = 9_999_999_999  # the "minute" of what has been counted since the beginning, under total:name
LATENCY_BUCKETS_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, float("inf"))  # seconds

_lock = threading.Lock()
_counts: Counter = Counter()  # (name, minute): number
_beats: dict = {}  # (kind, name): (UNIX time, doing)
_alive: dict = {}  # (kind, name): (doing, UNIX time of the last sign)
_writer: threading.Thread | None = None
_swept_at = 0.0


def increment(name, number=1):
    """Add to what is counted under `name` in this minute."""
    with _lock:
        _counts[name, int(time.time()) // 60 * 60] += number
    _write_soon()


def observe_latency(name, seconds):
    """Count one more of `name`, and how long it took."""
    increment(f"{name}.within:{next(bound for bound in LATENCY_BUCKETS_SECONDS if seconds <= bound)}")
    increment(f"{name}.ms", round(seconds * 1000))


def count_failure(what, why):
    """Count a failure by its cause, which is the reason without the path or the person it was met at."""
    cause = re.sub(r"\b\d{4,}\b", "…", re.sub(r"/\S+:? *", "", why)).strip()
    increment(f"failed:{what}:{cause[:100]}")


def record_heartbeat(kind, name, doing=""):
    """Say that this part of the system has just done something; `doing` says what, in a few words."""
    with _lock:
        _beats[kind, name] = time.time(), doing
    _write_soon()


def start_heartbeat(kind, name, doing=""):
    """Say so from now on, for as long as this process lives; call it again when it turns to something else."""
    with _lock:
        _alive[kind, name] = doing, 0.0
    _write_soon()


def flush():
    """Write what has come together since the last time. Raises DatabaseError, and then forgets nothing."""
    now = time.time()
    with _lock:
        counts, beats = dict(_counts), dict(_beats)
        _counts.clear(), _beats.clear()
        for who, (doing, at) in _alive.items():
            if now - at >= HEARTBEAT_INTERVAL_SECONDS:
                beats[who] = now, doing
    try:
        if beats:
            rows = [
                Heartbeat(kind=kind, name=name, seen_at=at, doing=doing[:200])
                for (kind, name), (at, doing) in beats.items()
            ]
            Heartbeat.objects.bulk_create(
                rows, update_conflicts=True, unique_fields=["kind", "name"], update_fields=["seen_at", "doing"]
            )
        if counts:
            _add(counts)
        _sweep(now)
    except Exception:
        with _lock:
            _counts.update(counts)
            _beats.update({**beats, **_beats})
        raise
    with _lock:
        for who in beats.keys() & _alive.keys():
            doing, _at = _alive[who]
            if doing == beats[who][1]:
                _alive[who] = doing, now


def _add(counts):
    counts = Counter(counts)
    for (name, _minute), number in list(counts.items()):
        if name.startswith("failed:"):  # by cause, of which there may be any number
            name = f"{name.split(':')[1]}.failed"
        counts[f"total:{name}", ALL_TIME] += number
    values = [value for (name, minute), number in sorted(counts.items()) for value in (name, minute, number)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO metric_counts (name, minute, number) VALUES {', '.join(['(%s, %s, %s)'] * len(counts))}"  # noqa: S608
            " ON CONFLICT (name, minute) DO UPDATE SET number = metric_counts.number + excluded.number",
            values,
        )


def _sweep(now):
    """Forget old figures, and processes of this machine that have been replaced, now and then."""
    global _swept_at
    if now - _swept_at < 60:
        return
    _swept_at = now
    MetricCount.objects.filter(minute__lt=now - KEEP_COUNTS).delete()
    Heartbeat.objects.filter(seen_at__lt=now - KEEP_BEATS).delete()
    for kind, _name in _alive:
        replaced = Heartbeat.objects.filter(kind=kind, name__startswith=f"{HOST} ", seen_at__lt=now - 4 * HEARTBEAT_INTERVAL_SECONDS)
        replaced.delete()


def _write_soon():
    global _writer
    if _writer is None and settings.METRICS_FLUSH_SECONDS:
        with _lock:
            if _writer is None:
                _writer = threading.Thread(target=_write, daemon=True, name="signs")
                _writer.start()


def _write():
    while True:
        time.sleep(settings.METRICS_FLUSH_SECONDS)
        _flush_quietly()


def _flush_quietly():
    close_old_connections()
    try:
        flush()
    except Exception as error:  # the database is away: the next round tries again
        log.debug("signs of life could not be written: %s", error)
    finally:
        close_old_connections()


def _at_exit():
    if _writer is not None:
        _flush_quietly()


def _after_fork():
    """A forked worker has no writer, and its parent's figures are its parent's to write."""
    global _lock, _writer
    _lock, _writer = threading.Lock(), None
    _counts.clear(), _beats.clear(), _alive.clear()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)


# --- Background jobs (django-q2's signals)


def connect_worker_signals():
    """Have every worker of a cluster say that it is there and at what, and every schedule when it last ran."""
    from django_q.signals import post_execute, post_execute_in_worker, post_spawn, pre_execute

    for signal, receiver in (
        (post_spawn, on_worker_spawned),
        (pre_execute, on_task_started),
        (post_execute_in_worker, on_task_finished),
        (post_execute, on_schedule_finished),
    ):
        signal.connect(receiver, dispatch_uid=receiver.__name__)


def on_worker_spawned(**signal):
    start_heartbeat("worker", _worker())


def on_task_started(task, **signal):
    if not task.get("sync"):
        start_heartbeat("worker", _worker(), _name(task["func"]))


def on_task_finished(task, **signal):
    if not task.get("sync"):
        start_heartbeat("worker", _worker())


def on_schedule_finished(task, **signal):
    from config.jobs.schedules import SCHEDULES
    from config.monitoring.logs import redact

    if task.get("group") in SCHEDULES:
        lines = str(task["result"]).strip().splitlines() or [""]
        record_heartbeat("schedule", task["group"], redact(lines[0]) if task["success"] else f"failed: {redact(lines[-1])}")


def _worker():
    from django_q.conf import Conf

    return f"{HOST} {Conf.CLUSTER_NAME} {os.getpid()}"


def cluster_of_worker(worker):
    """The cluster that a worker belongs to, by the name under which it gives its signs of life."""
    return worker.split()[-2] if worker.count(" ") > 1 else ""


def _name(func):
    return func if isinstance(func, str) else f"{func.__module__}.{func.__qualname__}"
