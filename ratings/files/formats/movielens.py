"""MovieLens: ratings out of five, IMDb ids without their tt, the year within the title."""

from ratings.files.formats.base import TableFormat
from ratings.files.formats.table import columns
from ratings.files.rows import Scale

FORMAT = TableFormat("MovieLens", ("movie_id", "imdb_id", "rating", "average_rating"), columns("rating"), Scale.FIVE)
