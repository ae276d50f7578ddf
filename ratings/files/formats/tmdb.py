"""TMDb's CSV of ratings, from the account's settings."""

from ratings.files.formats.base import TableFormat
from ratings.files.formats.table import columns

FORMAT = TableFormat(
    "TMDb",
    ("TMDb ID", "IMDb ID", "Type", "Name", "Your Rating", "Date Rated"),
    columns("your rating", date=["date rated"]),  # its column Rating is the mean of everybody's
)
