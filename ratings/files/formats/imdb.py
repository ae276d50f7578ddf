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

# The columns of the list of ratings, whatever the account's language calls them: since 2023, and before
ORDER = ("Const", "Your Rating", "Date Rated", "Title", "Original Title", "URL", "Title Type", "IMDb Rating",
         "Runtime (mins)", "Year", "Genres", "Num Votes", "Release Date", "Directors")  # fmt: skip
ORDERS = {len(order): order for order in (ORDER, tuple(name for name in ORDER if name != "Original Title"))}


def names_of(cells: Sequence[str]) -> Sequence[str]:
    """What the columns of a list of ratings are called in English; empty for another header."""
    return ORDERS.get(len(cells), ()) if cells and cells[0].strip().casefold() == "const" else ()
