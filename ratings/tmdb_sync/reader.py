"""Reading an account of TMDb page by page while its owner goes on rating: what is still to be read, and is it whole.

TMDb serves 20 ratings a page and 500 pages at most (/account/{id}/rated/movies). In created_at.asc a new rating comes
last and moves nothing; one that is deleted moves all later ones a place forward, so that a rating slips from a page
not yet read to one already read. The pages at both ends are therefore read first and once more at the end: had anything
slipped in between, their movies could not be the same. An account that changes meanwhile is read again, a few times. A
changed value moves nothing and is left to the next import.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeGuard

from movies.models import Movie
from movies.parsing import MAX_MOVIE_ID, MalformedAnswer, parse_movie
from ratings.models import HALF_POINTS

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE_SIZE = 20
MAX_PAGE = 500
MAX_PASSES = 3  # over an account that changes meanwhile
MAX_COUNT = 2**31 - 1  # of what the columns of an import hold
NEWEST = "newest"  # stands for the first page of created_at.desc where that is all that is read

_valid = frozenset(HALF_POINTS)


@dataclass
class Row:
    """A rated movie; `rating` is None where TMDb's value `given` cannot be one: 0, out of range, no half point."""

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
    """A Page from an answer of /account/{id}/rated/movies. Raises MalformedAnswer."""
    results, pages, total = (answer.get(name) for name in ("results", "total_pages", "total_results"))
    if not isinstance(results, list) or not _is_count(pages) or not _is_count(total):
        raise MalformedAnswer(f"page {number}: not a page of ratings")
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


class AccountReader:
    """How far an account has been read: plain data in `state`, which is the column Import.reader_state.

    A page is named by its number: n is page n in created_at.asc, -n in created_at.desc, which reaches the newest of
    more than 10,000 ratings.
    """

    def __init__(self, state: dict[str, Any]) -> None:  # as it comes from the column: JSON
        self.state = state
        if not state:
            self.start()

    def start(self) -> None:
        """Begin a pass over the account (another one)."""
        self.state.update(
            {
                "pass": self.state.get("pass", 0) + 1,
                "total_pages": None,  # as TMDb counts; NULL until the first page has come
                "total_results": None,  # how many ratings TMDb counts
                "pages_read": [],
                "rows": 0,  # on these pages
                "edge_pages": {},  # {page at an end: ids of its movies when it was first read}
                "edges_confirmed": [],  # pages at the ends that were read again, with the same movies
                "list_changed": False,
                "missing": [],  # pages that TMDb would not give
                "skipped": [],  # movies seen that left no mark in the table of ratings
                "consistent": False,
            }
        )

    @property
    def ascending(self) -> int:
        return min(int(self.state["total_pages"]), MAX_PAGE)

    @property
    def descending(self) -> int:
        return min(max(int(self.state["total_pages"]) - MAX_PAGE, 0), MAX_PAGE)

    @property
    def edges(self) -> list[int]:
        """The pages that show any movement between them."""
        if self.ascending < 2:
            return []
        if self.ascending == 2:
            return [1]
        return [1, self.ascending, *dict.fromkeys([-1, -self.descending] if self.descending else [])]

    @property
    def beyond_api_limit(self) -> int:
        """How many ratings no page serves."""
        if self.state["total_pages"] <= 2 * MAX_PAGE:
            return 0
        return max(0, int(self.state["total_results"]) - 2 * MAX_PAGE * PAGE_SIZE)

    def repeats_movies(self, seen: int) -> bool:
        """Whether the pages of this pass hold more rows than the `seen` movies, though each has its place once."""
        pages = self.ascending + self.descending
        overlap = max(0, pages * PAGE_SIZE - int(self.state["total_results"])) if self.descending else 0
        return int(self.state.get("rows", 0)) > seen + overlap

    def pages_to_read(self) -> list[int]:
        """The pages that may be read now, concurrently; none: all have been read."""
        if self.state["total_pages"] is None:
            return [1]
        done = set(self.state["pages_read"]) | set(self.state["missing"])
        if first := [page for page in self.edges if page not in done]:
            return first
        between = [*range(1, self.ascending + 1), *range(-1, -self.descending - 1, -1)]
        if left := [page for page in between if page not in done]:
            return left
        if self.state["list_changed"] or self.state["missing"]:
            return []
        return [page for page in self.edges if page not in self.state["edges_confirmed"]]

    def record_page(self, number: int, page: Page) -> bool:
        """Save that a page came. Returns whether it was the first time in this pass."""
        state = self.state
        if state["total_results"] is None:
            state.update(total_pages=page.pages, total_results=page.total)
        elif page.total != state["total_results"] or page.pages != state["total_pages"]:
            state.update(list_changed=True, total_results=page.total, total_pages=max(page.pages, state["total_pages"]))
        first = number not in state["pages_read"]
        if first:
            state["pages_read"].append(number)
            state["rows"] = state.get("rows", 0) + sum(movie_id is not None for movie_id in page.movie_ids)
            if number in self.edges or number == 1:
                state["edge_pages"][str(number)] = page.movie_ids
        elif state["edge_pages"].get(str(number)) == page.movie_ids:
            state["edges_confirmed"].append(number)
        else:
            state["list_changed"] = True
        return first

    def give_up_page(self, number: int) -> None:
        """Go on without a page that TMDb does not give."""
        self.state["missing"].append(number)

    def is_finished(self) -> bool:
        """Whether the account has been read; starts another pass where the account changed, up to MAX_PASSES."""
        if self.pages_to_read():
            return False
        if self.state["list_changed"] and not self.state["missing"] and self.state["pass"] < MAX_PASSES:
            self.start()
            return False
        self.state["consistent"] = not self.state["list_changed"] and not self.state["missing"]
        return True
