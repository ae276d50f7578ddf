"""Recommendations from CSV files, for an evaluation from outside: the training and code of /recommend, nothing else."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from django.db import connection, transaction

from movies.models import Movie
from movies.parsing import MAX_MOVIE_ID
from ratings.models import Rating, TMDbRecommendation, TrainingRun
from ratings.recommendations.recommender import PAGE, UserProfile, top_movies
from users.models import User

BATCH_ROWS = 20_000  # in a transaction
LIST_LENGTH = 2 * PAGE  # movies for each user
COLUMNS = ["user", "item", "rating", "rated_at"]
MAX_NUMBER = 2**63 - 1

Report = Callable[[str], None]


class FileRating(NamedTuple):
    """A line of a file: `item` is any integer, `rating` 1-10, `rated_at` 0 where it is not given."""

    user: int
    item: int
    rating: float
    rated_at: int


class BadFile(Exception):
    """A file does not have the expected contents; the text says where."""


class NotEmpty(Exception):
    """The database holds users, movies or ratings, which must not be mixed with those of the files."""


def evaluate(
    folder: str | Path,
    output: str | Path,
    report: Report = lambda words: None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Read train.csv and profiles.csv, train, write user,item,rank; returns the milliseconds that each user took.

    The users of profiles.csv, where there is one, are added after the training, which does not know them; lists are
    written for them only. Both files are checked before anything is written. Raises NotEmpty, BadFile, OSError where
    the output cannot be written.
    """
    from ratings.recommendations.training import train  # loads numpy

    if any(model.objects.exists() for model in (User, Movie, Rating, TrainingRun, TMDbRecommendation)):
        raise NotEmpty
    paths = [Path(folder) / "train.csv"]
    if (profiles := Path(folder) / "profiles.csv").exists():
        paths.append(profiles)
    movie_ids = assign_movie_ids(paths, report)
    with open(output, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user", "item", "rank"])
        users = load_ratings(paths[0], movie_ids, report)
        train(force=True, report=report)
        if len(paths) > 1:
            users = load_ratings(paths[1], movie_ids, report) or users
        items = {movie_id: item for item, movie_id in movie_ids.items()}
        took = []
        for number, user in enumerate(sorted(users)):
            report(f"recommending: user {number} of {len(users)}")
            began = clock()
            recommended = top_movies(UserProfile.load(user), LIST_LENGTH)
            took.append((clock() - began) * 1000)
            rows.writerows((user, items.get(movie_id, movie_id), rank) for rank, movie_id in enumerate(recommended, 1))
    return took


def assign_movie_ids(paths: Sequence[Path], report: Report = lambda words: None) -> dict[int, int]:
    """{item: movie id} where not all items can be movie ids (1-MAX_MOVIE_ID), else empty. Raises BadFile."""
    items = set()
    for path in paths:
        for number, rating in enumerate(read_file(path)):
            items.add(rating.item)
            if number % BATCH_ROWS == 0:
                report(f"checking {path.name}: rating {number}")
    if all(0 < item <= MAX_MOVIE_ID for item in items):
        return {}
    return {item: movie_id for movie_id, item in enumerate(sorted(items), 1)}


def load_ratings(
    path: Path, movie_ids: Mapping[int, int] | None = None, report: Report = lambda words: None
) -> set[int]:
    """Insert the ratings of a file and return its users; `movie_ids` as assign_movie_ids() does. Raises BadFile."""
    users: set[int] = set()
    known: set[int] = set()
    done = 0
    ratings = read_file(path)
    while batch := list(islice(ratings, BATCH_ROWS)):
        if movie_ids:
            batch = [rating._replace(item=movie_ids[rating.item]) for rating in batch]
        insert_ratings(batch, users, known)
        done += len(batch)
        report(f"reading {path.name}: rating {done}")
    return users


def read_file(path: Path) -> Iterator[FileRating]:
    """The ratings of a CSV file, with columns in the order of COLUMNS or named by its header. Raises BadFile."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            order: Sequence[int] | None = None
            for row in rows:
                if order is None:
                    names = [name.strip().lower() for name in row]
                    has_header = set(COLUMNS[:3]) <= set(names)
                    order = [names.index(name) if name in names else -1 for name in COLUMNS] if has_header else range(4)
                    if has_header:
                        continue
                if row:
                    yield parse_row(row, order, f"{path.name}:{rows.line_num}")
    except OSError as error:
        raise BadFile(f"{path.name}: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadFile(f"{path.name}: {error}") from None


def parse_row(row: Sequence[str], order: Iterable[int], where: str) -> FileRating:
    """The rating of a line whose columns have the indexes `order`, -1 where there is none. Raises BadFile."""
    user, item, rating, rated_at = (row[index].strip() if 0 <= index < len(row) else "" for index in order)
    with suppress(ValueError, OverflowError):
        numbers = parse_integer(user), parse_integer(item), int(float(rated_at or 0))
        value = float(rating)
        if max(map(abs, numbers)) <= MAX_NUMBER and 0.5 <= value <= 10:
            return FileRating(numbers[0], numbers[1], round(max(1.0, value), 1), numbers[2])
    raise BadFile(f"{where}: want user,item,rating 1-10,rated_at, got {','.join(row)[:80]}")


def parse_integer(text: str) -> int:
    """An integer, also as programs write it that count in floats: 603.0. Raises ValueError."""
    return int(text.removesuffix(".0"))


def insert_ratings(ratings: Sequence[FileRating], users: set[int], movies: set[int]) -> None:
    """Insert ratings, and the users and movies that are not among those given, which grow; the last rating counts."""
    new_users = {rating.user for rating in ratings} - users
    new_movies = {rating.item for rating in ratings} - movies
    users |= new_users
    movies |= new_movies
    with transaction.atomic(), connection.cursor() as cursor:
        User.objects.bulk_create([User(pk=user) for user in new_users], ignore_conflicts=True, batch_size=5000)
        rows = [Movie(pk=movie, title=str(movie)) for movie in new_movies]  # one without a title is in no list
        Movie.objects.bulk_create(rows, ignore_conflicts=True, batch_size=1000)
        cursor.executemany(
            "INSERT INTO user_movie_ratings (telegram_user_id, movie_id, normalized_rating, rated_at, source)"
            " VALUES (%s, %s, %s, %s, 'tmdb') ON CONFLICT (telegram_user_id, movie_id)"
            " DO UPDATE SET normalized_rating = excluded.normalized_rating, rated_at = excluded.rated_at",
            ratings,
        )
