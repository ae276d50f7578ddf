"""Reading movies again from TMDb, each between three and five months after it was last read.

TMDb's terms of use allow its data to be stored for six months. Every movie of that age is read, changed or not: 300,000
movies in 150 days are 2,000 reads a day, of the 3,000,000 that the rate limit allows.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from enum import StrEnum

from config.jobs.enqueue import StopEvent
from config.moments import lately
from movies.catalogue import fetch_movie
from movies.models import Movie
from movies.saving import save_movies
from movies.tmdb import KeyRefused, NotFound, TMDb, TMDbError

log = logging.getLogger(__name__)

DAY_SECONDS = 86_400
REFRESH_AFTER_SECONDS = 90 * DAY_SECONDS  # a movie is read again from this age on …
REFRESH_DEADLINE_SECONDS = 135 * DAY_SECONDS  # … and sooner than others from this one, so that none reaches 150 days
SPREAD_HOURS = 1200  # over which movies are spread
CATCH_UP_HOURS = 300  # in which overdue ones are read
RETRY_AFTER_SECONDS = DAY_SECONDS  # until a movie that could not be read is tried again
MAX_LIST_ROWS = 200  # movies known from list rows only that one run reads as well
MAX_CONSECUTIVE_FAILURES = 3  # more, and it is TMDb that fails, not the movies


class Outcome(StrEnum):
    READ = "read"
    NOT_FOUND = "not found"
    FAILED = "failed"


class Refresh:
    """One run and its result. Errors of TMDb are counted, never raised."""

    def __init__(
        self, stop: StopEvent, seconds: float = math.inf, report: "Callable[[Refresh], None] | None" = None
    ) -> None:
        self.stop, self.report = stop, report
        self.deadline = time.monotonic() + seconds
        self.read = self.not_found = self.failed = 0
        self.error = ""  # why the run stopped
        self.tmdb = TMDb()
        self.tmdb.attempts = 2  # a movie that cannot be read now is tried again tomorrow

    @property
    def done(self) -> int:
        return self.read + self.not_found + self.failed

    def __str__(self) -> str:
        counts = f"{self.read} read, {self.not_found} gone from TMDb, {self.failed} failed"
        return f"{counts}; {self.error}" if self.error else counts

    def run(self, movies: Sequence[Movie]) -> "Refresh":
        """Read these movies again, until the stop event, the deadline, or an error that concerns them all."""
        failures_in_a_row = 0
        for movie in movies:
            if self.stop.is_set() or time.monotonic() > self.deadline or self.error:
                break
            outcome = self._read_again(movie)
            if outcome is None:
                continue
            self.read += outcome is Outcome.READ
            self.not_found += outcome is Outcome.NOT_FOUND
            self.failed += outcome is Outcome.FAILED
            failures_in_a_row = failures_in_a_row + 1 if outcome is Outcome.FAILED else 0
            if failures_in_a_row == MAX_CONSECUTIVE_FAILURES:
                self.error = self.error or "TMDb does not answer"
            if self.report:
                self.report(self)
        return self

    def _read_again(self, movie: Movie) -> Outcome | None:
        """Read one movie; None where another process has just claimed it."""
        # the attempt is recorded before it is made, so that a movie that kills the worker goes to the back as well
        claim = Movie.objects.filter(pk=movie.pk, details_tried_at=movie.details_tried_at)
        if not claim.update(details_tried_at=int(time.time())):
            return None
        try:
            save_movies([fetch_movie(movie.pk, self.tmdb)])
            return Outcome.READ
        except NotFound:
            log.info("movie %s: gone from TMDb; its row stays", movie.pk)
            Movie.objects.filter(pk=movie.pk).update(details_at=int(time.time()))
            return Outcome.NOT_FOUND
        except KeyRefused as error:
            self.error = str(error)
        except TMDbError as error:
            log.warning("movie %s could not be read again: %s", movie.pk, error)
        return Outcome.FAILED


def due_movies(limit: int | None = None) -> list[Movie]:
    """Movies to read again now, the longest unread first, then those known from a list row only.

    Without `limit`, as many as an hour's quota.
    """
    now = int(time.time())
    movies = Movie.objects.exclude(lately("details_tried_at", RETRY_AFTER_SECONDS)).only("pk", "details_tried_at")
    oldest = movies.filter(details_at__lte=now - REFRESH_AFTER_SECONDS).order_by("details_at")
    due = list(oldest[: hourly_quota(now) if limit is None else limit])
    from_lists = movies.filter(details_at=None).order_by("pk")
    return due + list(from_lists[: MAX_LIST_ROWS if limit is None else limit - len(due)])


def hourly_quota(now: int) -> int:
    """How many movies to read in an hour, so that none grows older than five months."""
    movies = Movie.objects.count()
    overdue = Movie.objects.filter(details_at__lte=now - REFRESH_DEADLINE_SECONDS).count()
    return max(math.ceil(movies / SPREAD_HOURS), min(overdue, math.ceil(movies / CATCH_UP_HOURS)))
