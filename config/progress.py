"""How far a command has come: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.core.management.base import OutputWrapper

BAR_WIDTH = 30  # characters of the bar
LOG_INTERVAL_SECONDS = 10  # seconds between two lines in a log


def stop_on_signals() -> threading.Event:
    """The event that SIGTERM and Ctrl-C set: a command finishes the item at hand and ends."""
    stop = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stop.set())
    return stop


def format_duration(seconds: float):
    """Seconds as people say them: 45 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


class Progress:
    """Show how many of `total` are done, how many a second, and how long the rest will take at that rate."""

    def __init__(self, out: OutputWrapper, total: int) -> None:
        self.out, self.total = out, total
        self.terminal = out.isatty()
        self.since = self.shown = time.monotonic()

    def show(self, done: int, last: bool = False) -> None:
        """Tell that `done` are done; costs nothing when it was told a moment ago."""
        now = time.monotonic()
        if not last and now < self.shown + (0.1 if self.terminal else LOG_INTERVAL_SECONDS):
            return
        self.shown = now
        rate = done / max(now - self.since, 1e-3)
        left = f", {format_duration((self.total - done) / rate)} left" if rate and done < self.total else ""
        words = f"{done} of {self.total}, {rate:.1f}/s{left}"
        if self.terminal:
            full = BAR_WIDTH * done // self.total if self.total else BAR_WIDTH
            self.out.write(f"\r[{'█' * full}{'·' * (BAR_WIDTH - full)}] {words}\x1b[K", ending="\n" if last else "")
            self.out.flush()
        else:
            self.out.write(words)
