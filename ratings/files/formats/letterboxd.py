"""Letterboxd's own export: ratings, diary, reviews, watched and watchlist, each a CSV, together a zip.

The films of the watched list and of the watchlist stand in one layout without ratings: only the zip tells which is
which.
"""

from ratings.files.formats.base import Field, TableFormat
from ratings.files.formats.table import columns
from ratings.files.rows import Purpose, Scale

MARKS = ("Name", "Letterboxd URI")
COLUMNS = columns("rating", date=["date"], viewed=["watched date"], kind=[])


def seen(field: Field) -> Purpose:
    return Purpose.SEEN


def wanted(field: Field) -> Purpose:
    return Purpose.WANTED


FORMAT = TableFormat("Letterboxd", (*MARKS, "Rating"), COLUMNS, Scale.FIVE)
LISTS = {
    "watched.csv": TableFormat("Letterboxd", MARKS, COLUMNS, Scale.FIVE, seen, unrated=True),
    "watchlist.csv": TableFormat("Letterboxd", MARKS, COLUMNS, Scale.FIVE, wanted, unrated=True),
}
