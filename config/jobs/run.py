"""Limits and result of one run of a worker whose queue is a table; its threads share it."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from telebot.types import PhotoSize

from config.jobs.enqueue import StopEvent

log = logging.getLogger(__name__)

# What became of one movie. done; not_found: TMDb has no such movie or image; failed: its own fault, retried later or
# failed permanently; postponed: not its fault, due again.
Result = Literal["done", "not_found", "failed", "postponed"]


@dataclass
class Run:
    """Limits and result of one run."""

    limit: int | None = None  # movies to start at most
    seconds: float | None = None  # after which nothing new is started
    stop: StopEvent = field(default_factory=threading.Event)
    report: Callable[["Run"], None] | None = None  # called after each movie
    done: int = 0
    not_found: int = 0
    failed: int = 0
    postponed: int = 0
    errors: list[str] = field(default_factory=list)  # why the run, or a channel, had to pause or stop
    not_found_label: str = "without an image"

    def __post_init__(self) -> None:
        self.started = 0
        self.deadline = float("inf") if self.seconds is None else time.monotonic() + self.seconds
        self.lock = threading.Lock()

    @property
    def seconds_left(self) -> float:
        """Seconds until nothing new may start."""
        return self.deadline - time.monotonic()

    @property
    def over(self) -> bool:
        """Whether nothing new may start."""
        return self.stop.is_set() or self.seconds_left <= 0 or (self.limit is not None and self.started >= self.limit)

    def reserve(self, wanted: int) -> int:
        """How many of `wanted` movies may start now; they count as started."""
        with self.lock:
            allowed = 0 if self.over else wanted if self.limit is None else min(wanted, self.limit - self.started)
            self.started += allowed
            return allowed

    def unreserve(self, unused: int) -> None:
        with self.lock:
            self.started -= unused

    def count(self, result: Result) -> None:
        with self.lock:
            setattr(self, result, getattr(self, result) + 1)
            if self.report:
                self.report(self)

    def add_error(self, why: str) -> None:
        """Add, and log once, why something has to pause."""
        with self.lock:
            if why not in self.errors:
                self.errors.append(why)
                log.warning("%s", why)

    def sleep(self, seconds: float) -> bool:
        """Sleep, unless the run would be over by then. False where it is over."""
        return seconds < self.seconds_left and not self.stop.wait(seconds)

    def summary(self, verb: str) -> str:
        """What happened, for a line of the log: "66 uploaded, 1 failed"; empty where nothing did."""
        counts = {verb: self.done, self.not_found_label: self.not_found, "failed": self.failed}
        counts["postponed"] = self.postponed
        return "; ".join(filter(None, [", ".join(f"{n} {what}" for what, n in counts.items() if n), *self.errors]))

    def __str__(self) -> str:
        counts = f"{self.done} done, {self.not_found} {self.not_found_label}, {self.failed} failed"
        return "; ".join([f"{counts}, {self.postponed} postponed", *self.errors])


class UploadStatus(Enum):
    """What an upload came to, and so what _record_upload writes."""

    UPLOADED = "uploaded"
    INVALID = "invalid"  # Telegram refuses this photo: retried with growing delays
    FAILED = "failed"  # nothing more is tried
    FILE_MISSING = "file missing"  # missing or damaged: downloaded again
    RATE_LIMITED = "rate limited"  # 429: the channel waits
    UNAVAILABLE = "unavailable"  # the channel, or Telegram, takes no poster now
    UNCONFIRMED = "unconfirmed"  # no answer: it may be in the channel


@dataclass(frozen=True)
class Outcome:
    """What became of one upload."""

    status: UploadStatus
    reason: str = ""
    photo: PhotoSize | None = None  # of UPLOADED: the largest size that Telegram made
    retry_after_seconds: int = 0  # of RATE_LIMITED
