"""Learning which films go together, from everybody's ratings: read, related, written beside the old table, switched.

Runs in a process of its own (manage.py build_recommendations), the only one that loads numpy. What is written bears the
build's number and is seen by nobody until one update finishes the build; ended at any moment, it has changed nothing.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import suppress
from itertools import chain, islice

import numpy as np
from django.db import DatabaseError, connection, transaction
from django.db.models import FloatField, Max
from django.db.models.functions import Cast

from config.jobs.locks import lock
from movies.models import Movie
from ratings.models import Build, Neighbours, Rating, WantedFilm
from ratings.recommendations import ease
from ratings.recommendations.movielens import ArchiveError
from ratings.recommendations.recommender import PRIOR_MEAN, PRIOR_VOTES
from ratings.recommendations.training_process import LEASE
from ratings.recommendations.user_profile import EVERYBODY

LITTLE = 0.01  # share of the ratings that may have changed before another build is worth while
AT_ONCE = 10_000  # rows in a statement or transaction: others write in between …
FILMS_AT_ONCE = 250  # … or films with all their neighbours
POPULAR = 500  # films that film 0 leads to
YOUNG = 25  # people from which our own idea of what is popular outweighs TMDb's
FEW = 50  # people below whom a film that one of them has rated says something
OWN_WEIGHT = 2000  # people of an archive for which each of our own counts once more …
MOST_WEIGHT = 10  # … up to so many times


STOPPED, DIED = "stopped", "died"  # errors of builds, beside those in words


class Busy(Exception):
    """Another process is building."""


class Stopped(Exception):
    """The build was told to stop; the table is as it was."""


def build(
    archive=None, force: bool = False, tell=lambda words: None, stop: threading.Event | None = None, asked_by: str = ""
):
    """Learn anew and let the result serve; the finished Build, or None where too little has changed.

    `archive`: a ratings.recommendations.movielens.Archive to learn from besides, None for none; `tell` hears what is
    being done, `stop` is an event, and `asked_by` is kept for the back office. Raises Busy, Stopped, ArchiveError.
    """
    stop = stop or threading.Event()
    with lock(LEASE, seconds=30) as free:
        if not free:
            raise Busy
        current = Build.objects.current()
        path = str(archive.path) if archive else ""
        if current and not force and current.archive == path and current.changes() <= LITTLE * current.ratings:
            Build.objects.filter(pk=current.pk).update(checked_at=int(time.time()))
            sweep(keep=Build.objects.finished()[:2])
            return None
        sweep(keep=[current] if current else [])
        run = Build.objects.create(started_at=int(time.time()), archive=path, asked_by=asked_by)

        def step(words: str) -> None:
            if stop.is_set():
                raise Stopped
            Build.objects.filter(pk=run.pk).update(progress=words)
            tell(words)

        try:
            learn(run, archive, step)
        except Exception as error:
            with suppress(DatabaseError):
                Build.objects.filter(pk=run.pk).update(error=reason(error))
            raise
        run.progress, run.finished_at = "", int(time.time())
        if (
            not Build.objects.running()
            .filter(pk=run.pk)
            .update(**{field.attname: getattr(run, field.attname) for field in Build._meta.concrete_fields[1:]})
        ):
            raise Busy  # another process has taken this build for a dead one
    return run


def reason(error: Exception):
    """What the list of builds says of an error: words only where they are our own."""
    if isinstance(error, Stopped):
        return STOPPED
    return str(error) if isinstance(error, (ArchiveError, ArithmeticError)) else type(error).__name__


def learn(run, archive, step) -> None:
    """Write the rows of one build and fill its figures in."""
    step("reading the ratings")
    everything = ease.read(chain(archive_ratings(run, archive), own_ratings(run)))
    favourites = popular(everything)
    kept = everything.at_least(1 if everything.people < FEW else 2)
    del everything  # the largest matrix is still to come
    model = ease.build(kept, tell=step)
    run.order_strength = model.order
    led_to, done, said = Counter(), 0, 0.0
    for part in batched(model.by_film(), FILMS_AT_ONCE):
        write(run, part)
        done += len(part)
        for _film, others, _weights, _nearest in part:
            run.neighbours += len(others)
            led_to.update(others.tolist())
        if time.monotonic() > said + 0.5:
            said = time.monotonic()
            step(f"writing neighbours: film {done} of {len(kept.films)}")
    run.films = len(kept.films)
    write(run, [favourites])
    led_to.update(favourites[1].tolist())
    want_films(led_to)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE neighbours")
    step("switching over")


def batched(items, count: int):
    """Lists of `count` items, the last one shorter; itertools has it from Python 3.12 on."""
    items = iter(items)
    while part := list(islice(items, count)):
        yield part


def archive_ratings(run, archive):
    """The archive's ratings in chunks for neighbours.read, counted into the build; its people get ids below 0."""
    for people, films, values, times in archive.chunks() if archive else ():
        run.archive_people, run.archive_ratings = archive.people, archive.ratings
        yield -people, films, values, times


