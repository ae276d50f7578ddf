"""Jobs of the house itself; see config.jobs.schedules for how often."""

from __future__ import annotations

from config.bot import webhook
from config.monitoring import status_counts


def count_figures() -> str:
    """Count what the front page shows and takes too long to be counted there."""
    large = [name for name in status_counts.STATES if not status_counts.is_small(name)]
    for name in large:
        status_counts.take(name)
    return f"{len(large)} counted"


def go_on_with_updates():
    """Handle what web processes that died have left of the updates they had taken in."""
    return webhook.sweep()
