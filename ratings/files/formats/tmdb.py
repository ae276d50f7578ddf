"""TMDb's CSV of ratings, from the account's settings; its other lists have the same columns and no rating."""

from ratings.files.formats.base import TableFormat
from ratings.files.formats.table import columns
from ratings.files.rows import Purpose

FORMAT = TableFormat(
    "TMDb",
    ("TMDb ID", "IMDb ID", "Type", "Name", "Your Rating", "Date Rated"),
    columns("your rating", date=["date rated"]),  # its column Rating is the mean of everybody's
    purpose=Purpose.LISTED,
)