def own_ratings(run):
    """The bot's own ratings in chunks for neighbours.read, counted into the build.

    Beside a large archive each of our people counts for more than one of the archive's.
    """
    weight = min(MOST_WEIGHT, max(1.0, run.archive_people / OWN_WEIGHT))
    rows = (
        Rating.objects.order_by("user_id")
        .annotate(value=Cast("normalized_rating", FloatField()))
        .values_list("user_id", "movie_id", "value", "rated_at")
    )
    before = None
    for part in batched(rows.iterator(chunk_size=AT_ONCE), AT_ONCE):
        people, films, values, times = (np.array(column) for column in zip(*part, strict=True))
        run.ratings += len(people)
        run.people += len(np.unique(people)) - (people[0] == before)
        before = people[-1]
        yield people, films, values, times, weight


def write(run, films) -> None:
    """Add (film, neighbours, weights, how many are the most alike) of some films to those of the build."""
    columns = "build_id, movie_id, films, weights, nearest"
    rows = [
        (run.pk, int(film), others.astype("<i4").tobytes(), weights.astype("<f4").tobytes(), nearest)
        for film, others, weights, nearest in films
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY neighbours ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            cursor.executemany(f"INSERT INTO neighbours ({columns}) VALUES (%s, %s, %s, %s, %s)", rows)


def popular(ratings):
    """What film 0 leads to, as write() takes it: what our people rate, and while they are few, what TMDb's visitors
    vote well for."""
    share = dict(zip(ratings.films.tolist(), ease.popularity(ratings).tolist(), strict=True))
    voted = {
        movie: max(0.0, (votes * mean + PRIOR_VOTES * PRIOR_MEAN) / (votes + PRIOR_VOTES) - PRIOR_MEAN)
        for movie, votes, mean in Movie.objects.filter(vote_count__gt=0)
        .values_list("pk", "vote_count", "vote_average")
        .iterator()
    }
    total = sum(voted.values()) or 1.0
    for film in share:
        share[film] *= ratings.people / (ratings.people + YOUNG)
    for film, points in voted.items():
        share[film] = share.get(film, 0.0) + points / total * YOUNG / (ratings.people + YOUNG)
    best = sorted(share.items(), key=lambda one: (-one[1], one[0]))[:POPULAR]
    films, weights = zip(*best, strict=True) if best else ((), ())
    return EVERYBODY, np.array(films, int), np.array(weights, float), 0


def want_films(led_to) -> None:
    """Let the worker's list be the films that the rows lead to, {film: from how many}, and that `movies` lacks."""
    for part in batched(sorted(led_to), AT_ONCE):
        known = set(Movie.objects.filter(pk__in=part).values_list("pk", flat=True))
        WantedFilm.objects.bulk_create(
            [WantedFilm(movie_id=film, wanted=led_to[film]) for film in part if film not in known],
            update_conflicts=True,
            unique_fields=["movie_id"],
            update_fields=["wanted"],
        )
    WantedFilm.objects.filter(movie_id__in=Movie.objects.values("pk")).delete()
    needless = (film for film in WantedFilm.objects.values_list("pk", flat=True).iterator() if film not in led_to)
    for part in batched(list(needless), AT_ONCE):
        WantedFilm.objects.filter(pk__in=part).delete()


def sweep(keep) -> None:
    """Delete rows of other builds than these, a part at a time, and all but the latest 50 builds.

    A build that was at work is taken for dead. The build before the present one stays until the next, so that nobody
    who has just read its number finds it empty.
    """
    kept = {build.pk for build in keep}
    Build.objects.running().update(error=DIED)
    latest = Build.objects.order_by("-pk").values_list("pk", flat=True)[:50]
    Build.objects.exclude(pk__in=[*kept, *latest]).delete()
    number = 0
    while (number := first_build_after(number)) is not None:
        while number not in kept and (rows := Neighbours.objects.filter(build_id=number)).exists():
            part = rows.order_by("movie_id").values("movie_id")[:AT_ONCE]
            last = part.aggregate(last=Max("movie_id"))["last"]
            with transaction.atomic():
                rows.filter(movie_id__lte=last).delete()


def first_build_after(number: int):
    row = Neighbours.objects.filter(build_id__gt=number).order_by("build_id").values_list("build_id").first()
    return row and row[0]
