"""Criticker's XML of rankings: points out of a hundred."""

from ratings.files.formats.base import TableFormat
from ratings.files.formats.table import columns
from ratings.files.rows import Scale

FORMAT = TableFormat(
    "Criticker", ("filmname", "score", "tier"), columns("score", title=["filmname"], date=["reviewdate"]), Scale.HUNDRED
)
