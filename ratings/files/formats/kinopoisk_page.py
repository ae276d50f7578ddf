"""A saved page of Kinopoisk's votes: the films in `.profileFilmsList .item`, the ratings in scripts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser

from ratings.files.formats.base import row_of
from ratings.files.rows import MAX_ROWS, ParseError, Row

TITLE = "Kinopoisk"
MARK = b"profileFilmsList"
RATING = re.compile(r"""ur_data\.push\(\{\s*film:\s*['"]?(\d{1,10})['"]?\s*,\s*rating:\s*['"]?(\d{1,2})""")
PARTS = {"nameRus": "title", "nameEng": "original_title", "date": "date"}
VOID = {"img", "br", "input", "meta", "link", "hr"}
MAX_SCRIPT = 2**20  # characters


class Page(HTMLParser):
    """Collects the films of a page in `items`, and {film: rating} in `ratings`."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[dict[str, str]] = []
        self.ratings: dict[str, str] = {}
        self.script: list[str] | None = None  # the pieces of a script so far
        self.script_length = 0
        self.part = ""  # what of an item the text belongs to
        self.depth = 0  # of elements open within that part

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        classes = (attributes.get("class") or "").split()
        if tag == "script":
            self.script, self.script_length = [], 0
        elif "item" in classes and tag == "div":
            if len(self.items) >= MAX_ROWS:
                raise ParseError("too_long")
            self.items.append({})
            self.part = ""
        elif self.items and not self.part and (part := next((PARTS[one] for one in classes if one in PARTS), "")):
            self.part, self.depth = part, 1
        elif self.part and tag not in VOID:
            self.depth += 1
        if (
            self.items
            and tag == "a"
            and (found := re.search(r"/(film|series)/(\d{1,10})", attributes.get("href") or ""))
        ):
            self.items[-1].setdefault("page", found[1])
            self.items[-1].setdefault("film", found[2])

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and self.script is not None:
            self.ratings.update(RATING.findall("".join(self.script)))
            self.script = None
        elif self.part and tag not in VOID:
            self.depth -= 1
            if not self.depth:
                self.part = ""

    def handle_data(self, data: str) -> None:
        if self.script is not None:
            self.script_length += len(data)
            if self.script_length < MAX_SCRIPT:
                self.script.append(data)
        elif self.part:
            item = self.items[-1]
            item[self.part] = (item.get(self.part, "") + data)[:1000]


def rows(pieces: Iterable[str]) -> Iterator[Row]:
    """The rows of a page that comes in pieces of text."""
    page = Page()
    for piece in pieces:
        page.feed(piece)
        if len(page.rawdata) > MAX_SCRIPT:
            raise ParseError("broken")
    for item in page.items:
        if "film" not in item:
            continue
        yield row_of(
            title=item.get("title"),
            original_title=item.get("original_title"),
            kind=item["page"],
            rating=page.ratings.get(item["film"]),
            date=" ".join(item.get("date", "").split()),
        )
