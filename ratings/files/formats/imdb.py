"""IMDb's lists: of today, of 2017 (Date Added) and before (You rated, created), in any language of the account.

Its watchlist and other lists have the layout of the ratings and a position in the list besides.
"""

from ratings.files.formats.base import Field, TableFormat
from ratings.files.formats.table import COLUMNS, columns
from ratings.files.rows import Purpose


def purpose(field: Field) -> Purpose:
    return Purpose.LISTED if field("position") else Purpose.RATING


FORMAT = TableFormat(
    "IMDb",
    ("Const",),
    columns(
        *[name for name in COLUMNS["rating"] if name not in ("rating", "score", "points")],  # but not IMDb's mean
        imdb_id=["const"],
        date=["date rated", "date added", "created", *COLUMNS["date"]],
        position=["position"],
    ),
    purpose=purpose,
    needs=(),
)
