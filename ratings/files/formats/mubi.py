"""Mubi's ratings, in JSON or as CSV: stars."""

from ratings.files.formats.base import TableFormat
from ratings.files.formats.table import columns
from ratings.files.rows import Scale

FORMAT = TableFormat("Mubi", ("title", "year", "overall"), columns("overall", date=["updated at"]), Scale.FIVE)
