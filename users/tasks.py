"""Scheduled jobs about users; config.jobs.schedules says how often."""

import time

from config.jobs.enqueue import async_task, worker_stop_event
from config.jobs.locks import ALREADY_RUNNING, lock
from config.jobs.time_limit import JOB_SECONDS, time_limit
from users import disconnect
from users.mailing import sender
from users.models import RequestToken

BROADCAST_SECONDS = 120  # of one run; the next, enqueued at once, goes on


@time_limit(JOB_SECONDS)
def revoke_sessions() -> str:
    """Revoke the TMDb sessions that no user has any more, and delete expired request tokens."""
    RequestToken.objects.expired().delete()
    with lock("users.revoke_sessions") as free:
        if not free:
            return ALREADY_RUNNING
        result = disconnect.revoke_sessions(worker_stop_event())
    if disconnect.due_sessions().exists():  # more than one batch
        async_task("users.tasks.revoke_sessions")
    return result


@time_limit(JOB_SECONDS)
def send_broadcasts() -> str:
    """Send the broadcasts that have been started, one process at a time."""
    with lock(sender.LEASE) as free:
        if not free:
            return ALREADY_RUNNING
        began = time.monotonic()
        result = sender.send_due(BROADCAST_SECONDS, worker_stop_event())
    if time.monotonic() - began >= BROADCAST_SECONDS:
        async_task(sender.TASK, save=False)
    return result
