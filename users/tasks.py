"""Scheduled jobs about users; config.jobs.schedules says how often."""

import time

from config.jobs.enqueue import async_task
from config.jobs.locks import ALREADY_RUNNING, lock
from users import disconnect
from users.models import RequestToken, SessionToRevoke


def revoke_sessions() -> str:
    """Revoke the TMDb sessions that no user has any more, and delete expired request tokens."""
    RequestToken.objects.expired().delete()
    with lock("users.revoke_sessions") as free:
        if not free:
            return ALREADY_RUNNING
        result = disconnect.revoke_sessions()
    if SessionToRevoke.objects.filter(next_try_at__lte=int(time.time())).exists():  # more than one batch
        async_task("users.tasks.revoke_sessions")
    return result
