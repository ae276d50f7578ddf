"""Our own export (ratings.files.exporter)."""

from ratings.files.formats.base import TableFormat
from ratings.files.formats.table import columns

FORMAT = TableFormat("Kinoteka", ("Exact Rating", "Rating10", "tmdbID"), columns("exact rating", "rating 10"))
