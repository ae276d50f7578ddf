"""Filmtipset: grades of one to five; a table in Swedish, and the export of votes, with IMDb ids without their tt."""

from ratings.files.formats.base import Field, TableFormat
from ratings.files.formats.table import columns
from ratings.files.rows import Scale

FORMAT = TableFormat(
    "Filmtipset",
    ("Betyg",),
    columns("betyg", title=["svensk titel", "titel", "title"], date=["betygsatt", "datum", "sedd"]),
    Scale.FIVE,
)


def after_date(field: Field) -> Field:
    """The export has a comma behind some dates, and then a cell less."""

    def read(meaning: str) -> str:
        date, comma, title = field("date").partition(",")
        if not comma:
            return field(meaning)
        return {"date": date, "title": title, "imdb_id": field("title"), "rating": field("imdb_id")}.get(meaning, "")

    return read


VOTES = TableFormat(
    "Filmtipset",
    ("VoteDate", "MovieTitle", "IMDB", "Score"),
    columns("score", date=["votedate"]),
    Scale.FIVE,
    needs=(),
    adapt=after_date,
)
