"""IMDb's lists: of today, of 2017 (Date Added) and before (You rated, created), in any language of the account.

Its watchlist and other lists have the layout of the ratings and a position in the list besides.
"""

from collections.abc import Sequence

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

# The columns of the ratings, whatever the account's language calls them: since 2023, and before; those of other lists
ORDER = ("Const", "Your Rating", "Date Rated", "Title", "Original Title", "URL", "Title Type", "IMDb Rating",
         "Runtime (mins)", "Year", "Genres", "Num Votes", "Release Date", "Directors")  # fmt: skip
LIST_ORDER = ("Position", "Const", "Created", "Modified", "Description", *ORDER[3:], *ORDER[1:3])
ORDERS = [tuple(name for name in order if name not in left_out)
          for order in (ORDER, LIST_ORDER) for left_out in ((), ("Original Title",))]  # fmt: skip


def names_of(cells: Sequence[str]) -> Sequence[str]:
    """What the columns of a list are called in English; empty for another header."""
    keys = [cell.strip().casefold() for cell in cells]
    place = keys.index("const") if "const" in keys else -1
    return next((order for order in ORDERS if len(order) == len(keys) and order.index("Const") == place), ())
