"""Trakt: its CSV, and its JSON lists of ratings, history, watched films and the watchlist, alone or in a zip."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ratings.files.formats.base import Field, TableFormat, members, part, row_of
from ratings.files.formats.table import columns
from ratings.files.rows import Purpose, Row


def purpose(field: Field) -> Purpose:
    return Purpose.LISTED if field("listed") else Purpose.RATING


FORMAT = TableFormat(
    "Trakt",
    ("trakt_id", "type", "title"),
    columns(
        "rating",
        date=["rated_at", "watched_at", "last_watched_at", "listed_at"],
        viewed=["watched_at", "last_watched_at"],
        listed=["listed_at"],
    ),
    purpose=purpose,
    needs=(),
)
TITLE = "Trakt"
KINDS = ("movie", "show", "season", "episode")
LISTS = ("ratings", "watched", "history", "watchlist")  # of which programs make one document
DATES = ("rated_at", "watched_at", "last_watched_at")  # of what is rated or seen


def fits(data: Any, name: str) -> bool:
    first = next(iter(_items(data)), {})
    about = any(isinstance(first.get(kind), dict) for kind in KINDS)
    return about and any(date in first for date in (*DATES, "listed_at"))


def rows(data: Any, name: str) -> Iterator[Row]:
    for item in _items(data):
        kind = next((kind for kind in reversed(KINDS) if isinstance(item.get(kind), dict)), "")
        film = part(item, kind)
        ids = part(film, "ids")
        yield row_of(
            purpose=Purpose.LISTED if "listed_at" in item else Purpose.RATING,
            title=film.get("title"),
            year=film.get("year"),
            tmdb_id=ids.get("tmdb"),
            imdb_id=ids.get("imdb"),
            kind=kind,
            rating=item.get("rating") or item.get("my_rating"),
            date=next((item[date] for date in (*DATES, "listed_at") if item.get(date)), None),
            viewed=item.get("watched_at") or item.get("last_watched_at"),
        )


def _items(data: Any) -> list[dict[str, Any]]:
    if isinstance(data, dict):
        return [item for name in LISTS for item in members(data, name)]
    return members({"": data}, "")
