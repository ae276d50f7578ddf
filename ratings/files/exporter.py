"""A user's ratings and watchlist as CSV: for all that reads tables, for Letterboxd's import, and for TMDb's own."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from ratings.files.rows import FORMULA
from ratings.models import Rating, WatchlistEntry

LETTERBOXD_MAX_BYTES = 1_000_000  # of a file that Letterboxd accepts

WATCHLIST_COLUMNS = ["Date", "Name", "Year", "Letterboxd URI", "tmdbID", "imdbID"]

Cell = str | int


class Layout(NamedTuple):
    """The columns of an exported CSV, and what the service that reads it asks for."""

    columns: list[str]
    row: Callable[[Rating], list[Cell]]
    encoding: str = "utf-8"
    max_bytes: int = 0  # of one file; 0: no limit


class Export(NamedTuple):
    files: list[bytes]  # CSV
    number: int  # of ratings


def export(user_id: int, layout: str = "own") -> Export:
    """All ratings of a user, newest first, in as many files as the layout needs."""
    columns, row, encoding, max_bytes = LAYOUTS[layout]
    ratings = Rating.objects.filter(user_id=user_id).select_related("movie").order_by("-rated_at", "movie_id")
    header = csv_line(columns)
    parts, lines, size, count = list[bytes](), [header], len(header.encode()), 0
    for rating in ratings.iterator(chunk_size=2000):
        line = csv_line(row(rating))
        length = len(line.encode())
        if max_bytes and size + length > max_bytes:
            parts.append("".join(lines).encode(encoding))
            lines, size = [header], len(header.encode())
        lines.append(line)
        size += length
        count += 1
    return Export([*parts, "".join(lines).encode(encoding)], count)


def export_watchlist(user_id: int) -> Export:
    """A user's list of films to see as Letterboxd's watchlist.csv, with ids that need no search; newest first."""
    entries = WatchlistEntry.objects.filter(user_id=user_id).select_related("movie")
    lines = [csv_line(WATCHLIST_COLUMNS)]
    for entry in entries.order_by("-added_at", "-place", "movie_id").iterator(chunk_size=2000):
        movie = entry.movie
        added = datetime.fromtimestamp(entry.added_at, UTC).date().isoformat() if entry.added_at else ""
        title, address = movie.original_title or movie.title, f"https://letterboxd.com/tmdb/{movie.pk}/"
        lines.append(csv_line([added, title, movie.year or "", address, movie.pk, movie.imdb_id]))
    return Export(["".join(lines).encode("utf-8-sig")], len(lines) - 1)


def csv_line(cells: Iterable[Cell]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(map(escape_formula, cells))
    return text.getvalue()


def own_row(rating: Rating) -> list[Cell]:
    movie, day = rating.movie, day_of(rating)
    whole = whole_points(rating)
    exact = f"{rating.value:f}"
    return [
        movie.original_title, movie.title, movie.year or "", whole, day, "movie", movie.imdb_id, movie.pk, whole, exact,
    ]  # fmt: skip


def letterboxd_row(rating: Rating) -> list[Cell]:
    movie = rating.movie
    return [movie.pk, movie.imdb_id, movie.original_title or movie.title, movie.year or "", whole_points(rating)]


def tmdb_row(rating: Rating) -> list[Cell]:
    movie = rating.movie
    released = f"{movie.release_date:%Y-%m-%d}T00:00:00Z" if movie.release_date else ""
    rated = f"{datetime.fromtimestamp(rating.rated_at, UTC):%Y-%m-%dT%H:%M:%SZ}" if rating.rated_at else ""
    points = f"{rating.value.normalize():f}"
    return [movie.pk, movie.imdb_id, "movie", movie.title, released, "", "", f"{movie.vote_average:.1f}", points, rated]


def whole_points(rating: Rating) -> int:
    return max(1, int(rating.value.quantize(Decimal(1), ROUND_HALF_UP)))


def day_of(rating: Rating) -> str:
    """The day of a rating; empty where it is not known."""
    return datetime.fromtimestamp(rating.rated_at, UTC).date().isoformat() if rating.rated_at else ""


def escape_formula(cell: Cell) -> str:
    """The cell with an apostrophe before what a spreadsheet would calculate; line breaks become spaces."""
    text = " ".join(str(cell).split())
    return f"'{text}" if FORMULA.match(text) else text


# Letterboxd's import format (https://letterboxd.com/about/importing-data/) takes tmdbID, imdbID, Title, Year and
# Rating10, in whole numbers; IMDb's export, which many importers read, has Const, Your Rating, Date Rated, Title, Title
# Type, Year. "Exact Rating" keeps half points, for our own import. There is no WatchedDate: when a movie was rated says
# nothing of when it was seen, and Letterboxd would write it into the diary. The first column of our own is one that no
# reader needs, since a reader that does not know the byte order mark, by which Excel recognizes UTF-8, takes it for a
# part of the first column's name. TMDb's site imports what it exports: https://www.themoviedb.org/settings/import-list
LAYOUTS = {
    "own": Layout(
        [
            "Original Title", "Title", "Year", "Your Rating", "Date Rated", "Title Type", "Const", "tmdbID", "Rating10",
            "Exact Rating",
        ],
        own_row,
        "utf-8-sig",
    ),
    "letterboxd": Layout(
        ["tmdbID", "imdbID", "Title", "Year", "Rating10"], letterboxd_row, max_bytes=LETTERBOXD_MAX_BYTES
    ),
    "tmdb": Layout(
        [
            "TMDb ID", "IMDb ID", "Type", "Name", "Release Date", "Season Number", "Episode Number", "Rating",
            "Your Rating", "Date Rated",
        ],
        tmdb_row,
    ),
}  # fmt: skip
