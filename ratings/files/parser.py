"""Reading a file of any layout that ratings.files.formats knows: what it is shows in its content, never in its name.

Only of a list that says nothing but which films are on it does the name tell whether they have been seen.
"""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_UP, Decimal
from itertools import chain, islice, pairwise
from typing import NamedTuple

from movies.models import casefolded_text
from ratings.files import archives, dates, json_lists, tables, xml_document
from ratings.files.encoding import encoding_of
from ratings.files.formats import JSON, LISTS, TABLES, imdb, kinopoisk_list, kinopoisk_page
from ratings.files.formats.base import TableFormat, column_key
from ratings.files.formats.table import BESIDE_TITLES, TITLES
from ratings.files.rows import MAX_ROWS, ListUnknown, ParseError, Purpose, Row, Scale, ScaleUnknown
from ratings.models import HALF_POINTS

MAX_DEPTH = 2  # of a zip within a zip
MAX_JSON_VALUES = 3_000_000
MAX_ROWS_ABOVE_HEADER = 1000  # of a page or sheet, which may begin with other tables
MAX_EXAMPLES = 3  # rows shown with the question what their ratings are out of
SEPARATORS = ",;\t|"
HTML = re.compile(r"<(!doctype )?html|<table", re.IGNORECASE)
ENTITY = re.compile(r"&(amp|lt|gt|apos|#\d{1,5});")  # some programs write them into tables
WANTED_NAME = re.compile(
    r"watch[ _-]?list|wish[ _-]?list|want|plan|to[ _-]?(watch|see)|буду|хочу|к просмотру", re.IGNORECASE
)
SEEN_NAME = re.compile(r"watched|seen|history|diary|просмотр|смотрел", re.IGNORECASE)


REMARK = r"[(\[](?P<remark>[^()\[\]]*)[)\]]"
IN_BRACKETS = re.compile(rf"(.*\S)\s*(?:{REMARK}|(?P<scale>(?:/|из|out of)\s*\d{{1,3}}))\s*", re.IGNORECASE)
OUT_OF = re.compile(r"(?:/|из|of|[01]\s*[-–—]|max\.?|^)\s*(5|10|100)$")


class Table(NamedTuple):
    """The rows of one table or list, in the file's order, and the layout's name."""

    title: str
    rows: list[Row]


@dataclass
class Parsed:
    """What a file holds. The rows of one film come in the order of their viewings."""

    rows: list[Row] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)  # of the layouts found
    members: list[str] = field(default_factory=list)  # taken from an archive
    undated: int = 0  # rows whose date cannot be read
    unpacked: int = 0  # bytes
    is_page: bool = False  # one of the saved pages over which a list is spread


def read(
    content: bytes, now: int, scale: Scale = Scale.UNKNOWN, name: str = "", purpose: Purpose = Purpose.LISTED
) -> Parsed:
    """The rows of a file of this `name`; `now`: UNIX seconds when it was sent.

    `scale` and `purpose`: what the user says its ratings are out of, and a list without ratings is of.
    Raises ParseError; ScaleUnknown and ListUnknown where the user has to be asked. Takes memory for the rows, not for
    what else the file holds.
    """
    parsed, found = Parsed(), []
    for table in _tables(content, name, parsed, 0):
        settle_scale(table.rows, scale)
        settle_purpose(table.rows, purpose)
        found.append(table)
        if sum(len(one.rows) for one in found) > MAX_ROWS:
            raise ParseError("too_long")
    rows = [row for table in found for row in table.rows]
    if not rows:
        raise ParseError("empty")
    parsed.titles = list(dict.fromkeys(table.title for table in found if table.title))
    order = dates.order_of((text for row in rows for text in (row.date_text, row.viewed_text)), now)
    for row in rows:
        settle_date(row, now, order)
    number = 0
    for table in found:
        for row in reversed(table.rows) if is_newest_first(table.rows) else table.rows:
            row.position = number = number + 1
    # films to see come last: what is rated in the same file is not put on the list
    rows.sort(key=lambda row: (row.purpose is Purpose.WANTED, row.at or 0, row.viewed_at or row.at or 0, row.position))
    mark_repeated(rows)
    parsed.rows = rows
    parsed.undated = sum(not row.skip_reason and bool(row.date_text) and row.at is None for row in rows)
    return parsed


