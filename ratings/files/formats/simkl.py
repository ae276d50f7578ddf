"""Simkl: its CSV, and the JSON backup of films, shows and anime."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ratings.files.formats.base import TableFormat, members, part, row_of
from ratings.files.formats.table import columns, purpose
from ratings.files.rows import Purpose, Row

FORMAT = TableFormat(
    "Simkl",
    ("SIMKL_ID", "Title", "Type", "Rating"),
    columns("rating", date=["watched date"], viewed=[], season=[]),  # an episode is the last one seen
    purpose=purpose,
)
TITLE = "Simkl"


def fits(data: Any, name: str) -> bool:
    return any("user_rating" in one or "added_to_watchlist_at" in one for one in _items(data))


def rows(data: Any, name: str) -> Iterator[Row]:
    for key in ("movies", "shows", "anime"):
        for item in members(data, key):
            film = part(item, "movie") or part(item, "show")
            ids = part(film, "ids")
            wanted = item.get("status") == "plantowatch" and not item.get("user_rating")
            yield row_of(
                purpose=Purpose.WANTED if wanted else Purpose.RATING,
                title=film.get("title"),
                year=film.get("year"),
                tmdb_id=ids.get("tmdb"),
                imdb_id=ids.get("imdb"),
                kind="" if key == "movies" or item.get("anime_type") == "movie" else "show",
                rating=item.get("user_rating"),
                date=item.get("user_rated_at") or item.get("last_watched_at"),
                viewed=item.get("last_watched_at"),
            )


def _items(data: Any) -> list[dict[str, Any]]:
    return [one for key in ("movies", "shows", "anime") for one in members(data, key)[:1]]
