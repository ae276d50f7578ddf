"""Where background jobs go, and what they ask of the django-q2 cluster they run in."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django_q import tasks
from django_q.cluster import Sentinel
from django_q.signals import post_execute_in_worker, pre_enqueue, pre_execute

from config.monitoring import logs

if TYPE_CHECKING:
    pass

CLUSTER_OF_APP = {"ratings": "imports", "posters": "posters"}  # by app; all other jobs are the first cluster's


def cluster_for(func: str) -> None:
    """The cluster that a job is for, by its dotted path: with Q_CLUSTERS a long import never delays a poster.

    None where one cluster does everything.
    """
    return CLUSTER_OF_APP.get(func.split(".")[0], settings.Q_CLUSTER["name"]) if settings.Q_CLUSTERS else None


def cluster_names() -> list[str]:
    """The names of all clusters that have to run."""
    return [settings.Q_CLUSTER["name"], *(settings.Q_CLUSTER["ALT_CLUSTERS"] if settings.Q_CLUSTERS else ())]


def async_task(func: str, *args: Any, **options: Any) -> str:
    """Have a cluster run the function at this dotted path soon, as django-q2's async_task does."""
    return tasks.async_task(func, *args, cluster=cluster_for(func), **options)


def worker_stop_event() -> threading.Event:
    """The event that is set when the cluster this task runs in is told to stop; one that never is, elsewhere.

    django-q2 waits for the tasks at hand and tells them nothing, so a long one has to look. A worker is forked out of
    its Sentinel's method, whose frames are still on the stack below ours: the one place where the event can be found.
    """
    frame = sys._getframe()
    while frame:
        owner = frame.f_locals.get("self")
        if isinstance(owner, Sentinel):
            return owner.stop_event
        frame = frame.f_back
    return threading.Event()


# --- One id through an update, its jobs and their requests


def propagate_correlation_id() -> None:
    """Have a job's log lines carry the id of what asked for it."""
    pre_enqueue.connect(store_correlation_id)
    pre_execute.connect(restore_correlation_id)
    post_execute_in_worker.connect(clear_correlation_id)


def store_correlation_id(task: dict[str, Any], **signal: Any) -> None:
    task["cause"] = logs.current_correlation_id() or f"t{task['id'][:12]}"


def restore_correlation_id(task, **signal: Any) -> None:
    logs.set_correlation_id(task.get("cause", ""))


def clear_correlation_id(task, **signal: Any) -> None:
    logs.set_correlation_id("")
    if isinstance(task.get("result"), str):  # what failed is kept with its traceback, for months
        task["result"] = logs.redact(task["result"])
