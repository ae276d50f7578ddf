"""Plex's lists of a library, in XML or JSON: the user's rating beside those of critics and of the audience."""

from ratings.files.formats.base import TableFormat
from ratings.files.formats.table import columns

FORMAT = TableFormat(
    "Plex", ("ratingKey", "title"), columns("user rating", date=["last rated at", "last viewed at"]), needs=()
)
