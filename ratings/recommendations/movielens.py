"""Ratings of a MovieLens archive, for training only: nothing of it is written to the tables of users and ratings.

GroupLens' archives (grouplens.org/datasets/movielens) hold ratings.csv (userId,movieId,rating 0.5-5,timestamp; user
by user) and links.csv (movieId,imdbId,tmdbId). Their licence allows research, not commercial use.
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from movies.parsing import MAX_MOVIE_ID
from ratings.recommendations.ease import IndexArray, RatingChunk

CHUNK_CHARACTERS = 4 * 2**20  # read at a time, some 160,000 ratings
MAX_TIME = 2.0**53  # UNIX seconds; beyond, a float cannot represent every second
MAX_MOVIELENS_ID = 10_000_000
MAX_LINKS_CHARACTERS = 64 * 2**20  # the largest archive's links.csv has 2 MB
RATINGS_COLUMNS = ["userid", "movieid", "rating", "timestamp"]
LINKS_COLUMNS = ["movieid", "imdbid", "tmdbid"]
ROW_TYPE = np.dtype([("user", np.int64), ("movie", np.int64), ("rating", np.float32), ("time", np.float64)])

Rows = npt.NDArray[np.void]  # [n] of ROW_TYPE

OLD_FORMAT = (
    "ratings.dat: an archive without TMDb ids, as ml-1m and ml-10m are. Take one with ratings.csv and links.csv: "
    "ml-latest-small, ml-latest, ml-20m, ml-25m or ml-32m"
)


class ArchiveError(Exception):
    """This is no MovieLens archive, or a broken one; the text says where."""


def parse_rows(lines: Sequence[str]) -> Rows:
    """Rows of ROW_TYPE from lines of ratings.csv. Raises ValueError."""
    with np.errstate(over="ignore"):  # a rating of 1e300 becomes infinite, which is then refused
        return np.loadtxt(lines, ROW_TYPE, delimiter=",", comments=None, ndmin=1)


def first_unreadable(lines: Sequence[str]) -> int:
    """Index of the first of these lines that is not a row of numbers, by bisection: numpy does not say which."""
    start, end = 0, len(lines)
    while end - start > 1:
        middle = (start + end) // 2
        try:
            parse_rows(lines[start:middle])
        except ValueError:
            end = middle
        else:
            start = middle
    return start


def describe_line(lines: Sequence[str], lines_before: int, index: int) -> str:
    """Number and text of the line that is number `index`, from 0, of those that are not empty."""
    non_empty = ((number, line) for number, line in enumerate(lines, lines_before + 1) if line.strip())
    number, line = next(islice(non_empty, index, None))
    return f"ratings.csv, line {number}: {line[:60]!r}"


class Archive:
    """A folder or zip file with ratings.csv and links.csv; `users`, `ratings`, `unknown` are counted while read."""

    def __init__(self, path: str | Path) -> None:
        """Read links.csv and the head of ratings.csv. Raises ArchiveError."""
        self.path = Path(path).absolute()
        self.users = self.ratings = 0
        self.unknown = 0  # ratings of movies whose TMDb id links.csv does not give
        self.tmdb_ids = self._tmdb_ids()  # [n]: TMDb's id by MovieLens' id, 0 where there is none
        with self._open("ratings.csv") as file:
            self._check_header(file, "ratings.csv", RATINGS_COLUMNS)

    def chunks(self) -> Iterator[RatingChunk]:
        """The ratings, 1-10, of movies that TMDb has, user by user. Raises ArchiveError."""
        self.users = self.ratings = self.unknown = 0
        last_user = 0
        with self._open("ratings.csv") as file:
            self._check_header(file, "ratings.csv", RATINGS_COLUMNS)
            rest, lines_read = "", 1  # the header is a line
            while text := file.read(CHUNK_CHARACTERS):
                text, newline, rest = (rest + text).rpartition("\n")
                if len(rest) > CHUNK_CHARACTERS:
                    raise ArchiveError("ratings.csv: a line without an end")
                lines = (text + newline).splitlines()
                last_user = yield from self._known(self._rows(lines, lines_read), last_user)
                lines_read += len(lines)
            if rest.strip():
                yield from self._known(self._rows(rest.splitlines(), lines_read), last_user)
        if not self.ratings:
            raise ArchiveError("ratings.csv: no rating of a movie whose TMDb id links.csv gives")

    def _rows(self, lines: Sequence[str], lines_before: int) -> Rows:
        """Valid rows of lines that follow on `lines_before` others in the file. Raises ArchiveError."""
        if not any(line.strip() for line in lines):
            return np.empty(0, ROW_TYPE)
        try:
            rows = parse_rows(lines)
        except ValueError:
            non_empty = [line for line in lines if line.strip()]
            where = describe_line(lines, lines_before, first_unreadable(non_empty))
            raise ArchiveError(f"{where} is not userId,movieId,rating,timestamp") from None
        valid = (rows["user"] > 0) & (rows["movie"] > 0) & (rows["rating"] >= 0.5) & (rows["rating"] <= 5)
        valid &= np.abs(rows["time"]) <= MAX_TIME
        if not valid.all():
            where = describe_line(lines, lines_before, int(np.argmin(valid)))
            raise ArchiveError(f"{where} is no rating of 0.5-5 stars at a time")
        return rows

    def _known(self, rows: Rows, last_user: int) -> Generator[RatingChunk, None, int]:
        """The rows of movies that TMDb has, as one chunk at most; returns the last user."""
        if not len(rows):
            return last_user
        users = rows["user"]
        if users[0] < last_user or (np.diff(users) < 0).any():
            raise ArchiveError("ratings.csv is not sorted by userId, as MovieLens' are")
        self.users += len(np.unique(users)) - int(users[0] == last_user)
        movie_ids = self.tmdb_ids[np.where(rows["movie"] < len(self.tmdb_ids), rows["movie"], 0)]
        known = movie_ids > 0
        self.unknown += int((~known).sum())
        self.ratings += int(known.sum())
        rows = rows[known]
        if len(rows):
            yield RatingChunk(rows["user"], movie_ids[known], rows["rating"] * 2, rows["time"].astype(np.int64))
        return int(users[-1])

    def _tmdb_ids(self) -> IndexArray:
        """Read links.csv; the first of several MovieLens ids with the same TMDb id counts. Raises ArchiveError."""
        tmdb_ids: dict[int, int] = {}
        taken: set[int] = set()
        with self._open("links.csv") as file:
            self._check_header(file, "links.csv", LINKS_COLUMNS)
            try:
                for row in csv.reader(io.StringIO(file.read(MAX_LINKS_CHARACTERS))):
                    if len(row) < 3 or not row[2].strip():
                        continue
                    movielens_id, tmdb_id = int(row[0]), int(float(row[2]))
                    if 0 < movielens_id < MAX_MOVIELENS_ID and 0 < tmdb_id <= MAX_MOVIE_ID and tmdb_id not in taken:
                        taken.add(tmdb_id)
                        tmdb_ids[movielens_id] = tmdb_id
            except (ValueError, OverflowError, csv.Error) as error:
                raise ArchiveError(f"links.csv: {error}") from None
        if not tmdb_ids:
            raise ArchiveError("links.csv holds no TMDb ids")
        table = np.zeros(max(tmdb_ids) + 1, np.int64)
        table[list(tmdb_ids)] = list(tmdb_ids.values())
        return table

    def _check_header(self, file: TextIO, name: str, columns: list[str]) -> None:
        found = [column.strip().strip('"').lower() for column in file.readline(1000).split(",")]
        if found[: len(columns)] != columns:
            raise ArchiveError(f"{name} does not begin with {','.join(columns)}: this is no MovieLens file")

    @contextmanager
    def _open(self, name: str) -> Iterator[TextIO]:
        """The file as text. Raises ArchiveError where it cannot be opened or read."""
        try:
            if self.path.is_dir():
                with open(self.path / name, encoding="utf-8", errors="strict", newline="") as file:
                    yield file
                return
            with zipfile.ZipFile(self.path) as archive:
                member = next((one for one in archive.namelist() if one.rpartition("/")[2] == name), None)
                if member is None:
                    if any(one.rpartition("/")[2] == "ratings.dat" for one in archive.namelist()):
                        raise ArchiveError(OLD_FORMAT)
                    raise ArchiveError(f"{self.path.name} holds no {name}")
                with archive.open(member) as raw, io.TextIOWrapper(raw, "utf-8", newline="") as file:
                    yield file
        except FileNotFoundError as error:
            if (self.path / "ratings.dat").exists():
                raise ArchiveError(OLD_FORMAT) from None
            raise ArchiveError(f"{error.filename}: no such file") from None
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise ArchiveError(f"{self.path.name}: {error or 'broken'}") from None
        except UnicodeDecodeError as error:
            raise ArchiveError(f"{name}: not a text ({error.reason})") from None
