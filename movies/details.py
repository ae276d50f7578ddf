"""Details of films, read from TMDb by one worker at a time: the table `movies` is its queue.

First come films that somebody looks at, then those of running imports by their place in them, so that 30 films never
wait for 12,000, then all others known from a list row only, last those whose details are REFRESH_AFTER_SECONDS old.
A claim is an update that counts the attempt before it is made and moves the next try ahead, so that the claims of a
worker that dies expire by themselves. Threads do HTTP; one thread, the caller's, claims films and writes what came.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from functools import partial

from django.core.cache import cache
from django.db import DatabaseError, OperationalError, connections, transaction
from django.db.models import F
from django.utils.translation import gettext_noop as _

from config.database import async_commit_transaction
from config.jobs import rate_limiter
from config.jobs.enqueue import StopEvent, async_task
from config.jobs.locks import is_locked, lock
from config.jobs.run import Run
from config.lock_order import again_if_lost, update_rows
from config.monitoring import metrics
from config.monitoring.logs import with_correlation_id
from movies import request_pool
from movies.merging import merge_into
from movies.models import Movie, PendingCard, PosterPriority
from movies.parsing import MalformedAnswer, parse_details, parse_movies
from movies.request_pool import CircuitBreaker, Probe, Request, RequestPool
from movies.saving import save_movies
from movies.tmdb import BadRequest, KeyRefused, NotFound, Oversized, TMDb, TMDbError, Unavailable

log = logging.getLogger(__name__)

LEASE = "movies.details"
TASK = "movies.tasks.read_details"
THREADS = 10  # with the six of an import, 16 of the 20 connections TMDb takes from one address
MAX_CLAIMED = 2 * THREADS  # so that no thread waits for the database
BATCH_SECONDS = 0.1  # films that come within it are written in one transaction
MAX_BATCH = 50
POLL_SECONDS = 0.25  # between two looks for films where none were due
CLAIM_TTL_SECONDS = 60  # longer than any request
FIRST_RETRIES_SECONDS = (1, 2, 4)  # then the failure counts as TMDb's answer
BROKEN_RETRY_SECONDS = 600  # for details that TMDb cannot show; then three times as long
NOT_FOUND_RETRY_SECONDS = 7 * 86_400  # for a film that TMDb does not have; then twice as long
MAX_RETRY_SECONDS = 60 * 86_400
POSTER_WAKE_UP_SECONDS = 15.0  # between two wake-ups of the poster worker

ERROR_KEY = "details:error"  # in the cache: why TMDb gives no details at all just now
GONE = "gone: "  # begins the error of a film that TMDb does not have
REASON_GONE, REASON_BROKEN = _("no longer on TMDb"), _("TMDb answers with an error")
NO_ANSWER, KEY_REFUSED = _("TMDb does not answer"), _("TMDb refuses TMDB_API_KEY")


def new_run(limit: int | None, seconds: float | None, stop: StopEvent) -> Run:
    return Run(limit, seconds, stop, not_found_label="gone from TMDb")


def wake() -> None:
    """Have a worker read details soon, unless one is at work."""
    if not is_locked(LEASE) and not rate_limiter.try_acquire(f"enqueue:{TASK}", 1):
        async_task(TASK, save=False)


def request_details(movie: Movie) -> bool:
    """Have the details of a movie that somebody looks at read at once; False where they will not come soon."""
    if movie.details_at is not None or movie.details_error:
        return False
    Movie.objects.filter(pk=movie.pk).prioritize_details(PosterPriority.ASKED)
    wake()
    return True


def error() -> str:
    """Why TMDb gives no details at all just now; empty where it does."""
    return str(cache.get(ERROR_KEY) or "")


def failure_reason(details_error: str) -> str:
    """Why TMDb does not show a film's details, as a msgid for people."""
    return REASON_GONE if details_error.startswith(GONE) else REASON_BROKEN


@dataclass(eq=False)
class DetailsRequest(Request):
    movie: Movie | None = None


