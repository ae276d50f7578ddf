"""MovieLens: ratings out of five, IMDb ids without their tt, the year within the title; the wishlist has no ratings."""

from ratings.files.formats.base import TableFormat
from ratings.files.formats.table import columns
from ratings.files.rows import Purpose, Scale

MARKS = ("movie_id", "imdb_id", "average_rating")
FORMAT = TableFormat("MovieLens", (*MARKS, "rating"), columns("rating"), Scale.FIVE)
LIST = TableFormat("MovieLens", MARKS, columns("rating"), Scale.FIVE, Purpose.LISTED, needs=())
