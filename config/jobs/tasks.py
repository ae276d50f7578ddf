"""Jobs of config itself; config.jobs.schedules says how often they run."""

from config.admin import login_throttle
from config.bot import webhook


def recover_updates() -> str:
    """Handle the updates that web processes had accepted before they died."""
    return str(webhook.sweep())


def delete_login_attempts() -> str:
    """Delete the failed logins that count no longer, with the names and addresses in them."""
    return f"{login_throttle.delete_old()} deleted"
