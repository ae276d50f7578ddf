"""Where background jobs go, and what they ask of the django-q2 cluster they run in."""

import sys
import threading

from django.conf import settings
from django_q import tasks
from django_q.cluster import Sentinel
from django_q.signals import post_execute_in_worker, pre_enqueue, pre_execute

from config.monitoring import logs

QUEUES = {"ratings": "imports", "posters": "posters"}  # by app; all other jobs are the first cluster's


def queue_of(func):
    """The cluster that a job is for, by its dotted path: with Q_CLUSTERS a long import never delays a poster.

    None where one cluster does everything.
    """
    return QUEUES.get(func.split(".")[0], settings.Q_CLUSTER["name"]) if settings.Q_CLUSTERS else None


def clusters():
    """The names of all clusters that have to run."""
    return [settings.Q_CLUSTER["name"], *(settings.Q_CLUSTER["ALT_CLUSTERS"] if settings.Q_CLUSTERS else ())]


def async_task(func, *args, **options):
    """Have a cluster run the function at this dotted path soon, as django-q2's async_task does."""
    return tasks.async_task(func, *args, cluster=queue_of(func), **options)


def stop_event():
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


def carry_ids():
    """Have a job's log lines carry the id of what asked for it."""
    pre_enqueue.connect(write_down_cause)
    pre_execute.connect(take_up_cause)
    post_execute_in_worker.connect(lay_down_cause)


def write_down_cause(task, **signal):
    task["cause"] = logs.cause() or f"t{task['id'][:12]}"


def take_up_cause(task, **signal):
    logs.set_cause(task.get("cause", ""))


def lay_down_cause(task, **signal):
    logs.set_cause("")
    if isinstance(task.get("result"), str):  # what failed is kept with its traceback, for months
        task["result"] = logs.masked(task["result"])