# --- What the content is


def _tables(content: bytes, name: str, parsed: Parsed, depth: int) -> Iterator[Table]:
    """The tables in some bytes; `name`: of a member of an archive. Raises ParseError where there is none."""
    if not content.strip():
        raise ParseError("empty")
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        yield from _zip_tables(content, name, parsed, depth)
        return
    if content.startswith((b"\x1f\x8b", b"Rar!", b"7z\xbc\xaf")):
        raise ParseError("archive")
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        raise ParseError("old_excel")
    text = io.TextIOWrapper(io.BytesIO(content), encoding_of(content), errors="replace", newline="")
    start = text.read(1000).lstrip("\ufeff \r\n\t")
    text.seek(0)
    if start.startswith("<?xml") and not HTML.search(start):
        yield _data_rows(xml_document.document_of(content), name)
    elif start.startswith("<"):
        pieces = tables.pieces_of(text)
        if kinopoisk_page.MARK in content:
            parsed.is_page = depth == 0
            yield Table(kinopoisk_page.TITLE, list(kinopoisk_page.rows(pieces)))
        elif kinopoisk_list.MARK in content and b"kinopoisk" in content:
            yield Table(kinopoisk_list.TITLE, name_purpose(list(kinopoisk_list.rows(pieces, content)), name))
        else:
            yield _rows_below_header(tables.html_rows(pieces), name)
    elif start.startswith(("{", "[")):
        yield _json_rows(text, name)
    else:
        yield _csv_rows(text, name)


def _zip_tables(content: bytes, name: str, parsed: Parsed, depth: int) -> Iterator[Table]:
    names = archives.names_in(content)
    if {"xl/workbook.xml", "content.xml"} & names:
        sheets = (_found(_rows_below_header, cells, name) for cells in tables.sheets_of(content, names))
        found = [table for table in sheets if table]
        if not found:
            raise ParseError("no_ratings")
        yield from found
        return
    if depth >= MAX_DEPTH:
        raise ParseError("archive")
    taken = False
    for member in archives.members_of(content, parsed.unpacked):
        parsed.unpacked += len(member.content)
        try:
            for table in _tables(member.content, member.name, parsed, depth + 1):
                listed = [row for row in table.rows if row.purpose is Purpose.LISTED]
                if len(listed) == len(table.rows):
                    continue  # a list of the user's own
                settle_purpose(listed, Purpose.SEEN)
                taken = True
                parsed.members.append(member.name[:100])
                yield table
        except ParseError as error:
            if error.reason == "too_long":
                raise
    if not taken:
        raise ParseError("no_ratings_inside")


# --- Tables


class Layout(NamedTuple):
    title: str
    read: Callable[[list[str]], Row]
    known: int  # columns


def layout_of(cells: list[str]) -> Layout | None:
    """The layout that a line is the header of; None where it is none.

    A column may say in brackets what its ratings are out of: "Rating (out of 5)", "Оценка (1-10)".
    """
    names: dict[str, int] = {}
    for index, cell in enumerate(cells):
        names.setdefault(column_key(cell[:100]), index)
    for index, name in enumerate(imdb.names_of(cells)):
        names.setdefault(column_key(name), index)
    said = Scale.UNKNOWN
    for index, cell in enumerate(cells):
        if found := IN_BRACKETS.fullmatch(cell[:100]):
            names.setdefault(column_key(found[1]), index)
            if scale := OUT_OF.search(found["remark"] or found["scale"] or ""):
                said = Scale(int(scale[1]))
    formats: list[TableFormat] = [*TABLES, *LISTS, *([TITLES] if names.keys() <= BESIDE_TITLES else [])]
    for format in formats:
        if format.fits(names):
            format = replace(format, scale=said) if said and not format.title else format
            known = sum(any(key in names for key in keys) for keys in format.places.values())
            return Layout(format.title, format.row_reader(names), known)
    return None


