"""Heartbeats: which components run, and what they do; written together with the metrics.

A heartbeat has a kind (the component: bot, worker, schedule) and a name (the instance: a process or a schedule).
"""

import os
import socket
import threading
import time
from typing import Any, NamedTuple

from config.models import Heartbeat
from config.moments import lately
from config.monitoring import metrics

HOST = socket.gethostname()
HEARTBEAT_INTERVAL_SECONDS = 15  # of a process that start_heartbeat() was called for
HEARTBEAT_RETENTION_SECONDS = 7 * 86_400
PRUNE_INTERVAL_SECONDS = 60

Instance = tuple[str, str]  # (kind, name)


class Beat(NamedTuple):
    at: float  # UNIX time; 0.0: not written yet
    doing: str


_lock = threading.Lock()
_pending: dict[Instance, Beat] = {}
_running: dict[Instance, Beat] = {}  # what this process is, and the latest heartbeat written of it
_pruned_at = 0.0


def record_heartbeat(kind: str, name: str, doing: str = "") -> None:
    """Record one heartbeat of this component; `doing` says at what in a few words."""
    with _lock:
        _pending[kind, name] = Beat(time.time(), doing)
    metrics.ensure_flusher()


def start_heartbeat(kind: str, name: str, doing: str = "") -> None:
    """Record heartbeats from now on, as long as this process lives; another call replaces `doing`."""
    with _lock:
        _running[kind, name] = Beat(0.0, doing)
    metrics.ensure_flusher()


def flush_heartbeats() -> None:
    """Write the heartbeats that are due. Raises DatabaseError, and then loses nothing."""
    now = time.time()
    with _lock:
        beats = dict(_pending)
        _pending.clear()
        for instance, beat in _running.items():
            if not 0 <= now - beat.at < HEARTBEAT_INTERVAL_SECONDS:
                beats[instance] = Beat(now, beat.doing)
    try:
        if beats:
            Heartbeat.objects.bulk_create(
                [
                    Heartbeat(kind=kind, name=name, seen_at=beat.at, doing=beat.doing[:200])
                    for (kind, name), beat in beats.items()
                ],
                update_conflicts=True,
                unique_fields=["kind", "name"],
                update_fields=["seen_at", "doing"],
            )
        _prune(now)
    except Exception:
        with _lock:
            _pending.update({**beats, **_pending})
        raise
    with _lock:
        for instance in beats.keys() & _running.keys():
            if _running[instance].doing == beats[instance].doing:
                _running[instance] = beats[instance]


def _prune(now: float) -> None:
    """Delete heartbeats of long ago, and those of processes of this machine that have been replaced."""
    global _pruned_at
    if 0 <= now - _pruned_at < PRUNE_INTERVAL_SECONDS:
        return
    _pruned_at = now
    Heartbeat.objects.exclude(lately("seen_at", HEARTBEAT_RETENTION_SECONDS)).delete()
    for kind, _name in _running:
        of_this_machine = Heartbeat.objects.filter(kind=kind, name__startswith=f"{HOST} ")
        of_this_machine.exclude(lately("seen_at", 4 * HEARTBEAT_INTERVAL_SECONDS)).delete()


def _reset_after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _pending.clear()
    _running.clear()


metrics.on_flush.append(flush_heartbeats)
os.register_at_fork(after_in_child=_reset_after_fork)


# --- Workers and schedules, by django-q2's signals; a task is django-q2's dictionary


def connect_worker_signals() -> None:
    """Have every worker of a cluster record heartbeats and its current job, and every schedule its latest run."""
    from django_q.signals import post_execute, post_execute_in_worker, post_spawn, pre_execute

    for signal, receiver in (
        (post_spawn, on_worker_spawned),
        (pre_execute, on_task_started),
        (post_execute_in_worker, on_task_finished),
        (post_execute, on_schedule_finished),
    ):
        signal.connect(receiver, dispatch_uid=receiver.__name__)


def on_worker_spawned(**signal: Any) -> None:
    start_heartbeat("worker", _worker_name())


def on_task_started(task: dict[str, Any], **signal: Any) -> None:
    if not task.get("sync"):
        func = task["func"]
        doing = func if isinstance(func, str) else f"{func.__module__}.{func.__qualname__}"
        start_heartbeat("worker", _worker_name(), doing)


def on_task_finished(task: dict[str, Any], **signal: Any) -> None:
    if not task.get("sync"):
        start_heartbeat("worker", _worker_name())
    if task.get("success") is False:
        metrics.increment("jobs.failed")


def on_schedule_finished(task: dict[str, Any], **signal: Any) -> None:
    from config.jobs.schedules import SCHEDULES
    from config.monitoring.logs import redact

    if task.get("group") in SCHEDULES:
        lines = str(task["result"]).strip().splitlines() or [""]
        result = redact(lines[0]) if task["success"] else f"failed: {redact(lines[-1])}"
        record_heartbeat("schedule", task["group"], result)


def _worker_name() -> str:
    from django_q.conf import Conf

    return f"{HOST} {Conf.CLUSTER_NAME} {os.getpid()}"


def cluster_of_worker(name: str) -> str:
    """The cluster that a worker belongs to, by the name of its heartbeats; "" for a name of another form."""
    return name.split()[-2] if name.count(" ") > 1 else ""
