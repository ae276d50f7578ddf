"""Details of rated movies: asked for once in a run, written in batches, put off where TMDb will not give them."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, OperationalError, connection, transaction

from config.jobs.enqueue import async_task
from movies.catalogue import fetch_movie
from movies.models import Movie, PosterPriority
from movies.saving import save_movies
from movies.tmdb import NotFound
from ratings.models import DetailsFailure
from ratings.tmdb_sync import limits
from ratings.tmdb_sync.active_imports import ActiveImports
from ratings.tmdb_sync.request_pool import Kind, Request
from ratings.tmdb_sync.user_import import UserImport

log = logging.getLogger(__name__)


@contextmanager
def async_commit_transaction() -> Iterator[None]:
    """A transaction that does not wait for the disk: if the database server crashes, TMDb is asked once more."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL synchronous_commit TO off")
        yield


class Details:
    """A movie that several users rated is asked for once in a run."""

    def __init__(self, imports: ActiveImports) -> None:
        self.backfill: deque[int] = deque()  # movies of no import in progress: their details failed some time ago
        self._imports = imports
        self._requested: set[int] = set()
        self._fetched: list[Movie] = []
        self._fetched_since = 0.0
        self._posters_enqueued_at = -limits.POSTER_WAKE_UP_SECONDS

    @property
    def is_pending(self) -> bool:
        """Whether there is something to write or to ask for, whatever the imports want."""
        return bool(self._fetched or self.backfill)

    def load_backfill(self) -> None:
        """Find movies whose details failed and are due for another attempt."""
        due = DetailsFailure.objects.filter(next_try_at__lte=int(time.time()), movie__details_at=None)
        self.backfill.extend(due.order_by("next_try_at").values_list("movie_id", flat=True)[:500])

    def next_request(self, active: UserImport) -> Request | None:
        while active.to_request:
            movie_id = active.to_request.popleft()
            if movie_id in active.missing and movie_id not in self._requested:
                return self._request(movie_id)
        return None

    def next_backfill_request(self) -> Request | None:
        while self.backfill:
            if (movie_id := self.backfill.popleft()) not in self._requested:
                return self._request(movie_id)
        return None

    def _request(self, movie_id: int) -> Request:
        self._requested.add(movie_id)
        return Request(Kind.DETAILS, movie_id, lambda tmdb: fetch_movie(movie_id, tmdb))

    def add(self, movie: Movie) -> None:
        """Have a movie written with the next batch."""
        if not self._fetched:
            self._fetched_since = time.monotonic()
        self._fetched.append(movie)

    def save_if_due(self, nothing_in_progress: bool) -> None:
        waited = time.monotonic() - self._fetched_since
        full = len(self._fetched) >= limits.DETAILS_BATCH
        if full or waited > limits.MAX_BATCH_WAIT_SECONDS or nothing_in_progress:
            self.save()

    def save(self) -> None:
        """Write the movies that came, in one short transaction."""
        movies, self._fetched = self._fetched, []
        if not movies:
            return
        try:
            self._write(movies)
        except OperationalError:
            raise  # the database is away, or locked: nothing is wrong with any movie
        except DatabaseError:
            for movie in movies:
                try:
                    self._write([movie])
                except DatabaseError as error:
                    log.exception("movie %s cannot be written", movie.id)
                    self.give_up(movie.id, error)
        if any(movie.poster_path for movie in movies):
            self.enqueue_posters()

    def _write(self, movies: list[Movie]) -> None:
        with async_commit_transaction():
            save_movies(movies, PosterPriority.IMPORT)
            ids = {movie.id for movie in movies}
            DetailsFailure.objects.filter(pk__in=ids).delete()
            self._imports.settle(ids)

    def give_up(self, movie_id: int, error: Exception) -> None:
        """Leave the movie as its list row has it; its details are asked for again after a pause that grows."""
        pause, factor = (limits.BROKEN_RETRY_SECONDS, 3)
        if isinstance(error, NotFound):
            pause, factor = (limits.NOT_FOUND_RETRY_SECONDS, 2)
        with transaction.atomic():
            failure, _new = DetailsFailure.objects.select_for_update().get_or_create(pk=movie_id)
            wait = min(pause * factor**failure.attempts, limits.MAX_DETAILS_RETRY_SECONDS)
            failure.next_try_at = int(time.time()) + wait
            failure.attempts, failure.error = failure.attempts + 1, str(error)[:500]
            failure.save()
            title = Movie.objects.values_list("title", flat=True).get(pk=movie_id)
            for active in self._imports:
                if movie_id in active.missing:
                    active.run.note("failed", movie_id, title=title)
            self._imports.settle({movie_id})

    def enqueue_posters(self) -> None:
        """Wake the poster worker, now and then."""
        now = time.monotonic()
        if now - self._posters_enqueued_at >= limits.POSTER_WAKE_UP_SECONDS:
            self._posters_enqueued_at = now
            async_task("posters.tasks.download_posters")