class DetailsWorker:
    """One run. Errors of TMDb become its counts and errors, never exceptions; raises DatabaseError."""

    def __init__(self, run: Run, until_stopped: bool = False) -> None:
        self.run, self.until_stopped = run, until_stopped
        self.pool: RequestPool[DetailsRequest] = RequestPool("details", THREADS)
        self.breaker = CircuitBreaker()
        self.interactive = TMDb(background=False)
        self.interactive.attempts = 1
        self.fetched: list[tuple[Movie, Movie]] = []  # (as claimed, with details), to be written
        self.fetched_since = 0.0
        self.unattributed: dict[Movie, TMDbError] = {}  # failed requests: the film or TMDb may be at fault
        self.is_closing = False
        self.next_claim_at = 0.0
        self.posters_woken_at = -POSTER_WAKE_UP_SECONDS

    def work(self) -> Run:
        """Read details until none are due (with `until_stopped`: however long that takes) or the run is over."""
        self.pool.start()
        try:
            self._loop()
        finally:
            self.pool.stop()
        return self.run

    def _loop(self) -> None:
        closing_since = 0.0
        while True:
            now = time.monotonic()
            if self.is_closing or self.run.stop.is_set() or self.run.seconds_left <= 0:
                closing_since = closing_since or now
                if not self.pool.in_progress or now > closing_since + request_pool.DRAIN_SECONDS:
                    break
            elif self.breaker.is_open:
                self._probe(now)
            elif now >= self.next_claim_at and len(self.pool.in_progress) <= MAX_CLAIMED - THREADS:
                self._submit(now)
            if received := self.pool.receive(timeout=0.02 if self.fetched else 0.05):
                self._take(*received)
            idle = not self.pool.in_progress
            if self.fetched and (idle or len(self.fetched) >= MAX_BATCH or now > self.fetched_since + BATCH_SECONDS):
                self._save()
            elif idle and self.unattributed:
                self.breaker.open()  # is it the film, or TMDb? a probe tells
            elif idle and now < self.next_claim_at and not self.until_stopped and not retry_is_near():
                break
        self._save()
        self._give_up_hanging()
        self._release(list(self.unattributed))

    def _submit(self, now: float) -> None:
        claimed = self._claim(MAX_CLAIMED - len(self.pool.in_progress))
        if not claimed:
            self.next_claim_at = now + POLL_SECONDS
        for movie in claimed:
            asked = movie.details_priority == PosterPriority.ASKED
            call = partial(_fetch, movie, self.interactive if asked else None)
            self.pool.send(DetailsRequest(call, movie=movie))

    def _claim(self, limit: int) -> list[Movie]:
        """Claim up to `limit` due films, most urgent first, for one attempt each."""
        busy = [
            request.movie.pk
            for request in self.pool.in_progress
            if isinstance(request, DetailsRequest) and request.movie
        ]
        busy += [movie.pk for movie, _fetched in self.fetched]
        due = [Movie.objects.awaiting_details(), Movie.objects.with_old_details()]
        if not any(movies.exists() for movies in due):
            return []  # SQLite is not locked only to find that there is nothing to do
        movies: list[Movie] = []
        limit = self.run.reserve(limit)
        with transaction.atomic():
            for queue in due:
                if left := limit - len(movies):
                    claimable = queue.exclude(pk__in=busy).select_for_update(skip_locked=True, no_key=True)
                    movies += claimable.only("details_at", "details_attempts", "details_priority", "imdb_id")[:left]
            now = int(time.time())
            Movie.objects.filter(pk__in=[movie.pk for movie in movies]).update(
                details_attempts=F("details_attempts") + 1,
                details_tried_at=now,
                details_next_try_at=now + CLAIM_TTL_SECONDS,
            )
        self.run.unreserve(limit - len(movies))
        for movie in movies:
            movie.details_attempts += 1
        return movies

    def _probe(self, now: float) -> None:
        """Nothing has succeeded lately: send a probe, and end the run when none is answered."""
        if not self.breaker.probe_is_due(now):
            return
        if self.breaker.service_is_down(now):
            self._close(NO_ANSWER)
            return
        self.breaker.is_probing = True
        self.pool.send(Probe())

    def _close(self, why: str) -> None:
        """Ask for nothing more in this run."""
        self.is_closing = True
        self.run.add_error(why)
        cache.set(ERROR_KEY, why, 60)

    # --- What came

    def _take(self, request: Request, answer: object) -> None:
        if isinstance(answer, KeyRefused):
            if cache.add("tmdb:key-refused", True, 3600):
                log.error("film details wait: %s", answer)
            self._close(KEY_REFUSED)
        elif isinstance(answer, Unavailable) and not isinstance(answer, (MalformedAnswer, Oversized)):
            self.breaker.record_failure()
        else:
            self._tmdb_answers()
        if isinstance(request, Probe):
            self.breaker.record_probe_answer()
        elif isinstance(request, DetailsRequest) and request.movie:
            self._take_details(request.movie, request.sent_at, answer)

    def _tmdb_answers(self) -> None:
        """So the requests that failed before are the fault of their films."""
        if not self.breaker.last_success:
            cache.delete(ERROR_KEY)
        self.breaker.record_success()
        failures, self.unattributed = self.unattributed, {}
        for movie, error in failures.items():
            self._retry_later(movie, error)

    def _take_details(self, movie: Movie, sent_at: float, answer: object) -> None:
        if isinstance(answer, Movie):
            if not self.fetched:
                self.fetched_since = time.monotonic()
            self.fetched.append((movie, answer))
        elif isinstance(answer, (NotFound, BadRequest)):
            log.info("movie %s: gone from TMDb; its row stays", movie.pk)
            delay = NOT_FOUND_RETRY_SECONDS * 2 ** (movie.details_attempts - 1)
            self._give_up(movie, f"{GONE}{answer}", delay)
            self.run.count("not_found")
        elif isinstance(answer, KeyRefused):
            self._release([movie])
        elif isinstance(answer, MalformedAnswer | Oversized) or self.breaker.last_success > sent_at:
            self._retry_later(movie, answer)
        elif isinstance(answer, TMDbError):
            self.unattributed[movie] = answer

    def _retry_later(self, movie: Movie, error: object) -> None:
        """The film's fault: a growing delay, soon that of a film which TMDb cannot show."""
        attempt = movie.details_attempts - 1
        if attempt < len(FIRST_RETRIES_SECONDS):
            next_try_at = int(time.time()) + FIRST_RETRIES_SECONDS[attempt]
            Movie.objects.filter(pk=movie.pk).update(details_next_try_at=next_try_at)
            self.run.count("postponed")
            return
        self._give_up(movie, str(error), BROKEN_RETRY_SECONDS * 3 ** (attempt - len(FIRST_RETRIES_SECONDS)))
        self.run.count("failed")

    def _give_up(self, movie: Movie, why: str, delay: int) -> None:
        """Leave the film as it is, and ask for its details again after a pause that grows."""
        metrics.count_failure("details", why)
        Movie.objects.filter(pk=movie.pk).update(
            details_error=why[:500],
            details_priority=PosterPriority.SOMEDAY,  # at the end of the queue, where no claim has to pass it
            details_next_try_at=int(time.time()) + min(delay, MAX_RETRY_SECONDS),
        )

    def _give_up_hanging(self) -> None:
        """At the end of the run: films without an answer, while TMDb answers otherwise, hold up no import."""
        for request in self.pool.in_progress:
            if isinstance(request, DetailsRequest) and request.movie:
                if request in self.pool.hanging() and self.breaker.last_success > request.sent_at:
                    self._give_up(request.movie, "no answer", BROKEN_RETRY_SECONDS)
                    self.run.count("failed")
                else:
                    self._release([request.movie])

    def _release(self, movies: list[Movie]) -> None:
        """It was not these films' fault: the attempt does not count, and they are due at once."""
        claimed = Movie.objects.filter(pk__in=[movie.pk for movie in movies])
        update_rows(claimed, details_attempts=F("details_attempts") - 1, details_next_try_at=0)

    def _save(self) -> None:
        """Write the films that came, in one short transaction; wake those who wait for them."""
        fetched, self.fetched = self.fetched, []
        if not fetched:
            return
        try:
            again_if_lost(partial(_write, fetched))
        except OperationalError:
            raise  # the database is away, or locked: nothing is wrong with any film
        except DatabaseError:
            for movie, details in fetched:
                try:
                    _write([(movie, details)])
                except DatabaseError as error:
                    log.exception("movie %s cannot be written", movie.pk)
                    self._retry_later(movie, error)
        for _film in fetched:
            self.run.count("done")
        if PendingCard.objects.filter(movie_id__in=[movie.pk for movie, _film in fetched]).exists():
            async_task("movies.tasks.edit_cards", save=False)
        now = time.monotonic()
        if now >= self.posters_woken_at + POSTER_WAKE_UP_SECONDS and any(film.poster_path for _movie, film in fetched):
            self.posters_woken_at = now
            async_task("posters.tasks.download_posters", save=False)


