"""Recommendations from files, to be judged from outside: the build and the code that /recommend uses, nothing else."""

import csv
import math
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path

from django.db import connection, transaction

from movies.catalogue import LARGEST_ID
from movies.models import Movie
from ratings.models import Build, Rating, TMDbNeighbour
from ratings.recommend import PAGE, Viewer, ranked
from users.models import User

AT_ONCE = 20_000  # rows in a transaction
LISTED = 2 * PAGE  # films for each person


class BadFile(Exception):
    """A file does not hold what it should; the text says where."""


class NotEmpty(Exception):
    """The database holds people, films or ratings: nothing may be mixed with them."""


def evaluate(folder, output, tell=lambda words: None, clock=time.perf_counter):
    """Read train.csv and profiles.csv into the empty database, build, write user,item,rank; returns ms for each person.

    The people of profiles.csv, where there is one, come after the build, which does not know them. Raises NotEmpty,
    BadFile.
    """
    from ratings.build import build  # loads numpy

    if any(model.objects.exists() for model in (User, Movie, Rating, Build, TMDbNeighbour)):
        raise NotEmpty
    folder = Path(folder)
    asked = read(folder / "train.csv")
    tell(f"{len(asked)} people in train.csv")
    build(force=True, tell=tell)
    if (folder / "profiles.csv").exists() and (profiles := read(folder / "profiles.csv")):
        asked = profiles
        tell(f"{len(asked)} people in profiles.csv")
    took = []
    with open(output, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user", "item", "rank"])
        for user in sorted(asked):
            began = clock()
            films = ranked(Viewer.of(user), LISTED)
            took.append((clock() - began) * 1000)
            rows.writerows((user, film, rank) for rank, film in enumerate(films, 1))
    return took


def read(path):
    """Put the ratings of a file user,item,rating (1-10),rated_at into the tables; returns its people."""
    people, films = set(), set()
    try:
        file = open(path, newline="", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise BadFile(f"{path.name}: {error.strerror}") from None
    with file:
        rows = lines(csv.reader(file), path.name)
        while part := list(islice(rows, AT_ONCE)):
            add(part, people, films)
    return people


def lines(rows, name):
    """(user, item, rating, time) of each line. Raises BadFile."""
    try:
        for row in rows:
            if rows.line_num == 1 and row[:3] == ["user", "item", "rating"]:
                continue
            with suppress(ValueError, IndexError, OverflowError):
                user, item, rating = int(row[0]), int(row[1]), float(row[2])
                rated_at = int(float(row[3]))
                if 0 < item <= LARGEST_ID and abs(user) < 2**63 and math.isfinite(rating) and 0.5 <= rating <= 10:
                    yield user, item, round(max(1.0, rating), 1), rated_at
                    continue
            raise BadFile(f"{name}:{rows.line_num}: want user,item,rating 1-10,rated_at, got {','.join(row)[:80]}")
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadFile(f"{name}: {error}") from None


def add(rows, people, films):
    """Insert ratings, and the people and films that are new; the last rating of a film counts."""
    new_people = {row[0] for row in rows} - people
    new_films = {row[1] for row in rows} - films
    people |= new_people
    films |= new_films
    with transaction.atomic(), connection.cursor() as cursor:
        User.objects.bulk_create([User(pk=user) for user in new_people], ignore_conflicts=True, batch_size=5000)
        Movie.objects.bulk_create([Movie(pk=film) for film in new_films], ignore_conflicts=True, batch_size=1000)
        cursor.executemany(
            "INSERT INTO user_movie_ratings (telegram_user_id, movie_id, normalized_rating, rated_at, source)"
            " VALUES (%s, %s, %s, %s, 'tmdb') ON CONFLICT (telegram_user_id, movie_id)"
            " DO UPDATE SET normalized_rating = excluded.normalized_rating, rated_at = excluded.rated_at",
            rows,
        )
