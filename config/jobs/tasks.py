"""Jobs of config itself; config.jobs.schedules says how often they run."""

from datetime import timedelta

from django.utils import timezone
from django_q.models import Failure

from config.admin import bulk, login_throttle
from config.bot import engine, update_queue
from config.jobs.enqueue import worker_stop_event
from config.jobs.locks import ALREADY_RUNNING, lock
from config.jobs.time_limit import JOB_SECONDS, time_limit
from config.models import UpdateFailure
from config.monitoring import alerts, daily

FAILURES_KEPT_DAYS = 30
BULK_SECONDS = 60  # of one run; the next, enqueued at once, goes on


def recover_updates() -> str:
    """Handle the updates that dead processes left, and delete those that can no longer come again."""
    with lock("config.recover_updates") as free:
        if not free:
            return ALREADY_RUNNING
        handled = engine.recover(worker_stop_event())
        return f"{handled} recovered, {update_queue.purge()} old ones deleted"


@time_limit(JOB_SECONDS)
def look_for_trouble() -> str:
    """Ask Telegram how the webhook is, and tell the operator what goes wrong."""
    alerts.look()
    return ""


@time_limit(JOB_SECONDS)
def run_bulk_actions() -> str:
    """Go on with actions of the admin over many rows."""
    return bulk.run_due(BULK_SECONDS, worker_stop_event())


@time_limit(JOB_SECONDS)
def update_daily_figures() -> str:
    """Write the figures of yesterday and today."""
    return f"{daily.update()} written"


def delete_old_records() -> str:
    """Delete failed logins that count no longer, with their names and addresses, and old failures."""
    month_ago = timezone.now() - timedelta(days=FAILURES_KEPT_DAYS)
    UpdateFailure.objects.filter(failed_at__lt=month_ago.timestamp()).delete()
    jobs = Failure.objects.filter(stopped__lt=month_ago).delete()[0]
    return f"{login_throttle.delete_old()} logins, {jobs} failed jobs deleted"
