"""Scheduled jobs about users; config.jobs.schedules says how often."""

from config.jobs.locks import ALREADY_RUNNING, lock
from users import disconnect
from users.models import RequestToken


def revoke_sessions() -> str:
    """Revoke the TMDb sessions that no user has any more, and delete expired request tokens."""
    RequestToken.objects.expired().delete()
    with lock("users.revoke_sessions") as free:
        return disconnect.revoke_sessions() if free else ALREADY_RUNNING
