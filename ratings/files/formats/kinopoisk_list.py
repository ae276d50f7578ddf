"""A saved page of a Kinopoisk folder such as «Буду смотреть»: the films in `#itemList`, without ratings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser

from ratings.files.formats.base import row_of
from ratings.files.rows import MAX_ROWS, ParseError, Purpose, Row

TITLE = "Kinopoisk"
MARK = b'id="itemList"'
WANTED_ADDRESS = b"/list/type/3575"  # of «Буду смотреть», in what a browser writes at the head of a saved page
HEAD_BYTES = 4096
MAX_PIECE = 2**20  # characters


class Page(HTMLParser):
    """Collects the films of a page in `items`: title, original_title with its year, date, and what kind of page."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[dict[str, str]] = []
        self.in_list = False
        self.info_depth = 0  # of elements div within .info, that one included
        self.part = ""  # what of an item the text belongs to
        self.end_tag = ""  # that ends it

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        classes = attributes.get("class", "").split()
        self.in_list = self.in_list or attributes.get("id") == "itemList"
        if self.in_list and tag == "li":
            if len(self.items) >= MAX_ROWS:
                raise ParseError("too_long")
            self.items.append({})
            self.info_depth, self.part = 0, ""
        if not self.items or self.part:
            return
        if tag == "div" and (self.info_depth or "info" in classes):
            self.info_depth += 1
        elif tag == "a" and "name" in classes:
            self._begin("title", tag)
            if found := re.search(r"/(film|series)/\d", attributes.get("href", "")):
                self.items[-1].setdefault("page", found[1])
        elif tag == "span":
            self._begin("original_title" if self.info_depth else "date", tag)

    def _begin(self, part: str, tag: str) -> None:
        if part not in self.items[-1]:
            self.items[-1][part] = ""
            self.part, self.end_tag = part, tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self.end_tag:
            self.part = self.end_tag = ""
        elif tag == "div" and self.info_depth:
            self.info_depth -= 1
        elif tag == "ul" and self.in_list:
            self.in_list = False

    def handle_data(self, data: str) -> None:
        if self.part:
            item = self.items[-1]
            item[self.part] = (item[self.part] + data)[:1000]


def rows(pieces: Iterable[str], content: bytes) -> Iterator[Row]:
    """The rows of a page that comes in pieces of the text of this content."""
    page = Page()
    for piece in pieces:
        page.feed(piece)
        if len(page.rawdata) > MAX_PIECE:
            raise ParseError("broken")
    wanted = WANTED_ADDRESS in content[:HEAD_BYTES]
    for item in page.items:
        title, original = (" ".join(item.get(name, "").split()) for name in ("title", "original_title"))
        if not title:
            continue
        known = re.match(r"(.*?)\s*\((?:[^()]*,\s*)?(\d{4})", original)
        series = item.get("page") == "series" or re.search(r"сериал|\(\d{4}\s*[–-]", f"{title} {original}")
        date = re.match(r"\d\d\.\d\d\.\d{4}(, \d\d:\d\d)?", item.get("date", "").strip())
        yield row_of(
            purpose=Purpose.WANTED if wanted else Purpose.LISTED,
            title=title,
            original_title=known[1] if known else original,
            year=known[2] if known else "",
            kind="series" if series else "",
            date=date[0] if date else "",
        )
