"""A page of an account's list of movies, as TMDb answered it: checked and typed."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, TypeGuard

from movies.models import Movie
from movies.parsing import MAX_MOVIE_ID, MalformedAnswer, parse_movie
from ratings.models import HALF_POINTS

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_COUNT = 2**31 - 1  # of what the columns of an import hold

_valid = frozenset(HALF_POINTS)


@dataclass
class Row:
    """A movie of the list.

    `rating` is None where TMDb's value `given` cannot be one: 0, out of range, no half point; on the watchlist, always.
    """

    movie: Movie
    rating: Decimal | None
    given: object


@dataclass
class Page:
    rows: list[Row]
    movie_ids: list[int | None]  # as they came; None for a row without one
    pages: int
    total: int


def read_page(answer: Mapping[str, object], number: int) -> Page:
    """A Page from an answer of /account/{id}/rated/movies or /watchlist/movies. Raises MalformedAnswer."""
    results, pages, total = (answer.get(name) for name in ("results", "total_pages", "total_results"))
    if not isinstance(results, list) or not _is_count(pages) or not _is_count(total):
        raise MalformedAnswer(f"page {number}: not a page of a list")
    if answer.get("page", number) != number:
        raise MalformedAnswer(f"page {number}: answered with another page")
    rows = [read_row(result) for result in results]
    by_id = {row.movie.id: row for row in rows if row}
    return Page(list(by_id.values()), [row.movie.id if row else None for row in rows], pages, total)


def read_row(result: object) -> Row | None:
    """A Row, or None for what has no id. A movie with nothing but an id is valid: its details may hold more."""
    if not isinstance(result, dict):
        return None
    try:
        movie = parse_movie(result)
    except MalformedAnswer:
        movie_id = result.get("id")
        if not _is_count(movie_id) or not 0 < movie_id <= MAX_MOVIE_ID:
            return None
        movie = Movie(id=movie_id)
    given = result.get("rating")
    return Row(movie, half_points(given), given)


def half_points(value: object) -> Decimal | None:
    """An exact rating of 0.5-10.0 in half points, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    rating = Decimal(str(value))
    return rating if rating in _valid else None


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT
