"""One training run: read all ratings, fit the model, write its rows next to the ones in use, switch over.

Runs in a process of its own (manage.py build_recommendations), the only one that loads numpy. Rows carry the run's
number and are not read until one update finishes the run; a run that ends at any earlier moment has changed nothing.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import TypeVar

import numpy as np
from django.db import DatabaseError, connection, transaction
from django.db.models import FloatField, Max
from django.db.models.functions import Cast

from config.jobs.locks import lock
from config.lock_order import lock_rows
from movies.models import Movie
from ratings.models import Rating, SimilarMovies, TrainingRun
from ratings.recommendations import ease
from ratings.recommendations.ease import MovieNeighbours, RatingChunk, RatingMatrix, Report
from ratings.recommendations.movielens import Archive, ArchiveError
from ratings.recommendations.recommender import PRIOR_MEAN, PRIOR_VOTES
from ratings.recommendations.training_process import LOCK_NAME
from ratings.recommendations.user_profile import POPULARITY_ITEM

MIN_CHANGED_SHARE = 0.01  # of the ratings, for another run to be worth while
BATCH_ROWS = 10_000  # rows in a statement or transaction, so that others can write in between …
BATCH_MOVIES = 250  # … or movies with all their neighbours
REPORT_INTERVAL_SECONDS = 0.5
MAX_POPULAR_MOVIES = 500  # neighbours of POPULARITY_ITEM
TMDB_PRIOR_USERS = 25  # users of the bot whose ratings count as much as TMDb's votes in what is popular
MIN_USERS_FOR_PAIRS = 50  # below, a movie that a single user has rated is learned from too
ARCHIVE_USERS_PER_WEIGHT = 2000  # users of an archive for which each user of the bot counts once more …
MAX_USER_WEIGHT = 10  # … up to so many times
MAX_RUNS = 50  # rows of training_runs that are retained

STOPPED, DIED = "stopped", "died"  # errors of runs, other than those in words

T = TypeVar("T")


class AlreadyRunning(Exception):
    """Another process is training."""


class Stopped(Exception):
    """The run was stopped; the model in use is unchanged."""


def train(
    archive: Archive | None = None,
    force: bool = False,
    report: Report = lambda words: None,
    stop: threading.Event | None = None,
    triggered_by: str = "",
) -> TrainingRun | None:
    """Train and let the result serve; the finished run, or None where too little has changed.

    `archive` is learned from as well; `report` is called with each step in words; `triggered_by` is shown in the admin.
    Raises AlreadyRunning, Stopped (once `stop` is set), ArchiveError, ArithmeticError.
    """
    stop = stop or threading.Event()
    with lock(LOCK_NAME) as acquired:
        if not acquired:
            raise AlreadyRunning
        current = TrainingRun.objects.current()
        path = str(archive.path) if archive else ""
        if (
            current
            and not force
            and current.archive == path
            and current.changes() <= MIN_CHANGED_SHARE * current.ratings
        ):
            TrainingRun.objects.filter(pk=current.pk).update(checked_at=int(time.time()))
            delete_old_runs(except_for=TrainingRun.objects.finished()[:2])
            return None
        delete_old_runs(except_for=[current] if current else [])
        run = TrainingRun.objects.create(started_at=int(time.time()), archive=path, triggered_by=triggered_by)

        def step(words: str) -> None:
            if stop.is_set():
                raise Stopped
            TrainingRun.objects.filter(pk=run.pk).update(progress=words)
            report(words)

        try:
            write_model(run, archive, step)
        except Exception as error:
            with suppress(DatabaseError):
                TrainingRun.objects.filter(pk=run.pk).update(error=failure_reason(error))
            raise
        run.progress, run.finished_at = "", int(time.time())
        columns = {field.attname: getattr(run, field.attname) for field in TrainingRun._meta.concrete_fields[1:]}
        if not TrainingRun.objects.running().filter(pk=run.pk).update(**columns):
            raise AlreadyRunning  # another process has taken this run for a dead one
    return run


def failure_reason(error: Exception) -> str:
    """What the admin shows of an error: words only where they are our own."""
    if isinstance(error, Stopped):
        return STOPPED
    return str(error) if isinstance(error, (ArchiveError, ArithmeticError)) else type(error).__name__


def write_model(run: TrainingRun, archive: Archive | None, step: Report) -> None:
    """Fit the model and write its rows; fills in the counts of `run` without saving it."""
    step("reading the ratings")
    every_rating = ease.read_ratings(chain(archive_ratings(run, archive), bot_ratings(run)))
    popular = popularity_row(every_rating)
    ratings = every_rating.with_min_count(1 if every_rating.n_users < MIN_USERS_FOR_PAIRS else 2)
    del every_rating  # the largest matrix is still to come
    model = ease.fit(ratings, report=step)
    run.order_weight = model.order
    links_to: Counter[int] = Counter()
    done, reported = 0, 0.0
    for batch in batched(model.by_movie(), BATCH_MOVIES):
        save_rows(run, batch)
        done += len(batch)
        for row in batch:
            run.neighbours += len(row.neighbour_ids)
            links_to.update(row.neighbour_ids.tolist())
        if time.monotonic() > reported + REPORT_INTERVAL_SECONDS:
            reported = time.monotonic()
            step(f"writing neighbours: film {done} of {len(ratings.movie_ids)}")
    run.movies = len(ratings.movie_ids)
    save_rows(run, [popular])
    links_to.update(popular.neighbour_ids.tolist())
    queue_missing_movies(links_to)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE similar_movies")
    step("switching over")


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter; itertools has it from Python 3.12 on."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def archive_ratings(run: TrainingRun, archive: Archive | None) -> Iterator[RatingChunk]:
    """The archive's ratings, counted into the run; its users get ids below 0."""
    if archive is None:
        return
    for chunk in archive.chunks():
        run.archive_users, run.archive_ratings = archive.users, archive.ratings
        yield chunk._replace(user_ids=-chunk.user_ids)


