"""Parsing CSV files of ratings as other services write them, in any encoding and with any separator.

Columns are known by name, so that files of TMDb (ratings export), Letterboxd (ratings.csv, diary.csv and its import
format, https://letterboxd.com/about/importing-data/), IMDb (ratings export) and our own need no telling apart.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import NamedTuple

from ratings.models import HALF_POINTS

MAX_ROWS = 100_000
MAX_TITLE_LENGTH = 300  # characters; the rest is cut off
MAX_LINE_LENGTH = 2**20  # characters; a line of all columns that IMDb has takes a thousand
CHUNK_BYTES = 65536  # bytes

COLUMNS = {
    "tmdb_id": ["tmdbid"],
    "imdb_id": ["imdbid", "const"],
    "title": ["title", "name"],
    "original_title": ["originaltitle"],
    "year": ["year", "releasedate"],
    "kind": ["type", "titletype"],
    # out of ten; the first that a row fills counts
    "rating": ["exactrating", "rating10", "yourrating"],
    # when it was rated, else when it was seen
    "date": ["daterated", "date", "watcheddate"],
    "stars": ["rating"],  # out of five, as Letterboxd has it; in other files TMDb's mean
}
# What the services call things that are rated like movies and are none
SKIPPED_TYPES = re.compile(
    r"(tv|podcast)?\W?(mini)?\W?(series|episode|show|season)|tv|game|videogame|musicvideo|person"
)
FORMULA = re.compile(r"[=+\-@\t\r＝＋－＠]")  # what a spreadsheet begins to calculate at


class ParseError(Exception):
    """The file cannot be imported; `reason` is empty, archive, no_text, broken, no_ratings, scale or too_long."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Row:
    """One line of a file. `value` is None where it holds no rating, or (see `skip_reason`) an invalid one."""

    title: str = ""
    original_title: str = ""
    year: int | None = None
    tmdb_id: int | None = None
    imdb_id: str = ""
    value: Decimal | None = None  # 0.5-10
    at: int | None = None  # UNIX seconds
    whole_day: bool = False  # the file knows the day, not the time
    skip_reason: str = ""  # "no_film" | "unrated" | "odd_rating"; matching adds "unanswered"; "": none

    @property
    def name(self) -> str:
        title = self.title or self.original_title or self.imdb_id or (f"TMDb {self.tmdb_id}" if self.tmdb_id else "?")
        return f"{title} ({self.year})" if self.year else title


def read(content: bytes, now: int) -> list[Row]:
    """The rows of a file; `now`: UNIX seconds when it was sent. Raises ParseError.

    Takes memory for the rows, not for what else the file holds.
    """
    encoding = encoding_of(content)
    lines = lines_of(io.TextIOWrapper(io.BytesIO(content), encoding, errors="replace", newline=""))
    try:
        separator, columns = header(lines)
        return parse_rows(csv.reader(lines, delimiter=separator), columns, now)
    except csv.Error:  # a field longer than any: a quotation mark that is never closed
        raise ParseError("broken") from None


def lines_of(file: io.TextIOWrapper) -> Iterator[str]:
    """The lines of a text file, none too long. Raises ParseError."""
    while line := file.readline(MAX_LINE_LENGTH):
        if len(line) == MAX_LINE_LENGTH:
            raise ParseError("broken")
        yield line


# --- Encoding


def encoding_of(content: bytes) -> str:
    """The name of the encoding of a file. Raises ParseError for what is no text."""
    if not content.strip():
        raise ParseError("empty")
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"Rar!", b"7z\xbc\xaf")):
        raise ParseError("archive")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in content:
        # the plain letters of a header have a zero for one of their two bytes, always the same
        even, odd = content[:400:2].count(0), content[1:400:2].count(0)
        if bool(even) == bool(odd):
            raise ParseError("no_text")
        return "utf-16-le" if odd else "utf-16-be"
    broken, foreign = utf8_letters(content)
    if broken * 20 <= foreign:  # a letter cut in half here and there does not make another encoding
        return "utf-8-sig"
    # In Cyrillic letters above 127 stand side by side; in French or German they stand alone.
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", content[: 2**20])]
    return "cp1251" if 2 * sum(run for run in runs if run > 1) >= sum(runs) else "cp1252"


