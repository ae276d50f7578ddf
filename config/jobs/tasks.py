"""Jobs of config itself; config.jobs.schedules says how often they run."""

from config.bot import webhook


def recover_updates() -> str:
    """Handle the updates that web processes had accepted before they died."""
    return webhook.sweep()
