"""Scheduled jobs about users; config.jobs.schedules says how often."""

from config.jobs.enqueue import async_task, worker_stop_event
from config.jobs.locks import ALREADY_RUNNING, lock
from config.jobs.time_limit import JOB_SECONDS, time_limit
from users import disconnect
from users.models import RequestToken


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