def bot_ratings(run: TrainingRun) -> Iterator[RatingChunk]:
    """The bot's own ratings, counted into the run; each user counts for several of a large archive's."""
    weight = min(MAX_USER_WEIGHT, max(1.0, run.archive_users / ARCHIVE_USERS_PER_WEIGHT))
    rows = (
        Rating.objects.order_by("user_id", "movie_id")
        .annotate(as_float=Cast("normalized_rating", FloatField()))
        .values_list("user_id", "movie_id", "as_float", "rated_at")
    )
    last_user, rest = None, rows
    while batch := list(rest[:BATCH_ROWS]):  # no cursor: PgBouncer may give each query another connection
        # the first condition is for SQLite's plan
        rest = rows.filter(user_id__gte=batch[-1][0], pk__gt=batch[-1][:2])
        users, movies, values, times = (np.array(column) for column in zip(*batch, strict=True))
        run.ratings += len(users)
        run.users += len(np.unique(users)) - int(users[0] == last_user)
        last_user = users[-1]
        yield RatingChunk(users, movies, values, times, weight)


def save_rows(run: TrainingRun, rows: Iterable[MovieNeighbours]) -> None:
    """Add rows to those of the run, in one transaction."""
    columns = "run_id, movie_id, movie_ids, weights, nearest"
    values = [
        (
            run.pk,
            row.movie_id,
            row.neighbour_ids.astype("<i4").tobytes(),
            row.weights.astype("<f4").tobytes(),
            row.n_nearest,
        )
        for row in rows
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY similar_movies ({columns}) FROM STDIN") as copy:
                for row in values:
                    copy.write_row(row)
        else:
            cursor.executemany(f"INSERT INTO similar_movies ({columns}) VALUES (%s, %s, %s, %s, %s)", values)


def popularity_row(ratings: RatingMatrix) -> MovieNeighbours:
    """The row of POPULARITY_ITEM: what our users rate and, while they are few, what TMDb's visitors vote well for."""
    share = dict(zip(ratings.movie_ids.tolist(), ease.popularity(ratings).tolist(), strict=True))
    tmdb_points = {
        movie_id: max(0.0, (votes * mean + PRIOR_VOTES * PRIOR_MEAN) / (votes + PRIOR_VOTES) - PRIOR_MEAN)
        for movie_id, votes, mean in Movie.objects.filter(vote_count__gt=0)
        .values_list("pk", "vote_count", "vote_average")
        .iterator()
    }
    total = sum(tmdb_points.values()) or 1.0
    n_users = ratings.n_users
    for movie_id in share:
        share[movie_id] *= n_users / (n_users + TMDB_PRIOR_USERS)
    for movie_id, points in tmdb_points.items():
        share[movie_id] = share.get(movie_id, 0.0) + points / total * TMDB_PRIOR_USERS / (n_users + TMDB_PRIOR_USERS)
    best = sorted(share.items(), key=lambda item: (-item[1], item[0]))[:MAX_POPULAR_MOVIES]
    movie_ids, weights = zip(*best, strict=True) if best else ((), ())
    return MovieNeighbours(POPULARITY_ITEM, np.array(movie_ids, np.int64), np.array(weights, np.float32), 0)


def queue_missing_movies(links_to: Counter[int]) -> None:
    """Have the details worker read exactly the movies that rows lead to, {movie id: from how many}, and `movies` lacks.

    Such a movie is a row with nothing but its id, which no list shows.
    """
    unknown = Movie.objects.filter(title="", details_at=None, ratings=None)
    for batch in batched(unknown.values_list("pk", flat=True), BATCH_ROWS):
        with transaction.atomic():
            needless = Movie.objects.filter(pk__in=[movie_id for movie_id in batch if movie_id not in links_to])
            still_bare = lock_rows(needless.filter(title="", details_at=None))
            Movie.objects.filter(pk__in=still_bare, ratings=None).delete()
    by_need = (movie_id for movie_id, _links in links_to.most_common())
    for first, batch in enumerate(batched(by_need, BATCH_ROWS)):
        rows = [Movie(pk=movie_id, search_text="|", details_place=first) for movie_id in sorted(batch)]
        Movie.objects.bulk_create(rows, ignore_conflicts=True)


def delete_old_runs(except_for: Iterable[TrainingRun]) -> None:
    """Delete the rows of all other runs, a batch at a time, and all but the latest MAX_RUNS of the runs themselves.

    Marks a run that has not finished as dead. The run before the current one stays until the next, so that a request
    that has just read its number still finds its rows.
    """
    retained = {run.pk for run in except_for}
    TrainingRun.objects.running().update(error=DIED)
    latest = TrainingRun.objects.order_by("-pk").values_list("pk", flat=True)[:MAX_RUNS]
    TrainingRun.objects.exclude(pk__in=[*retained, *latest]).delete()
    number = 0
    while following := SimilarMovies.objects.filter(run_id__gt=number).order_by("run_id").first():
        number = following.run_id
        while number not in retained and (rows := SimilarMovies.objects.filter(run_id=number)).exists():
            batch = rows.order_by("movie_id").values("movie_id")[:BATCH_ROWS]
            last = batch.aggregate(last=Max("movie_id"))["last"]
            with transaction.atomic():
                rows.filter(movie_id__lte=last).delete()
