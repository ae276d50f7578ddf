"""Kinorium's backup: UTF-16, tabs, votes and lists in one layout."""

from ratings.files.formats.base import TableFormat
from ratings.files.formats.table import columns, purpose

FORMAT = TableFormat("Kinorium", ("Title", "Original Title", "My rating"), columns("my rating"), purpose=purpose)
