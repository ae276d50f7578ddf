"""The row that every format yields: one film as a file tells of it."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, StrEnum

from ratings.files.kinds import is_no_film

MAX_ROWS = 100_000
MAX_TITLE_LENGTH = 300  # characters; the rest is cut off
FORMULA = re.compile(r"[=+\-@\t\r＝＋－＠]")  # what a spreadsheet begins to calculate at
YEAR = r"1[89]\d\d|20\d\d"
SERIES_REMARK = re.compile(r"сериал|series\b|\btv show|\d{4}\s*[–—-]\s*(\d{4}|\W*)$", re.IGNORECASE)
FILM_REMARK = re.compile(r"\s*(tv|тв|v|video|видео)\s*", re.IGNORECASE)


class ParseError(Exception):
    """The file cannot be imported; `reason` is a key of ratings.files.report.ERROR_TEXTS."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ScaleUnknown(Exception):
    """Nothing in the file tells whether its ratings are out of five or of ten; `examples`: some of its rows."""

    def __init__(self, examples: list[str]) -> None:
        super().__init__("scale")
        self.examples = examples


class ListUnknown(Exception):
    """A list without ratings may be of films to see or of films seen; `examples`: some of its rows."""

    def __init__(self, examples: list[str]) -> None:
        super().__init__("list")
        self.examples = examples


class Scale(IntEnum):
    """What a rating is out of."""

    UNKNOWN = 0
    FIVE = 5
    TEN = 10
    HUNDRED = 100


class Purpose(StrEnum):
    """What a row says of its film."""

    RATING = "rating"
    SEEN = "seen"  # without a rating
    WANTED = "wanted"  # a film of a watchlist
    LISTED = "listed"  # one of the last two: only its list's name, or the user, can tell


@dataclass(slots=True)
class Row:
    """One film of a file. `skip_reason` says why it cannot be rated, `value` is the rating where it can."""

    title: str = ""
    original_title: str = ""
    year: int | None = None
    tmdb_id: int | None = None
    imdb_id: str = ""
    purpose: Purpose = Purpose.RATING
    points: Decimal | None = None  # the rating as it stands in the file, out of `scale`
    scale: Scale = Scale.TEN
    date_text: str = ""
    viewed_text: str = ""  # when it was watched, where the file tells both
    value: Decimal | None = None  # 0.5-10
    at: int | None = None  # UNIX seconds; None: unknown
    viewed_at: int | None = None  # UNIX seconds
    whole_day: bool = False  # the file knows the day, not the time
    position: int = 0  # later rows have higher ones
    skip_reason: str = ""  # "no_film" | "unrated" | "seen" | "odd_rating" | "repeated"; matching adds "unanswered"

    @property
    def name(self) -> str:
        title = self.title or self.original_title or self.imdb_id or (f"TMDb {self.tmdb_id}" if self.tmdb_id else "?")
        return f"{title} ({self.year})" if self.year else title


def make_row(field: Callable[[str], str], scale: Scale = Scale.TEN, purpose: Purpose = Purpose.RATING) -> Row:
    """A row from what a format calls title, original_title, year, tmdb_id, imdb_id, kind, season, rating, date, viewed.

    `field(meaning)` is the text of each, empty where the format has none.
    """
    row = Row(clean_title(field("title")), clean_title(field("original_title")), purpose=purpose, scale=scale)
    row.date_text, row.viewed_text = field("date")[:40], field("viewed")[:40]
    if found := re.search(rf"(?<!\d)({YEAR})(?!\d)", field("year")):
        row.year = int(found[1])
    if (found := re.fullmatch(rf"(.*\S)\s*[(\[]({YEAR})[)\]]", row.title)) and row.year in (None, int(found[2])):
        row.title, row.year = found[1], int(found[2])
    found = re.fullmatch(rf"(.*\S)(?:,?\s*\(|,\s*)({YEAR})\)?", row.original_title)
    if found and row.year in (None, int(found[2])):
        row.original_title, row.year = found[1], int(found[2])
    if found := re.fullmatch(r"(?:.*/movie/|tmdb://)?(\d{1,10})(?:\.0|[-?/].*)?", field("tmdb_id"), re.ASCII):
        row.tmdb_id = int(found[1]) or None
    if found := re.search(r"tt\d{5,12}|^\d{5,10}(?=(\.0)?$)", field("imdb_id"), re.ASCII):
        row.imdb_id = found[0] if found[0].startswith("tt") else f"tt{int(found[0]):07}"
    row.title, is_series = without_kind(row.title)
    given = field("rating")
    if is_series or is_no_film(field("kind")) or field("season"):
        row.skip_reason = "no_film"
    elif given in ("", "0", "0.0", "0,0", "-", "—"):
        if purpose not in (Purpose.WANTED, Purpose.LISTED):
            row.skip_reason, row.purpose = "unrated", Purpose.SEEN
    else:
        row.purpose = Purpose.RATING
        row.points, row.scale = parse_points(given, scale)
        if row.points is None:
            row.skip_reason = "odd_rating"
    return row


def clean_title(text: str) -> str:
    """A title without entities, line breaks, and the apostrophe that keeps a spreadsheet from calculating it."""
    if not text:
        return ""
    text = " ".join(html.unescape(text.replace("\0", " ")).split())
    if text.startswith("'") and FORMULA.match(text[1:]):
        text = text[1:].lstrip()
    return text[:MAX_TITLE_LENGTH].rstrip()


def without_kind(title: str) -> tuple[str, bool]:
    """A title without the kind behind it, and whether that is a series: Друзья (сериал), but not Hamlet (TV)."""
    found = re.fullmatch(r"(.*\S)\s*[(\[]([^()\[\]]*)[)\]]", title)
    if found and (SERIES_REMARK.search(found[2]) or FILM_REMARK.fullmatch(found[2])):
        return found[1], not FILM_REMARK.fullmatch(found[2])
    return title, False


def parse_points(text: str, scale: Scale) -> tuple[Decimal | None, Scale]:
    """A rating (exact) and what it is out of, which its own text may say: 8, "7,5", 8/10, 80 %, ★★★½."""
    stars = re.fullmatch(r"(★{0,5})(½?)☆*", text.replace("⭐", "★"))
    if stars and (stars[1] or stars[2]):
        return len(stars[1]) + Decimal(len(stars[2])) / 2, Scale.FIVE
    found = re.fullmatch(r"(\d{1,3}(?:[.,]\d{1,4})?)(?:\s*(?:(?:/|из|out of|of)\s*(5|10|100)|(%)))?", text, re.ASCII)
    if not found:
        return None, scale
    if found[2] or found[3]:
        scale = Scale(int(found[2] or 100))
    return Decimal(found[1].replace(",", ".")), scale