def _csv_rows(text: io.TextIOWrapper, name: str) -> Table:
    """The rows of a text with any separator. Raises ParseError."""
    lines = tables.lines_of(text)
    head = list(islice((line for line in lines if line.strip("\ufeff \r\n\t")), tables.HEADER_LINES))
    if not head:
        raise ParseError("empty")
    if head[0].lstrip("\ufeff").lower().startswith("sep="):  # Excel's own hint
        del head[0]
    best: tuple[int, int, str, Layout] | None = None
    try:
        for separator in SEPARATORS:
            for number, cells in enumerate(_cells_of(head, separator)):
                if (layout := layout_of(cells)) and (best is None or layout.known > best[0]):
                    best = (layout.known, number, separator, layout)
                if layout:
                    break
        if best is None:
            raise ParseError("no_ratings")
        _known, number, separator, layout = best
        cells_of = islice(_cells_of(chain(head, lines), separator), number + 1, None)
        return Table(layout.title, name_purpose(_read_rows(cells_of, layout), name))
    except csv.Error:  # a field longer than any: a quotation mark that is never closed
        raise ParseError("broken") from None


def _cells_of(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    """The cells of each line.

    Where Excel does not know the separator, it keeps a line in one cell, and saves it with quotation marks around it.
    """
    if separator == ";":
        lines = (ENTITY.sub(lambda found: html.unescape(found[0]), line) for line in lines)
    for cells in csv.reader(lines, delimiter=separator):
        if len(cells) == 1 and separator in cells[0]:
            yield next(csv.reader(cells, delimiter=separator), [])
        else:
            yield cells


def _rows_below_header(lines: Iterable[list[str]], name: str) -> Table:
    """The rows of a table whose header stands anywhere above them. Raises ParseError where there is none."""
    lines = iter(lines)
    for number, cells in enumerate(lines):
        if layout := layout_of(cells):
            return Table(layout.title, name_purpose(_read_rows(lines, layout), name))
        if number >= MAX_ROWS_ABOVE_HEADER:
            break
    raise ParseError("no_ratings")


def _read_rows(lines: Iterable[list[str]], layout: Layout) -> list[Row]:
    rows: list[Row] = []
    for cells in lines:
        if any(cells):
            if len(rows) >= MAX_ROWS:
                raise ParseError("too_long")
            rows.append(layout.read(cells))
    return rows


def _found(read: Callable[[Iterable[list[str]], str], Table], lines: Iterable[list[str]], name: str) -> Table | None:
    try:
        return read(lines, name)
    except ParseError as error:
        if error.reason != "no_ratings":
            raise
        return None


# --- JSON


def _json_rows(text: io.TextIOWrapper, name: str) -> Table:
    content = text.read()
    if sum(map(content.count, "[{,")) > MAX_JSON_VALUES:
        raise ParseError("too_long")
    content = content.lstrip("\ufeff")
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        data = _json_lines(content)
    return _data_rows(data, name)


def _data_rows(data: object, name: str) -> Table:
    """The rows of a document of objects and lists. Raises ParseError."""
    for format in JSON:
        if format.fits(data, name):
            rows = list(islice(format.rows(data, name), MAX_ROWS + 1))
            return Table(format.TITLE, name_purpose(rows, name))
    rows = [row for cells in json_lists.tables_of(data) for row in _rows_of_list(cells, name)]
    if not rows:
        raise ParseError("no_ratings")
    return Table("", rows)


def _json_lines(content: str) -> list[object]:
    """The values of a file with one in each line. Raises ParseError."""
    try:
        return [json.loads(line) for line in content.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        raise ParseError("no_ratings") from None


def _rows_of_list(lines: Iterable[list[str]], name: str) -> list[Row]:
    table = _found(_rows_below_header, lines, name)
    return table.rows if table else []


# --- What the rows mean together


def settle_scale(rows: list[Row], chosen: Scale) -> None:
    """Set `value` of each rating. Raises ScaleUnknown where the numbers do not show what they are out of.

    Letterboxd has stars. A column that any program may have written has stars where there are halves and nothing above
    five, points of ten where anything is above five.
    """
    rated = [row for row in rows if row.points is not None]
    largest = max((row.points for row in rated if row.points is not None and row.scale <= Scale.FIVE), default=0)
    unsure = {row.scale for row in rated} & {Scale.UNKNOWN, *([Scale.FIVE] if largest > 5 else [])}
    if unsure and not chosen:
        unknown = [row for row in rated if row.scale in unsure]
        halves = any(row.points % 1 for row in unknown if row.points is not None)
        if Scale.FIVE in unsure or (largest <= 5 and not halves):
            raise ScaleUnknown([f"{row.name}: {row.points:f}" for row in unknown[:MAX_EXAMPLES]])
        points = sorted(row.points for row in unknown if row.points is not None)
        hundred = points[(len(points) - 1) // 2] > 10  # one of them may be a slip
        chosen = Scale.HUNDRED if hundred else Scale.TEN if largest > 5 else Scale.FIVE
    for row in rated:
        if row.points is None:
            continue
        row.scale = chosen if row.scale in unsure else row.scale
        value = row.points * 10 / row.scale
        if row.scale == Scale.HUNDRED:
            value = (value * 2).quantize(Decimal(1), ROUND_HALF_UP) / 2
        if value in HALF_POINTS:
            row.value = value
        else:
            row.skip_reason = row.skip_reason or "odd_rating"


def settle_purpose(rows: list[Row], chosen: Purpose) -> None:
    """Settle what lists without ratings are of. Raises ListUnknown where nobody has said."""
    listed = [row for row in rows if row.purpose is Purpose.LISTED and not row.skip_reason]
    if listed and chosen is Purpose.LISTED:
        raise ListUnknown([row.name for row in listed[:MAX_EXAMPLES]])
    for row in listed:
        row.purpose, row.skip_reason = chosen, "" if chosen is Purpose.WANTED else "unrated"


def name_purpose(rows: list[Row], name: str) -> list[Row]:
    """Settle lists whose file's name says what they are of."""
    wanted, seen = WANTED_NAME.search(name), SEEN_NAME.search(name)
    if bool(wanted) != bool(seen):
        listed = [row for row in rows if row.purpose is Purpose.LISTED]
        settle_purpose(listed, Purpose.WANTED if wanted else Purpose.SEEN)
    return rows


def settle_date(row: Row, now: int, order: dates.DateOrder) -> None:
    """Set `at` and `viewed_at`: where a file does not tell when a film was rated, when it was seen counts."""
    rated, viewed = dates.parse_date(row.date_text, now, order), dates.parse_date(row.viewed_text, now, order)
    row.at, row.whole_day = rated if row.date_text else viewed
    row.viewed_at = viewed.at
    row.date_text = row.date_text or row.viewed_text


def is_newest_first(rows: list[Row]) -> bool:
    """Whether a list begins with its latest day."""
    days = [row.at for row in rows if row.at]
    return sum((one > other) - (one < other) for one, other in pairwise(days)) > 0


def mark_repeated(rows: list[Row]) -> None:
    """Of several rows of one film, the last rating counts; `rows` are in the order of their viewings."""
    kept: dict[object, Row] = {}
    for row in reversed(rows):
        if row.skip_reason not in ("", "unrated") or row.purpose is Purpose.WANTED:
            continue
        key = row.imdb_id or row.tmdb_id or (casefolded_text(row.title), casefolded_text(row.original_title), row.year)
        latest = kept.setdefault(key, row)
        if latest is row:
            continue
        if latest.purpose is Purpose.SEEN and row.purpose is Purpose.RATING:
            kept[key], row = row, latest
        row.skip_reason = "repeated"
