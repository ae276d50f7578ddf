"""Keeping what we know of films fresh: each is read again between three and five months after it was last read.

TMDb's terms of use allow its data to be kept for six months. Where asking what changed is cheaper than reading the
films, those that TMDb says have not changed are left until the end of that time.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db.models import F, Q

from config.jobs.locks import lock
from movies.catalogue import fetch_movie, save_movies
from movies.models import KnownChanges, Movie
from movies.tmdb import KeyRefused, NotFound, TMDb, TMDbError

if TYPE_CHECKING:
    from threading import Event

    from django.db.models.query_utils import Q

log = logging.getLogger(__name__)

DAY = 86_400
RIPE = 90 * DAY  # seconds; from this age on a film may be read again …
LATE = 135 * DAY  # … and from this one it has to be, changed or not, so that none grows older than 150 days
SPREAD = 1200  # hours over which ripe films are spread
HURRY = 300  # hours in which late ones are read
AGAIN = DAY  # seconds until a film that could not be read is tried again
MOST_LISTED = 200  # films known from list rows only that one run reads besides
MOST_FAILURES = 3  # one after another, and it is TMDb that fails, not the films
LONGEST_RANGE = 14 * DAY  # that /movie/changes tells of at once (TMDb: error 20)
LAST_PAGE = 500  # of any list (TMDb: error 22)


class Refresh:
    """One run and what came of it."""

    def __init__(self, stop: Event, seconds: float | int = math.inf, report: Callable | None = None) -> None:
        self.stop, self.report = stop, report
        self.deadline = time.monotonic() + seconds
        self.read = self.gone = self.failed = 0
        self.trouble = ""
        self.tmdb = TMDb()
        self.tmdb.attempts = 2  # a film that does not come now has its turn again tomorrow

    @property
    def done(self) -> int:
        return self.read + self.gone + self.failed

    def __str__(self) -> str:
        words = f"{self.read} read, {self.gone} gone from TMDb, {self.failed} failed"
        return f"{words}; {self.trouble}" if self.trouble else words

    def run(self, films: list[Any | Movie]) -> Refresh:
        """Read these films again. Raises no TMDbError: the run tells of them."""
        in_a_row = 0
        for movie in films:
            if self.stop.is_set() or time.monotonic() > self.deadline or self.trouble:
                break
            outcome = self.read_again(movie)
            if outcome:
                setattr(self, outcome, getattr(self, outcome) + 1)
                in_a_row = in_a_row + 1 if outcome == "failed" else 0
                if in_a_row == MOST_FAILURES:
                    self.trouble = self.trouble or "TMDb does not answer"
            if self.report:
                self.report(self)
        return self

    def read_again(self, movie: Movie) -> str | None:
        """Read one film: "read", "gone", "failed", or None where another process has just taken it."""
        # the attempt is noted before it is made: a film that ends the worker goes to the back all the same
        mine = Movie.objects.filter(pk=movie.pk, details_tried_at=movie.details_tried_at)
        if not mine.update(details_tried_at=int(time.time())):
            return None
        try:
            save_movies([fetch_movie(movie.pk, self.tmdb)])
            return "read"
        except NotFound:
            log.info("film %s: gone from TMDb; kept as it is", movie.pk)
            Movie.objects.filter(pk=movie.pk).update(details_at=int(time.time()))
            return "gone"
        except KeyRefused as error:
            self.trouble = str(error)
        except TMDbError as error:
            log.warning("film %s could not be read again: %s", movie.pk, error)
        return "failed"


def due_films(limit: int | None = None) -> list[Any | Movie]:
    """Films to read again now, the longest unread first, then those known from a list row only.

    Without `limit`, as many as an hour's share is.
    """
    now = int(time.time())
    films = Movie.objects.filter(details_tried_at__lte=now - AGAIN).only("pk", "details_tried_at")
    ripe = films.filter(worth_reading(now), details_at__lte=now - RIPE).order_by("details_at")
    ripe = list(ripe[: share(now) if limit is None else limit])
    listed = films.filter(details_at=None).order_by("pk")
    return ripe + list(listed[: MOST_LISTED if limit is None else limit - len(ripe)])


def share(now: int) -> int:
    """How many films to read in an hour, so that none grows older than five months."""
    films = Movie.objects.count()
    late = Movie.objects.filter(details_at__lte=now - LATE).count()
    return max(math.ceil(films / SPREAD), min(late, math.ceil(films / HURRY)))


# --- What did not change


def worth_reading(now: int) -> Q:
    """Ripe films that are late, or changed, or of which that is not known."""
    known = KnownChanges.objects.filter(until__gt=now - 2 * DAY).first()
    if known is None:
        return Q()
    return Q(details_at__lte=now - LATE) | Q(details_at__lt=known.since) | Q(changed_at__gt=F("details_at"))


def read_changes(tmdb: TMDb) -> None:
    """Note which films TMDb says have changed up to yesterday, where that takes fewer calls than reading them.

    Where it does not, what is known is forgotten, and begins anew today. Raises TMDbError.
    """
    today = int(time.time()) // DAY * DAY
    known, _new = KnownChanges.objects.get_or_create(pk=1, defaults={"since": today, "until": today})
    while known.until < today:
        until = min(known.until + LONGEST_RANGE, today)
        # half a year's films, each read once or twice in that time, half of them for nothing
        worth = Movie.objects.count() * (until - known.until) / LATE
        page = pages = 1
        while page <= pages:
            reply = tmdb.changes(day(known.until), day(until - DAY), page)
            pages = reply.get("total_pages") or 1
            if pages > min(worth, LAST_PAGE):
                KnownChanges.objects.update(since=today, until=today)
                return
            changed = [row.get("id") for row in reply.get("results") or [] if isinstance(row, dict)]
            Movie.objects.filter(pk__in=[i for i in changed if isinstance(i, int)]).update(changed_at=until)
            page += 1
        known.until = until
        known.save(update_fields=["until"])


def day(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def refresh_movies(run: Refresh, limit: int | None = None) -> Refresh:
    """Note what changed, then read the films that are due."""
    with lock("movies.changes") as free:
        if free:
            try:
                read_changes(run.tmdb)
            except TMDbError as error:
                log.warning("TMDb does not say what changed: %s", error)
    return run.run(due_films(limit))
