"""Yamtrack's CSV: any medium, ids of the source that each row names."""

from ratings.files.formats.base import Field, TableFormat
from ratings.files.formats.table import columns, purpose


def with_ids(field: Field) -> Field:
    """An id of TMDb's or IMDb's, where the row's source is that."""

    def read(meaning: str) -> str:
        if meaning in ("tmdb_id", "imdb_id"):
            return field("id") if field("source").casefold() == meaning.removesuffix("_id") else ""
        return field(meaning)

    return read


FORMAT = TableFormat(
    "Yamtrack",
    ("media_id", "source", "media_type", "score"),
    columns(
        "score",
        id=["media_id"],
        source=["source"],
        date=["end_date", "progressed_at", "created_at"],
        viewed=["end_date"],
    ),
    purpose=purpose,
    adapt=with_ids,
)
