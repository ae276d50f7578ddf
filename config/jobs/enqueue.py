"""Enqueueing background jobs: to which django-q2 cluster they go, and the correlation id they carry."""

import threading
from functools import partial
from multiprocessing.synchronize import Event as ProcessEvent
from typing import Any

from django.conf import settings
from django_q import tasks
from django_q.signals import post_execute_in_worker, pre_enqueue, pre_execute

from config.best_effort import attempt
from config.jobs import job_log
from config.monitoring import logs

# With Q_CLUSTERS, of an app's jobs or of one; all others: the first cluster
CLUSTER_OF = {"ratings": "imports", "posters": "posters", "movies.tasks.read_details": "imports"}

StopEvent = threading.Event | ProcessEvent
_stop_event: StopEvent = threading.Event()


def cluster_for(func: str) -> str | None:
    """The cluster that a job is for, by its dotted path: with Q_CLUSTERS a long import never delays a poster.

    None where one cluster does everything.
    """
    if not settings.Q_CLUSTERS:
        return None
    return CLUSTER_OF.get(func) or CLUSTER_OF.get(func.split(".")[0], str(settings.Q_CLUSTER["name"]))


def cluster_names() -> list[str]:
    """The names of all clusters that have to run."""
    return [settings.Q_CLUSTER["name"], *(settings.Q_CLUSTER["ALT_CLUSTERS"] if settings.Q_CLUSTERS else ())]


def async_task(func: str, *args: Any, **options: Any) -> str:
    """Have a cluster run the function at this dotted path soon; arguments, options and result are django-q2's.

    Where the queue fails, the result is empty: the tables hold the work, and the schedule wakes a worker for it.
    """
    enqueue = partial(tasks.async_task, func, *args, cluster=cluster_for(func), **options)
    return str(attempt("no worker can be woken", enqueue, ""))


def worker_stop_event() -> StopEvent:
    """The event that is set when this worker's cluster is told to stop; elsewhere one that never is.

    django-q2 waits for running tasks and does not notify them, so a long one has to look at it.
    """
    return _stop_event


def set_worker_stop_event(event: ProcessEvent) -> None:
    """Set it for this process and the workers that it forks."""
    global _stop_event
    _stop_event = event


# --- One id through an update, its jobs and their requests; a task is django-q2's dictionary


def propagate_correlation_id() -> None:
    """Have a job's log lines carry the id of what enqueued it."""
    pre_enqueue.connect(store_correlation_id)
    pre_execute.connect(restore_correlation_id)
    post_execute_in_worker.connect(clear_correlation_id)


def store_correlation_id(task: dict[str, Any], **signal: Any) -> None:
    task["correlation_id"] = logs.current_correlation_id() or f"t{task['id'][:12]}"


def restore_correlation_id(task: dict[str, Any], **signal: Any) -> None:
    logs.set_correlation_id(task.get("correlation_id", ""))
    job_log.job_begins()


def clear_correlation_id(task: dict[str, Any], **signal: Any) -> None:
    job_log.job_ended(task)
    logs.set_correlation_id("")
    if isinstance(task.get("result"), str):  # of a failed task: its traceback, which django-q2 stores
        task["result"] = logs.redact(task["result"])
