"""Reading an account of TMDb page by page while its owner goes on rating: what is still to be read, and is it whole.

TMDb serves 20 ratings a page and 500 pages at most (/account/{id}/rated/movies). In created_at.asc a new rating comes
last and moves nothing; one that is deleted moves all later ones a place forward, so that a rating slips from a page
not yet read to one already read. The pages at both ends are therefore read first and once more at the end: had anything
slipped in between, their movies could not be the same. An account that changes meanwhile is read again, a few times. A
changed value moves nothing and is left to the next import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ratings.tmdb_sync.pages import Page

PAGE_SIZE = 20
MAX_PAGE = 500
MAX_PASSES = 3  # over an account that changes meanwhile
NEWEST = "newest"  # stands for the first page of created_at.desc where that is all that is read


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
