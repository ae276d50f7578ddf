"""Letterboxd's own export: ratings, diary, reviews, watched and watchlist, each a CSV, together a zip.

The films of the watched list and of the watchlist stand in one layout without ratings: only the file's name tells which
is which.
"""

from ratings.files.formats.base import TableFormat
from ratings.files.formats.table import columns
from ratings.files.rows import Purpose, Scale

MARKS = ("Name", "Letterboxd URI")
COLUMNS = columns("rating", date=["date"], viewed=["watched date"], kind=[])

FORMAT = TableFormat("Letterboxd", (*MARKS, "Rating"), COLUMNS, Scale.FIVE)
LIST = TableFormat("Letterboxd", (*MARKS, "Date", "Year"), COLUMNS, Scale.FIVE, Purpose.LISTED, needs=())
