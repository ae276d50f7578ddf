"""TV Time's records: films watched and to watch, without ratings, among episodes."""

from ratings.files.formats.base import Field, TableFormat
from ratings.files.formats.table import columns
from ratings.files.rows import Purpose, Scale


def purpose(field: Field) -> Purpose:
    return Purpose.WANTED if field("status") == "towatch" else Purpose.SEEN


FORMAT = TableFormat(
    "TV Time",
    ("entity_type", "movie_name", "type"),
    columns("rating", kind=["entity_type"], status=["type"], date=["created_at"]),
    Scale.TEN,
    purpose,
    needs=(),
)