def utf8_letters(content: bytes) -> tuple[int, int]:
    """(places that are no UTF-8, letters beyond ASCII) of a file read as UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    broken = foreign = 0
    for start in range(0, len(content), CHUNK_BYTES):
        text = decoder.decode(content[start : start + CHUNK_BYTES])
        if not text.isascii():
            broken += text.count("\ufffd")
            foreign += len(text) - len(text.encode("ascii", "ignore"))
    return broken, foreign


# --- The header


class Header(NamedTuple):
    separator: str
    columns: dict[str, list[int]]  # {key of COLUMNS: indexes of the columns that bear one of its names}


def header(lines: Iterator[str]) -> Header:
    """Find the header within the first lines. Raises ParseError where it names no ratings."""
    for line in islice(lines, 10):
        if line.strip() and not line.strip().lower().startswith("sep="):  # Excel's own hint
            break
    else:
        raise ParseError("empty" if next(lines, None) is None else "no_ratings")
    found = {separator: column_map(next(csv.reader([line], delimiter=separator), [])) for separator in ",;\t|"}
    separator, columns = max(found.items(), key=lambda one: len(one[1]))
    named = "title" in columns or "original_title" in columns or "tmdb_id" in columns or "imdb_id" in columns
    if not named or not ("rating" in columns or "stars" in columns):
        raise ParseError("no_ratings")
    if "rating" in columns:
        columns.pop("stars", None)
    return Header(separator, columns)


def column_map(names: list[str]) -> dict[str, list[int]]:
    plain: dict[str, int] = {}
    for place, name in enumerate(names):
        plain.setdefault(re.sub(r"[^a-z0-9]", "", name.lower()), place)
    columns = {meaning: [plain[one] for one in known if one in plain] for meaning, known in COLUMNS.items()}
    return {meaning: places for meaning, places in columns.items() if places}


# --- The rows


def parse_rows(reader: Iterable[list[str]], columns: dict[str, list[int]], now: int) -> list[Row]:
    rows: list[Row] = []
    stars = "stars" in columns
    for number, cells in enumerate(reader):
        if number >= MAX_ROWS:
            raise ParseError("too_long")
        if any(cells):
            rows.append(parse_row(cells, columns, now, stars))
    if stars and any(row.value and row.value > 10 for row in rows):
        raise ParseError("scale")  # a rating above five: then which of the others are out of ten?
    if not rows:
        raise ParseError("empty")
    return rows


def parse_row(cells: list[str], columns: dict[str, list[int]], now: int, stars: bool) -> Row:
    def cell(meaning: str) -> str:
        filled = (cells[place].strip() for place in columns.get(meaning, ()) if place < len(cells))
        return next(filter(None, filled), "")

    row = Row(parse_title(cell("title")), parse_title(cell("original_title")))
    if found := re.match(r"(1[89]\d\d|20\d\d)(?!\d)", cell("year")):
        row.year = int(found[1])
    if re.fullmatch(r"\d{1,10}(\.0)?", cell("tmdb_id"), re.ASCII):
        row.tmdb_id = int(cell("tmdb_id").split(".")[0]) or None
    if re.fullmatch(r"tt\d{5,12}", cell("imdb_id"), re.ASCII):
        row.imdb_id = cell("imdb_id")
    row.at, row.whole_day = parse_date(cell("date"), now)
    given = cell("stars" if stars else "rating")
    if SKIPPED_TYPES.fullmatch(re.sub(r"\s", "", cell("kind").lower())):
        row.skip_reason = "no_film"
    elif given in ("", "0", "0.0"):
        row.skip_reason = "unrated"
    else:
        row.value = parse_rating(given, stars)
        if row.value not in HALF_POINTS:
            row.skip_reason = "odd_rating"
    return row


def parse_title(cell: str) -> str:
    """A title without the apostrophe that keeps a spreadsheet from taking it for a formula."""
    text = " ".join(cell.replace("\0", " ").split())
    if text.startswith("'") and FORMULA.match(text[1:]):
        text = text[1:].lstrip()
    return text[:MAX_TITLE_LENGTH].rstrip()


def parse_rating(text: str, stars: bool) -> Decimal | None:
    """A rating out of ten (exact), be it allowed or not; None for what is no number."""
    if not re.fullmatch(r"\d{1,3}([.,]\d{1,4})?", text, re.ASCII):
        return None
    return Decimal(text.replace(",", ".")) * (2 if stars else 1)


class Moment(NamedTuple):
    at: int | None  # UNIX seconds; None: unknown
    whole_day: bool  # only the day is known


def parse_date(text: str, now: int) -> Moment:
    """The moment that a date names, if it is unambiguous and not in the future.

    A day and a month separated by slashes stand in either order, so such a date is ignored.
    """
    if found := re.fullmatch(r"(\d\d)\.(\d\d)\.(\d{4})", text, re.ASCII):
        text = f"{found[3]}-{found[2]}-{found[1]}"
    at = None
    with suppress(ValueError):
        at = datetime.fromisoformat(text)
    for style in ("%Y-%m-%d %H:%M:%S UTC", "%a %b %d %H:%M:%S %Y"):  # the second is IMDb's of old
        if at is None and text:
            with suppress(ValueError):
                at = datetime.strptime(text, style)
    if at is None:
        return Moment(None, False)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    try:
        seconds = int(at.timestamp())
    except (ValueError, OverflowError):
        return Moment(None, False)
    if not 0 < seconds <= now + 86_400:
        return Moment(None, False)
    return Moment(seconds, len(text) <= len("2023-05-02"))
