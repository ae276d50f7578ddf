"""Kinopoisk's own export until 2020, an HTML table named .xls, and the same table saved as CSV by Excel."""

from ratings.files.formats.base import TableFormat
from ratings.files.formats.table import columns

FORMAT = TableFormat("Kinopoisk", ("русскоязычное название", "моя оценка"), columns("моя оценка"))
