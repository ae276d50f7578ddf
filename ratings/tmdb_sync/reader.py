"""Reading an account of TMDb page by page while its owner goes on rating: what is still to be read, and is it whole.

TMDb serves 20 ratings a page and 500 pages at most (/account/{id}/rated/movies). In created_at.asc a new rating comes
last and moves nothing; one that is taken back moves everything behind it a place forward, so that a rating slips from
a page not yet read to one already read. The pages at both ends are therefore read first and once more at the end: had
anything slipped in between, their films could not be the same. An account that would not stand still is read again, a
few times. A changed value moves nothing and is left to the next import.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from movies.catalogue import LARGEST_ID, Malformed, movie_from
from movies.models import Movie
from ratings.models import HALF_POINTS

PER_PAGE = 20
LAST_PAGE = 500
READINGS = 3  # of an account that will not stand still

_valid = frozenset(HALF_POINTS)


@dataclass
class Row:
    """A rated film; `rating` is None where TMDb gave none that can be: 0, out of range, no half point."""

    movie: Movie
    rating: Decimal | None
    given: object


@dataclass
class Page:
    rows: list[Row]
    films: list[int | None]  # the ids as they came; None for a row without one
    pages: int
    total: int


def read_page(reply, number: int):
    """A Page from an answer of /account/{id}/rated/movies. Raises Malformed."""
    results, pages, total = (reply.get(name) for name in ("results", "total_pages", "total_results"))
    if not isinstance(results, list) or not _count(pages) or not _count(total):
        raise Malformed(f"page {number}: not a page of ratings")
    if reply.get("page", number) != number:
        raise Malformed(f"page {number}: answered with another page")
    rows, films = {}, []
    for result in results:
        row = read_row(result)
        films.append(row and row.movie.id)
        if row:
            rows[row.movie.id] = row
    return Page(list(rows.values()), films, pages, total)


def read_row(result):
    """A Row, or None for what names no film. A film with nothing but an id is kept by it: its details may tell more."""
    try:
        movie = movie_from(result)
    except Malformed:
        movie_id = result.get("id") if isinstance(result, dict) else None
        if not _count(movie_id) or not 0 < movie_id <= LARGEST_ID:
            return None
        movie = Movie(id=movie_id)
    given = result.get("rating")
    return Row(movie, half_points(given), given)


def half_points(value):
    """An exact rating of 0.5-10.0 in half points, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    rating = Decimal(str(value))
    return rating if rating in _valid else None


def _count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class Crawl:
    """The state of a reading, kept as plain data (`state`, the column Import.crawl).

    A page is named by its number: n is page n in created_at.asc, -n in created_at.desc, which reaches the newest of
    more than 10,000 ratings.
    """

    def __init__(self, state: dict[Any, Any]) -> None:
        self.state = state
        if not state:
            self.begin()

    def begin(self) -> None:
        """Read the account from the start (again)."""
        self.state.update(
            reading=self.state.get("reading", 0) + 1,
            pages=None,  # how many TMDb has
            total=None,  # how many ratings TMDb counts
            done=[],
            ends={},  # the films of the pages at the ends when they were first read
            same=[],  # the ends that were read again, with the same films
            moved=False,
            missing=[],  # pages that TMDb would not give
            skipped=[],  # films seen that left no mark in the table of ratings
            settled=False,
        )

    @property
    def ascending(self) -> int:
        return min(self.state["pages"], LAST_PAGE)

    @property
    def descending(self) -> int:
        return min(max(self.state["pages"] - LAST_PAGE, 0), LAST_PAGE)

    @property
    def ends(self) -> list[Any | int]:
        """The pages that give away any movement between them."""
        if self.ascending < 2:
            return []
        if self.ascending == 2:
            return [1]
        return [1, self.ascending, *dict.fromkeys([-1, -self.descending] if self.descending else [])]

    @property
    def out_of_reach(self) -> int:
        """How many ratings no page serves."""
        return max(0, self.state["total"] - 2 * LAST_PAGE * PER_PAGE) if self.state["pages"] > 2 * LAST_PAGE else 0

    def to_read(self) -> list[Any | int]:
        """The pages that may be read now, side by side; none: all has been read."""
        if self.state["pages"] is None:
            return [1]
        done = set(self.state["done"]) | set(self.state["missing"])
        if opening := [page for page in self.ends if page not in done]:
            return opening
        between = [*range(1, self.ascending + 1), *range(-1, -self.descending - 1, -1)]
        if left := [page for page in between if page not in done]:
            return left
        if self.state["moved"] or self.state["missing"]:
            return []
        return [page for page in self.ends if page not in self.state["same"]]

    def page_read(self, number: int, page: Page) -> bool:
        """Take note of a page that came. Returns whether it was the first time in this reading."""
        state = self.state
        if state["total"] is None:
            state.update(pages=page.pages, total=page.total)
        elif page.total != state["total"] or page.pages != state["pages"]:
            state.update(moved=True, total=page.total, pages=max(page.pages, state["pages"]))
        first = number not in state["done"]
        if first:
            state["done"].append(number)
            if number in self.ends or number == 1:
                state["ends"][str(number)] = page.films
        elif state["ends"].get(str(number)) == page.films:
            state["same"].append(number)
        else:
            state["moved"] = True
        return first

    def page_missing(self, number: int) -> None:
        """Do without a page that TMDb does not give."""
        self.state["missing"].append(number)

    def over(self) -> bool:
        """Whether the account has been read; begins another reading where it moved, unless it has had its share."""
        if self.to_read():
            return False
        if self.state["moved"] and not self.state["missing"] and self.state["reading"] < READINGS:
            self.begin()
            return False
        self.state["settled"] = not self.state["moved"] and not self.state["missing"]
        return True