class DetailsThread:
    """The worker beside an import, in its process, unless another process has it."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def is_reading(self) -> bool:
        """Whether details are read, here or elsewhere; starts to read them here, once."""
        if self._thread is None:
            self._thread = threading.Thread(target=with_correlation_id(self._read), daemon=True, name="details")
            self._thread.start()
        return self._thread.is_alive() or is_locked(LEASE)

    def stop(self) -> None:
        self._stop.set()

    def join(self) -> None:
        self.stop()
        if self._thread:
            self._thread.join()

    def _read(self) -> None:
        try:
            with lock(LEASE) as free:
                if free:
                    DetailsWorker(new_run(None, None, self._stop), until_stopped=True).work()
        except Exception:
            log.exception("film details are not read any more in this run")
        finally:
            connections.close_all()


def _fetch(movie: Movie, interactive: TMDb | None, tmdb: TMDb) -> Movie:
    """Runs in a thread: a film somebody looks at takes the next slot of the rate limit.

    The answer is another movie where TMDb has merged two, or has dropped this one and kept another with its IMDb id.
    """
    tmdb = interactive or tmdb
    try:
        return parse_details(tmdb.movie(movie.pk))
    except NotFound:
        found = parse_movies({"results": tmdb.find(movie.imdb_id)["movie_results"]}) if movie.imdb_id else []
        for successor in found:
            if successor.pk != movie.pk:
                return parse_details(tmdb.movie(successor.pk))
        raise


def _write(fetched: list[tuple[Movie, Movie]]) -> None:
    for movie, film in fetched:
        film.poster_priority = movie.details_priority
    with async_commit_transaction():
        save_movies((film for _movie, film in fetched), priority=None)
    for movie, film in fetched:
        if movie.pk != film.pk:
            merge_into(movie.pk, film.pk)


def retry_is_near() -> bool:
    """Whether a film that has just failed is due again so soon that a run waits for it."""
    now = int(time.time())
    soon = (now, now + max(FIRST_RETRIES_SECONDS) + 1)
    return Movie.objects.lacking_details().filter(details_attempts__gt=0, details_next_try_at__range=soon).exists()
