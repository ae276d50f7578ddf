"""Filmtipset's table: grades of one to five, columns in Swedish."""

from ratings.files.formats.base import TableFormat
from ratings.files.formats.table import columns
from ratings.files.rows import Scale

FORMAT = TableFormat(
    "Filmtipset",
    ("Betyg",),
    columns("betyg", title=["svensk titel", "titel", "title"], date=["betygsatt", "datum", "sedd"]),
    Scale.FIVE,
)
