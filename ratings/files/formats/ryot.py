"""Ryot's JSON export of media: reviews out of a hundred, dates of what was seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ratings.files.formats.base import members, part, row_of
from ratings.files.rows import Purpose, Row, Scale

TITLE = "Ryot"


def fits(data: Any, name: str) -> bool:
    return any("lot" in item and "identifier" in item for item in _items(data)[:1])


def rows(data: Any, name: str) -> Iterator[Row]:
    for item in _items(data):
        source = str(item.get("source", "")).casefold()
        seen = [one.get("ended_on") for one in members(item, "seen_history") if one.get("ended_on")]
        rated = [one for one in members(item, "reviews") if one.get("rating") is not None]
        wanted = not seen and not rated and "watchlist" in str(item.get("collections")).casefold()
        last = rated[-1] if rated else {}
        yield row_of(
            Scale.HUNDRED,
            Purpose.WANTED if wanted else Purpose.RATING,
            title=item.get("title") or item.get("source_id"),
            tmdb_id=item.get("identifier") if source == "tmdb" else None,
            imdb_id=item.get("identifier") if source == "imdb" else None,
            kind=item.get("lot"),
            rating=last.get("rating"),
            date=part(last, "review").get("date") or max(map(str, seen), default=None),
            viewed=max(map(str, seen), default=None),
        )


def _items(data: Any) -> list[dict[str, Any]]:
    return members(data, "metadata") or members(data, "media") or members({"": data}, "")
