"""Jobs of the house itself; see config.jobs.schedules for how often."""

from config import figures
from config.bot import webhook


def count_figures():
    """Count what the front page shows and takes too long to be counted there."""
    large = [name for name in figures.STATES if not figures.is_small(name)]
    for name in large:
        figures.take(name)
    return f"{len(large)} counted"


def go_on_with_updates():
    """Handle what web processes that died have left of the updates they had taken in."""
    return webhook.sweep()
