"""Jobs about people; see config.jobs.schedules for how often."""

from __future__ import annotations

from config.jobs.locks import ALREADY_RUNNING, lock
from users import disconnect
from users.models import RequestToken


def end_sessions() -> str:
    """Have TMDb end the sessions that nobody uses any more; forget links that were begun and never finished."""
    RequestToken.objects.expired().delete()
    with lock("users.end_sessions") as free:
        return disconnect.end_sessions() if free else ALREADY_RUNNING
