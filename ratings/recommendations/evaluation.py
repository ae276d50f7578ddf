"""Recommendations from files, to be judged from outside: the build and the code that /recommend uses, nothing else."""

from __future__ import annotations

import csv
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path

from django.db import connection, transaction

from movies.catalogue import LARGEST_ID
from movies.models import Movie
from ratings.models import Build, Rating, TMDbNeighbour
from ratings.recommendations.recommender import PAGE, Viewer, ranked
from users.models import User

AT_ONCE = 20_000  # rows in a transaction
LISTED = 2 * PAGE  # films for each person
COLUMNS = ["user", "item", "rating", "rated_at"]


class BadFile(Exception):
    """A file does not hold what it should; the text says where."""


class NotEmpty(Exception):
    """The database holds people, films or ratings: nothing may be mixed with them."""


def evaluate(folder, output, tell=lambda words: None, clock=time.perf_counter):
    """Read train.csv and profiles.csv into the empty database, build, write user,item,rank; returns ms for each person.

    The people of profiles.csv, where there is one, come after the build, which does not know them. Both files are
    looked through before anything is written. Raises NotEmpty, BadFile, OSError where the output cannot be written.
    """
    from ratings.recommendations.training import build  # loads numpy

    if any(model.objects.exists() for model in (User, Movie, Rating, Build, TMDbNeighbour)):
        raise NotEmpty
    files = [Path(folder) / "train.csv"]
    if (profiles := Path(folder) / "profiles.csv").exists():
        files.append(profiles)
    films = film_ids(files, tell)
    with open(output, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user", "item", "rank"])
        asked = read(files[0], films, tell)
        build(force=True, tell=tell)
        asked = (len(files) > 1 and read(files[1], films, tell)) or asked
        items, took = {film: item for item, film in films.items()}, []
        for number, user in enumerate(sorted(asked)):
            tell(f"recommending: person {number} of {len(asked)}")
            began = clock()
            listed = ranked(Viewer.of(user), LISTED)
            took.append((clock() - began) * 1000)
            rows.writerows((user, items.get(film, film), rank) for rank, film in enumerate(listed, 1))
    return took


def film_ids(files, tell=lambda words: None):
    """{item: film} of files whose items cannot all be ids of films (0, beyond LARGEST_ID); else empty: items are ids.

    Raises BadFile.
    """
    items = set()
    for path in files:
        for number, (_user, item, _rating, _time) in enumerate(ratings_in(path)):
            items.add(item)
            if number % AT_ONCE == 0:
                tell(f"looking through {path.name}: rating {number}")
    if all(0 < item <= LARGEST_ID for item in items):
        return {}
    return {item: film for film, item in enumerate(sorted(items), 1)}


def read(path, films=None, tell=lambda words: None):
    """Put the ratings of a file user,item,rating (1-10),rated_at into the tables; returns its people. Raises BadFile.

    `films`: the films that its items stand for, where items are no ids of films.
    """
    people, known, done = set(), set(), 0
    rows = ratings_in(path)
    while part := list(islice(rows, AT_ONCE)):
        if films:
            part = [(user, films[item], rating, rated_at) for user, item, rating, rated_at in part]
        add(part, people, known)
        done += len(part)
        tell(f"reading {path.name}: rating {done}")
    return people


def ratings_in(path):
    """(user, item, rating 1-10, time) of each line of a CSV file; a time it does not tell is 0. Raises BadFile."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            order = None
            for row in rows:
                if order is None:
                    named = [name.strip().lower() for name in row]
                    headed = set(COLUMNS[:3]) <= set(named)
                    order = [named.index(name) if name in named else -1 for name in COLUMNS] if headed else range(4)
                    if headed:
                        continue
                if row:
                    yield rating_of(row, order, f"{path.name}:{rows.line_num}")
    except OSError as error:
        raise BadFile(f"{path.name}: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadFile(f"{path.name}: {error}") from None


def rating_of(row, order, where):
    user, item, rating, rated_at = (row[at].strip() if 0 <= at < len(row) else "" for at in order)
    with suppress(ValueError, OverflowError):
        user, item, value, time = whole(user), whole(item), float(rating), int(float(rated_at or 0))
        if max(abs(user), abs(item), abs(time)) < 2**63 and 0.5 <= value <= 10:
            return user, item, round(max(1.0, value), 1), time
    raise BadFile(f"{where}: want user,item,rating 1-10,rated_at, got {','.join(row)[:80]}")


def whole(text: str) -> int:
    """The integer that a text holds, also as programs write it that count in floats: 603.0."""
    return int(text.removesuffix(".0"))


def add(rows, people, films) -> None:
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
