"""The progress of a command in the foreground: a bar on a terminal, a line now and then in a log."""

import signal
import threading
import time

from django.core.management.base import OutputWrapper

BAR_WIDTH = 30  # characters
LOG_INTERVAL_SECONDS = 10  # between two lines in a log
TERMINAL_INTERVAL_SECONDS = 0.1


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set: a command finishes the current item and ends."""
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    return stop


def format_duration(seconds: float) -> str:
    """45 s, 12 min, 3 h 20 min, 9.4 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds >= 48 * 3600:
        return f"{seconds / 86_400:.1f} days"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


class Progress:
    """Writes how far a command has come, at most once an interval."""

    def __init__(self, out: OutputWrapper, total: int = 0) -> None:
        self.out, self.total = out, total
        self.terminal = out.isatty()
        self.started_at = self.shown_at = time.monotonic()
        self.shown = ""

    def show(self, done: int, last: bool = False) -> None:
        """`done` of `total` items, the rate, and the time left at that rate."""
        rate = done / max(time.monotonic() - self.started_at, 1e-3)
        left = f", {format_duration((self.total - done) / rate)} left" if rate and done < self.total else ""
        share = done / self.total if self.total else 1.0
        self.write(f"{done} of {self.total}, {rate:.1f}/s{left}", share, last)

    def write(self, text: str, share: float | None = None, last: bool = False) -> None:
        """A text, on a terminal after a bar of which `share` is full (None: no bar); skipped soon after another."""
        now = time.monotonic()
        interval = TERMINAL_INTERVAL_SECONDS if self.terminal else LOG_INTERVAL_SECONDS
        if not last and now < self.shown_at + interval:
            return
        self.shown_at, self.shown = now, text
        if not self.terminal:
            self.out.write(text)
            return
        full = min(BAR_WIDTH, int(BAR_WIDTH * (share or 0)))
        bar = "" if share is None else f"[{'█' * full}{'·' * (BAR_WIDTH - full)}] "
        self.out.write(f"\r{bar}{text}\x1b[K", ending="\n" if last else "")
        self.out.flush()
