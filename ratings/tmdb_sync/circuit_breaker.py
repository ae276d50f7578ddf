"""Whether TMDb is asked at all: after several failures in a row only cheap probes are sent, until one succeeds."""

from __future__ import annotations

import time

from ratings.tmdb_sync import limits


class CircuitBreaker:
    """Counts failures over all requests of a run. Times are of time.monotonic()."""

    def __init__(self) -> None:
        self.last_success = 0.0
        self.is_probing = False
        self._failures = 0
        self._open_since = 0.0
        self._next_probe_at = 0.0
        self._probe_delay = limits.FIRST_PROBE_SECONDS

    @property
    def is_open(self) -> bool:
        return self._failures >= limits.FAILURES_TO_OPEN

    def record_success(self) -> None:
        """TMDb has answered, if only with a refusal."""
        self._failures, self._open_since, self._probe_delay = 0, 0.0, limits.FIRST_PROBE_SECONDS
        self.last_success = time.monotonic()

    def record_failure(self) -> None:
        self._failures += 1

    def open(self) -> None:
        """Send nothing but probes from now on."""
        self._failures = max(self._failures, limits.FAILURES_TO_OPEN)

    def probe_is_due(self, now: float) -> bool:
        self._open_since = self._open_since or now
        return not self.is_probing and now >= self._next_probe_at

    def service_is_down(self, now: float) -> bool:
        """Whether it has been open so long that waiting is of no use."""
        return now > self._open_since + limits.SERVICE_DOWN_SECONDS

    def record_probe_answer(self) -> None:
        self.is_probing = False
        self._next_probe_at = time.monotonic() + self._probe_delay
        self._probe_delay *= 2
