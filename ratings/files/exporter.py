"""A user's ratings as a CSV that other services and our own import read, and a spreadsheet opens without harm."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from ratings.files.rows import FORMULA
from ratings.models import Rating

# Letterboxd's import format (https://letterboxd.com/about/importing-data/) takes tmdbID, Title, Year and Rating10, in
# whole numbers; IMDb's export, which many importers read, has Const, Your Rating, Date Rated, Title, Title Type, Year.
# "Exact Rating" keeps half points, for our own import. There is no WatchedDate: when a movie was rated says nothing of
# when it was seen, and Letterboxd would write it into the diary. The first column is one that no reader needs, since a
# reader that does not know the byte order mark takes it for part of the first column's name.
COLUMNS = [
    "Original Title",
    "Title",
    "Year",
    "Your Rating",
    "Date Rated",
    "Title Type",
    "Const",
    "tmdbID",
    "Rating10",
    "Exact Rating",
]
LETTERBOXD_MAX_BYTES = 1_000_000  # of a file that Letterboxd accepts


class Export(NamedTuple):
    content: bytes  # CSV, UTF-8 with the byte order mark by which Excel recognizes it
    number: int  # of ratings


def export(user_id: int) -> Export:
    """All ratings of a user, newest first."""
    ratings = Rating.objects.filter(user_id=user_id).select_related("movie").order_by("-rated_at", "movie_id")
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    count = 0
    for rating in ratings.iterator(chunk_size=2000):
        writer.writerow(map(escape_formula, csv_row(rating)))
        count += 1
    return Export(text.getvalue().encode("utf-8-sig"), count)


def csv_row(rating: Rating) -> list[str | int]:
    movie = rating.movie
    whole = max(1, int(rating.value.quantize(Decimal(1), ROUND_HALF_UP)))
    day = datetime.fromtimestamp(rating.rated_at, UTC).date().isoformat() if rating.rated_at else ""
    return [
        movie.original_title,
        movie.title,
        movie.year or "",
        whole,
        day,
        "movie",
        movie.imdb_id,
        movie.pk,
        whole,
        f"{rating.value:f}",
    ]


def escape_formula(cell: str | int) -> str:
    """The cell with an apostrophe before what a spreadsheet would calculate; line breaks become spaces."""
    text = " ".join(str(cell).split())
    return f"'{text}" if FORMULA.match(text) else text
