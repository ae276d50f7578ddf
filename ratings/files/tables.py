"""The cells of tables that are no CSV: of HTML and of the spreadsheets .xlsx and .ods."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from html.parser import HTMLParser
from itertools import islice
from typing import Any, TypeVar
from xml.etree.ElementTree import iterparse  # nosec B405 - check_spreadsheet lets no entity pass

from ratings.files.rows import MAX_ROWS, ParseError

MAX_LINE_LENGTH = 2**20  # characters; a line of all columns that IMDb has takes a thousand
MAX_PIECE = 2**20  # characters of HTML, or bytes of a spreadsheet's row
PIECE_CHARS = 2**16
HEADER_LINES = 12  # within which the names of the columns stand
MAX_COLUMNS = 100  # of a spreadsheet
MAX_SHEETS = 20
MAX_SHEET_BYTES = 64 * 2**20  # unpacked, all parts together
MAX_PART_BYTES = 4 * 2**20  # unpacked, of a part that has no cells

Cells = list[str]
T = TypeVar("T")


def lines_of(file: io.TextIOWrapper) -> Iterator[str]:
    """The lines of a text file, none too long. Raises ParseError."""
    while line := file.readline(MAX_LINE_LENGTH):
        if len(line) == MAX_LINE_LENGTH:
            raise ParseError("broken")
        yield line


# --- HTML


class TableParser(HTMLParser):
    """Collects the cells of table rows; `rows` is emptied by who reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Cells] = []
        self.cells: Cells = []
        self.text: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self._end_row()
        elif tag in ("td", "th"):
            self._end_cell()
            self.text = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._end_cell()
        elif tag in ("tr", "table"):
            self._end_row()

    def handle_data(self, data: str) -> None:
        if self.text is not None:
            self.text.append(data)

    def _end_cell(self) -> None:
        if self.text is not None:
            self.cells.append(" ".join("".join(self.text).split()))
            if len(self.cells) > MAX_COLUMNS:
                raise ParseError("broken")
        self.text = None

    def _end_row(self) -> None:
        self._end_cell()
        if self.cells:
            self.rows.append(self.cells)
        self.cells = []


def pieces_of(file: io.TextIOWrapper) -> Iterator[str]:
    while piece := file.read(PIECE_CHARS):
        yield piece


def html_rows(pieces: Iterable[str]) -> Iterator[Cells]:
    """The rows of all tables of an HTML page. Raises ParseError."""
    parser = TableParser()
    for piece in pieces:
        parser.feed(piece)
        if len(parser.rawdata) > MAX_PIECE or len(parser.text or ()) > MAX_PIECE:
            raise ParseError("broken")
        yield from parser.rows
        parser.rows.clear()
    parser.close()
    parser.handle_endtag("table")
    yield from parser.rows


# --- Spreadsheets


def sheets_of(content: bytes, names: set[str]) -> Iterator[Iterator[Cells]]:
    """The sheets of an .xlsx or .ods, whose parts have these names. Raises ParseError."""

    def sheets() -> Iterator[Iterator[Cells]]:
        check_spreadsheet(content)
        if "content.xml" in names:
            yield _guarded(_ods_rows(content))
        else:
            yield from _xlsx_sheets(content)

    return _guarded(sheets())


def _guarded(rows: Iterable[T]) -> Iterator[T]:
    """What comes, with ParseError for what the library raises at a damaged file: it does not say what that may be."""
    try:
        yield from rows
    except ParseError:
        raise
    except Exception as error:
        raise ParseError("broken_sheet") from error


def check_spreadsheet(content: bytes) -> None:
    """Refuse what would unpack to more than a spreadsheet of ratings has. Raises ParseError.

    Readers of XML hold a whole row, and build whatever a document type declares.
    """
    total = 0
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            is_cells = re.search(r"sheet\d*\.xml$|sharedStrings\.xml$|^content\.xml$", member.filename)
            total += member.file_size
            if total > MAX_SHEET_BYTES or (member.file_size > MAX_PART_BYTES and not is_cells):
                raise ParseError("too_long")
            if not member.filename.endswith((".xml", ".rels")):
                continue
            part = archive.read(member)
            if b"\0" in part or b"<!DOCTYPE" in part or b"<!ENTITY" in part:
                raise ParseError("broken_sheet")
            since = 0
            for row in re.finditer(rb"row>|<si>|\Z", part) if is_cells else ():
                if row.start() - since > MAX_PIECE:
                    raise ParseError("broken_sheet")
                since = row.end()


def _xlsx_sheets(content: bytes) -> Iterator[Iterator[Cells]]:
    from openpyxl import load_workbook  # only who reads a spreadsheet loads it

    book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    for sheet in islice(book.worksheets, MAX_SHEETS):
        sheet.reset_dimensions()  # what a program wrote down as the size may be wrong
        rows = sheet.iter_rows(max_row=MAX_ROWS + HEADER_LINES + 1, max_col=MAX_COLUMNS, values_only=True)
        # the library fills a gap in the numbers of rows with empty ones
        yield _guarded([_cell_text(value) for value in row] if any(row) else [] for row in rows)


def _cell_text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime | date):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    return "" if value is None else str(value)


ODS = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
TABLE, OFFICE = ODS % "table", ODS % "office"


def _ods_rows(content: bytes) -> Iterator[Cells]:
    """The rows of all sheets of an OpenDocument spreadsheet.

    Read as XML: the packages for it hold the whole document in memory, at fifty times its size.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open("content.xml") as part:
        for _event, element in iterparse(part):  # noqa: S314  # nosec B314 - see check_spreadsheet
            if element.tag == f"{TABLE}table-row":
                yield _ods_cells(element)
            if element.tag in (f"{TABLE}table-row", f"{TABLE}table"):
                element.clear()


def _ods_cells(row: Any) -> Cells:
    cells: Cells = []
    for cell in row:
        repeated = cell.get(f"{TABLE}number-columns-repeated", "1")
        value = cell.get(f"{OFFICE}date-value") or cell.get(f"{OFFICE}value")
        text = value or " ".join(part for part in cell.itertext() if part.strip())
        times = int(repeated) if re.fullmatch(r"\d{1,6}", repeated, re.ASCII) else 1
        cells += [text] * min(times, MAX_COLUMNS - len(cells))
    return cells
