"""Jobs of config itself; config.jobs.schedules says how often they run."""

from config.admin import login_throttle
from config.bot import engine, update_queue
from config.jobs.enqueue import worker_stop_event
from config.jobs.locks import ALREADY_RUNNING, lock


def recover_updates() -> str:
    """Handle the updates that dead processes left, and delete those that can no longer come again."""
    with lock("config.recover_updates") as free:
        if not free:
            return ALREADY_RUNNING
        handled = engine.recover(worker_stop_event())
        return f"{handled} recovered, {update_queue.purge()} old ones deleted"


def delete_login_attempts() -> str:
    """Delete the failed logins that count no longer, with the names and addresses in them."""
    return f"{login_throttle.delete_old()} deleted"
