"""CSV through the importer: rows and a report, or ParseError; nothing else, and no memory without end."""

import io
import json
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratings.files.importer import BATCH_ROWS, write_batch
from ratings.files.matching import Matcher
from ratings.files.parser import read
from ratings.files.report import report
from ratings.files.rows import ListUnknown, ParseError, Purpose, ScaleUnknown
from ratings.models import HALF_POINTS, FileImport, Rating
from sandbox.telegram.text import parse_html, utf16
from tests.fuzz.mutations import PIECES, TEXT, bounded, most_memory
from users.models import User

pytestmark = pytest.mark.django_db

NOW = 1_750_000_000
MOST_MEMORY = 100 * 2**20  # bytes that one small file may take more than any before it
NAMES = [
    "tmdbID", "Const", "imdbID", "Title", "Name", "Original Title", "Year", "Release Date", "Type", "Title Type",
    "Your Rating", "Rating10", "Exact Rating", "Rating", "Date Rated", "Date", "WatchedDate", "Letterboxd URI", "",
]  # fmt: skip
VALUES = [
    "603", "tt0133093", "Матрица", "The Matrix", "1999", "8", "7.5", "7,5", "0", "11", "4.5", "2024-05-01", "movie",
    "tvSeries", "2022-08-09T10:11:12Z", "99999999999", "=1+1", "@SUM(A1)", "9999-12-31", "'=x",
]  # fmt: skip
CELL = st.sampled_from(VALUES) | TEXT


@st.composite
def files(draw):
    """The bytes of a file that looks like ratings, in some encoding, with quotation marks as they come, then spoilt."""
    separator = draw(st.sampled_from([",", ";", "\t", "|"]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n"]))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=8))
    quoted = draw(st.booleans())
    rows = [names, *draw(st.lists(st.lists(CELL, max_size=9), max_size=5))]

    def written(cell):
        return '"' + cell.replace('"', '""') + '"' if quoted else cell

    text = draw(st.sampled_from(["", "\ufeff", "sep=;\n", "\n\n"])) + end.join(
        separator.join(written(cell) for cell in row) for row in rows
    )
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1251", "cp1252"]))
    content = bytearray(text.encode(encoding, "replace"))
    for _time in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(content)))
        how = draw(st.sampled_from(["in", "out", "twice"]))
        if how == "in":
            content[at:at] = draw(
                st.binary(max_size=5) | st.sampled_from([p.encode("utf-8", "ignore") for p in PIECES])
            )
        elif how == "out":
            del content[at : at + draw(st.integers(1, 20))]
        else:
            content[at:at] = bytes(content[at : at + draw(st.integers(1, 40))]) * draw(st.integers(1, 500))
    return bytes(content)


def zipped(name, text):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, text)
    return content.getvalue()


FILM = {"title": "One", "year": 1999, "ids": {"imdb": "tt0000001", "tmdb": 11}}
ODS = "urn:oasis:names:tc:opendocument:xmlns"
LAYOUTS = [
    json.dumps([{"rated_at": "2021-03-04", "rating": 4, "type": "movie", "movie": FILM}]).encode(),
    json.dumps({"movies": [{"user_rating": 9, "status": "completed", "movie": FILM}], "shows": [{}]}).encode(),
    json.dumps({"metadata": [{"lot": "movie", "identifier": "11", "reviews": [{"rating": "85"}]}]}).encode(),
    b"<html><table><tr><td>Title<td>Year<td>Rating</tr><tr><td>One<td>1999<td>4.5</tr></table>",
    b'<div class="profileFilmsList"><div class="item"><div class="nameRus"><a href="/film/1/">One (1999)</a></div>'
    b"<script>ur_data.push({film: 1, rating: '10'});</script></div></div>",
    zipped("ratings.csv", "Date,Name,Year,Letterboxd URI,Rating\n2024-01-02,One,1999,x,4.5\n"),
    zipped(
        "content.xml",
        f'<o:c xmlns:o="{ODS}:office:1.0" xmlns:t="{ODS}:table:1.0"><t:table-row><t:table-cell>Title</t:table-cell>'
        '<t:table-cell>Rating10</t:table-cell></t:table-row><t:table-row><t:table-cell o:value="8" '
        't:number-columns-repeated="99999"/></t:table-row></o:c>',
    ),
]
EDIT = st.tuples(
    st.integers(0, 10_000), st.integers(0, 30), st.binary(max_size=4) | st.sampled_from([b"<", b'"', b"[", b"0"])
)


@bounded
@given(st.sampled_from(LAYOUTS), st.lists(EDIT, max_size=5))
def test_any_layout_is_read_or_refused_however_it_is_damaged(content, edits):
    for start, length, new in edits:
        start %= len(content) + 1
        content = content[:start] + new + content[start + length :]
    with suppress(ParseError, ScaleUnknown, ListUnknown):
        assert all(
            row.skip_reason or row.purpose is Purpose.WANTED or row.value in HALF_POINTS
            for row in read(content, NOW).rows
        )


@bounded
@given(files() | st.binary(max_size=300))
def test_any_file_is_imported_or_refused(sandbox, content):
    before = most_memory()
    try:
        rows = read(content, NOW).rows
    except (ParseError, ScaleUnknown, ListUnknown):
        return
    finally:
        assert most_memory() - before < MOST_MEMORY
    assert all(row.skip_reason or row.purpose is Purpose.WANTED or row.value in HALF_POINTS for row in rows)
    user, _new = User.objects.get_or_create(pk=7)
    file = FileImport.objects.create(user=user, sent_at=NOW, rows_total=len(rows))
    some = rows[:BATCH_ROWS]
    file = write_batch(file, some, Matcher().match(some))
    file.finished_at = NOW
    text, _keyboard = report(file)
    assert 0 < utf16(parse_html(text)[0]) <= 4096
    assert all(rating.value in HALF_POINTS for rating in Rating.objects.all())
    Rating.objects.all().delete()
    FileImport.objects.all().delete()
