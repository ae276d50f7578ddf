"""CSV files with ratings as other services write them: what a file says, whatever its encoding and separator.

Columns are known by name, so that files of TMDb (ratings export), Letterboxd (ratings.csv, diary.csv and its import
format, https://letterboxd.com/about/importing-data/), IMDb (ratings export) and our own need no telling apart.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

from ratings.models import HALF_POINTS

if TYPE_CHECKING:
    pass

MOST_ROWS = 100_000
LONGEST_TITLE = 300  # characters of a title that are kept
LONGEST_LINE = 2**20  # characters; a line of all columns that IMDb has takes a thousand
CHUNK = 65536  # bytes

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
# What the services call things that are rated like films and are none
NO_FILMS = re.compile(r"(tv|podcast)?\W?(mini)?\W?(series|episode|show|season)|tv|game|videogame|musicvideo|person")
FORMULA = re.compile(r"[=+\-@\t\r＝＋－＠]")  # what a spreadsheet begins to calculate at


class Unreadable(Exception):
    """The file is not what can be imported; `why` is empty, archive, no_text, broken, no_ratings, scale or too_long."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(slots=True)
class Row:
    """What one line of a file says. `value` is None where it gives no rating, or (`flaw`) none we understand."""

    title: str = ""
    original_title: str = ""
    year: int | None = None
    tmdb_id: int | None = None
    imdb_id: str = ""
    value: Decimal | None = None
    at: int | None = None  # UNIX seconds
    whole_day: bool = False  # the file knows the day, not the time
    flaw: str = ""  # "" | "no_film" | "unrated" | "odd_rating"

    @property
    def name(self) -> str:
        title = self.title or self.original_title or self.imdb_id or (f"TMDb {self.tmdb_id}" if self.tmdb_id else "?")
        return f"{title} ({self.year})" if self.year else title


def read(content: bytes, now: int) -> list[Row]:
    """The rows of a file of bytes. Raises Unreadable. Takes memory for the rows, not for what else the file holds."""
    encoding = encoding_of(content)
    lines = lines_of(io.TextIOWrapper(io.BytesIO(content), encoding, errors="replace", newline=""))
    try:
        separator, columns = header(lines)
        return body(csv.reader(lines, delimiter=separator), columns, now)
    except csv.Error:  # a field longer than any: a quotation mark that nobody closed
        raise Unreadable("broken") from None


def lines_of(file: io.TextIOWrapper) -> Iterator[str]:
    """The lines of a text file, none too long. Raises Unreadable."""
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise Unreadable("broken")
        yield line


# --- Encoding


def encoding_of(content: bytes) -> str:
    """The name of the encoding of a file. Raises Unreadable for what is no text."""
    if not content.strip():
        raise Unreadable("empty")
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"Rar!", b"7z\xbc\xaf")):
        raise Unreadable("archive")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in content:
        # the plain letters of a header have a zero for one of their two bytes, always the same
        even, odd = content[:400:2].count(0), content[1:400:2].count(0)
        if bool(even) == bool(odd):
            raise Unreadable("no_text")
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
    for start in range(0, len(content), CHUNK):
        text = decoder.decode(content[start : start + CHUNK])
        if not text.isascii():
            broken += text.count("\ufffd")
            foreign += len(text) - len(text.encode("ascii", "ignore"))
    return broken, foreign


# --- The header


def header(lines: Iterator[Any]) -> tuple[str, dict[str, list[int]]]:
    """(separator, {meaning: places of its columns}) of the header. Raises Unreadable where there are no ratings."""
    for line in islice(lines, 10):
        if line.strip() and not line.strip().lower().startswith("sep="):  # Excel's own hint
            break
    else:
        raise Unreadable("empty" if next(lines, None) is None else "no_ratings")
    found = {separator: meanings(next(csv.reader([line], delimiter=separator), [])) for separator in ",;\t|"}
    separator, columns = max(found.items(), key=lambda one: len(one[1]))
    named = "title" in columns or "original_title" in columns or "tmdb_id" in columns or "imdb_id" in columns
    if not named or not ("rating" in columns or "stars" in columns):
        raise Unreadable("no_ratings")
    if "rating" in columns:
        columns.pop("stars", None)
    return separator, columns


def meanings(names: list[str]) -> dict[str, list[int]]:
    plain = {}
    for place, name in enumerate(names):
        plain.setdefault(re.sub(r"[^a-z0-9]", "", name.lower()), place)
    columns = {meaning: [plain[one] for one in known if one in plain] for meaning, known in COLUMNS.items()}
    return {meaning: places for meaning, places in columns.items() if places}


# --- The rows


def body(reader, columns, now):
    rows, stars = [], "stars" in columns
    for number, cells in enumerate(reader):
        if number >= MOST_ROWS:
            raise Unreadable("too_long")
        if any(cells):
            rows.append(row_of(cells, columns, now, stars))
    if stars and any(row.value and row.value > 10 for row in rows):
        raise Unreadable("scale")  # a rating above five: then which of the others are out of ten?
    if not rows:
        raise Unreadable("empty")
    return rows


def row_of(cells: list[str], columns: dict[str, list[int]], now: int, stars: bool) -> Row:
    def cell(meaning):
        filled = (cells[place].strip() for place in columns.get(meaning, ()) if place < len(cells))
        return next(filter(None, filled), "")

    row = Row(title_of(cell("title")), title_of(cell("original_title")))
    if found := re.match(r"(1[89]\d\d|20\d\d)(?!\d)", cell("year")):
        row.year = int(found[1])
    if re.fullmatch(r"\d{1,10}(\.0)?", cell("tmdb_id"), re.ASCII):
        row.tmdb_id = int(cell("tmdb_id").split(".")[0]) or None
    if re.fullmatch(r"tt\d{5,12}", cell("imdb_id"), re.ASCII):
        row.imdb_id = cell("imdb_id")
    row.at, row.whole_day = moment_of(cell("date"), now)
    given = cell("stars" if stars else "rating")
    if NO_FILMS.fullmatch(re.sub(r"\s", "", cell("kind").lower())):
        row.flaw = "no_film"
    elif given in ("", "0", "0.0"):
        row.flaw = "unrated"
    else:
        row.value = value_of(given, stars)
        if row.value not in HALF_POINTS:
            row.flaw = "odd_rating"
    return row


def title_of(cell: str) -> str:
    """A title without the apostrophe that keeps a spreadsheet from taking it for a formula."""
    text = " ".join(cell.replace("\0", " ").split())
    if text.startswith("'") and FORMULA.match(text[1:]):
        text = text[1:].lstrip()
    return text[:LONGEST_TITLE].rstrip()


def value_of(text: str, stars: bool) -> Decimal | None:
    """A rating out of ten (exact), be it allowed or not; None for what is no number."""
    if not re.fullmatch(r"\d{1,3}([.,]\d{1,4})?", text, re.ASCII):
        return None
    return Decimal(text.replace(",", ".")) * (2 if stars else 1)


def moment_of(text: str, now: int) -> tuple[None, bool] | tuple[int, bool]:
    """(UNIX seconds, whether only the day is known) of a date; (None, False) where there is none to be sure of.

    A day and a month parted by slashes stand in either order, so that such a date says nothing.
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
        return None, False
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    try:
        seconds = int(at.timestamp())
    except (ValueError, OverflowError):
        return None, False
    if not 0 < seconds <= now + 86_400:
        return None, False
    return seconds, len(text) <= len("2023-05-02")
