"""Movary's CSV of ratings (title, year, tmdbId, imdbId, userRating) and of its history (watchedAt)."""

from ratings.files.formats.base import TableFormat
from ratings.files.formats.table import columns

FORMAT = TableFormat("Movary", ("title", "tmdbId", "userRating"), columns("user rating"))
