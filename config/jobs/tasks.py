"""Jobs of the house itself; see config.jobs.schedules for how often."""

from config.bot import engine, update_queue
from config.jobs.enqueue import stop_event
from config.jobs.rate_limiter import BUSY, only_one
from config.monitoring import status_counts


def count_figures():
    """Count what the front page shows and takes too long to be counted there."""
    large = [name for name in status_counts.STATES if not status_counts.is_small(name)]
    for name in large:
        status_counts.take(name)
    return f"{len(large)} counted"


def recover_updates() -> str:
    """Handle the updates that dead processes left, and delete those that can no longer come again."""
    with only_one("config.recover_updates") as free:
        if not free:
            return BUSY
        handled = engine.recover(stop_event())
        return f"{handled} recovered, {update_queue.purge()} old ones deleted"
