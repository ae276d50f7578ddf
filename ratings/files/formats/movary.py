"""Movary's CSVs: of ratings, of the history and of the watchlist."""

from ratings.files.formats.base import TableFormat
from ratings.files.formats.table import COLUMNS, columns
from ratings.files.rows import Purpose, Scale

FORMAT = TableFormat("Movary", ("title", "tmdbId", "userRating"), columns("user rating"))
HISTORY, WATCHLIST = (
    TableFormat("Movary", ("title", "tmdbId", "imdbId", mark), COLUMNS, Scale.TEN, purpose, needs=())
    for mark, purpose in (("watchedAt", Purpose.SEEN), ("addedAt", Purpose.WANTED))
)
