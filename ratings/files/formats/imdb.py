"""IMDb's lists: of today, of 2017 (Date Added) and before (You rated, created), in any language of the account."""

from ratings.files.formats.base import TableFormat
from ratings.files.formats.table import COLUMNS, columns

FORMAT = TableFormat(
    "IMDb",
    ("Const",),
    columns(
        *[name for name in COLUMNS["rating"] if name not in ("rating", "score", "points")],  # but not IMDb's mean
        imdb_id=["const"],
        date=["date rated", "date added", "created", *COLUMNS["date"]],
    ),
)
