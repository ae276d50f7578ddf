"""Jobs of the house itself; see config.schedules for how often."""

from config import figures


def count_figures():
    """Count what the front page shows and takes too long to be counted there."""
    large = [name for name in figures.STATES if not figures.is_small(name)]
    for name in large:
        figures.take(name)
    return f"{len(large)} counted"
