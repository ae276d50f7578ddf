"""Ratings of a MovieLens archive, for learning only: nothing of it comes into our tables of people and ratings.

GroupLens' archives (grouplens.org/datasets/movielens) hold ratings.csv (userId,movieId,rating 0.5-5,timestamp; person
by person) and links.csv (movieId,imdbId,tmdbId). Their licence allows research, not commercial use.
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np

AT_ONCE = 4 * 2**20  # characters read at a time, some 160,000 ratings
LARGEST_ID = 2**31 - 1
LATEST = 2.0**53  # UNIX seconds; beyond, floats no longer tell one from the next
LONGEST_LINKS = 64 * 2**20  # characters; the largest archive's have 2 MB
RATINGS = np.dtype([("user", np.int64), ("movie", np.int64), ("rating", np.float32), ("time", np.float64)])


OLD = (
    "ratings.dat: an archive without TMDb ids, as ml-1m and ml-10m are. Take one with ratings.csv and links.csv: "
    "ml-latest-small, ml-latest, ml-20m, ml-25m or ml-32m"
)


def read_rows(lines):
    """RATINGS of lines of ratings.csv. Raises ValueError."""
    with np.errstate(over="ignore"):  # a rating of 1e300 becomes infinite, and then is none
        return np.loadtxt(lines, RATINGS, delimiter=",", comments=None, ndmin=1)


def first_unreadable(lines):
    """The place of the first of these lines that is no row of numbers: numpy says so in words for programmers."""
    start, end = 0, len(lines)
    while end - start > 1:
        middle = (start + end) // 2
        try:
            read_rows(lines[start:middle])
        except ValueError:
            end = middle
        else:
            start = middle
    return start


def named(lines, before, place) -> str:
    """Number and text of the line that is `place`-th, from 0, of those that are not empty."""
    written = ((number, line) for number, line in enumerate(lines, before + 1) if line.strip())
    number, line = next(islice(written, place, None))
    return f"ratings.csv, line {number}: {line[:60]!r}"


class ArchiveError(Exception):
    """This is no MovieLens archive, or a broken one; the text says where."""


class Archive:
    """A folder or zip file with ratings.csv and links.csv; `people`, `ratings`, `unknown` are counted while read."""

    def __init__(self, path) -> None:
        """Look into the archive. Raises ArchiveError."""
        self.path = Path(path).absolute()
        self.people = self.ratings = 0
        self.unknown = 0  # ratings of films whose TMDb id links.csv does not tell
        self.ids = self._links()  # TMDb's id by MovieLens' id, 0 where there is none
        with self._open("ratings.csv") as file:
            self._header(file, "ratings.csv", ["userid", "movieid", "rating", "timestamp"])

    def chunks(self):
        """(people, TMDb ids, ratings 1-10, times), arrays of equal length, person by person. Raises ArchiveError."""
        self.people = self.ratings = self.unknown = 0
        last = 0
        with self._open("ratings.csv") as file:
            self._header(file, "ratings.csv", ["userid", "movieid", "rating", "timestamp"])
            rest, read = "", 1  # lines, the heading among them
            while text := file.read(AT_ONCE):
                text, newline, rest = (rest + text).rpartition("\n")
                if len(rest) > AT_ONCE:
                    raise ArchiveError("ratings.csv: a line without an end")
                lines = (text + newline).splitlines()
                last = yield from self._known(self._rows(lines, read), last)
                read += len(lines)
            if rest.strip():
                yield from self._known(self._rows(rest.splitlines(), read), last)
        if not self.ratings:
            raise ArchiveError("ratings.csv: no rating of a film whose TMDb id links.csv tells")

    def _rows(self, lines, before):
        """The ratings in some lines of the file, so many of which came before."""
        if not any(line.strip() for line in lines):
            return np.empty(0, RATINGS)
        try:
            rows = read_rows(lines)
        except ValueError:
            written = [line for line in lines if line.strip()]
            where = named(lines, before, first_unreadable(written))
            raise ArchiveError(f"{where} is not userId,movieId,rating,timestamp") from None
        valid = (rows["user"] > 0) & (rows["movie"] > 0) & (rows["rating"] >= 0.5) & (rows["rating"] <= 5)
        valid &= np.abs(rows["time"]) <= LATEST
        if not valid.all():
            where = named(lines, before, int(np.argmin(valid)))
            raise ArchiveError(f"{where} is no rating of 0.5-5 stars at a time")
        return rows

    def _known(self, rows, last):
        """The rows of films that TMDb has; returns the last person met."""
        if not len(rows):
            return last
        users = rows["user"]
        if users[0] < last or (np.diff(users) < 0).any():
            raise ArchiveError("ratings.csv is not sorted by userId, as MovieLens' are")
        self.people += len(np.unique(users)) - int(users[0] == last)
        movies = np.where(rows["movie"] < len(self.ids), rows["movie"], 0)
        films = self.ids[movies]
        known = films > 0
        self.unknown += int((~known).sum())
        self.ratings += int(known.sum())
        rows = rows[known]
        if len(rows):
            yield rows["user"], films[known], rows["rating"] * 2, rows["time"].astype(np.int64)
        return int(users[-1])

    def _links(self):
        ids, taken = {}, set()
        with self._open("links.csv") as file:
            self._header(file, "links.csv", ["movieid", "imdbid", "tmdbid"])
            try:
                for row in csv.reader(io.StringIO(file.read(LONGEST_LINKS))):
                    if len(row) < 3 or not row[2].strip():
                        continue
                    movie, film = int(row[0]), int(float(row[2]))
                    if 0 < movie < 10_000_000 and 0 < film <= LARGEST_ID and film not in taken:
                        taken.add(film)
                        ids[movie] = film
            except (ValueError, OverflowError, csv.Error) as error:
                raise ArchiveError(f"links.csv: {error}") from None
        if not ids:
            raise ArchiveError("links.csv holds no TMDb ids")
        table = np.zeros(max(ids) + 1, np.int64)
        table[list(ids)] = list(ids.values())
        return table

    def _header(self, file, name: str, columns) -> None:
        found = [column.strip().strip('"').lower() for column in file.readline(1000).split(",")]
        if found[: len(columns)] != columns:
            raise ArchiveError(f"{name} does not begin with {','.join(columns)}: this is no MovieLens file")

    @contextmanager
    def _open(self, name: str):
        """The file as text. Raises ArchiveError for whatever cannot be opened or read."""
        try:
            if self.path.is_dir():
                with open(self.path / name, encoding="utf-8", errors="strict", newline="") as file:
                    yield file
                return
            with zipfile.ZipFile(self.path) as archive:
                member = next((one for one in archive.namelist() if one.rpartition("/")[2] == name), None)
                if member is None:
                    if any(one.rpartition("/")[2] == "ratings.dat" for one in archive.namelist()):
                        raise ArchiveError(OLD)
                    raise ArchiveError(f"{self.path.name} holds no {name}")
                with archive.open(member) as raw, io.TextIOWrapper(raw, "utf-8", newline="") as file:
                    yield file
        except FileNotFoundError as error:
            if (self.path / "ratings.dat").exists():
                raise ArchiveError(OLD) from None
            raise ArchiveError(f"{error.filename}: no such file") from None
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise ArchiveError(f"{self.path.name}: {error or 'broken'}") from None
        except UnicodeDecodeError as error:
            raise ArchiveError(f"{name}: not a text ({error.reason})") from None
