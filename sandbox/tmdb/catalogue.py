"""What the fake TMDb knows from the start: well-known films and a demo account.

The facts (ids, titles, dates, runtimes) are TMDb's, votes as of about 2025: those counted in 2017 are extrapolated. The
overviews are our own words. Some rows are odd on purpose: TMDb has films without a poster, a date, a runtime, an
overview or a translation. recent.json is what a demonstration adds: films since 2017, series, a second account,
watchlists.
"""

import hashlib
import json
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

GENRES = {
    28: ("боевик", "Action"),
    12: ("приключения", "Adventure"),
    16: ("мультфильм", "Animation"),
    35: ("комедия", "Comedy"),
    80: ("криминал", "Crime"),
    99: ("документальный", "Documentary"),
    18: ("драма", "Drama"),
    10751: ("семейный", "Family"),
    14: ("фэнтези", "Fantasy"),
    36: ("история", "History"),
    27: ("ужасы", "Horror"),
    10402: ("музыка", "Music"),
    9648: ("детектив", "Mystery"),
    10749: ("мелодрама", "Romance"),
    878: ("фантастика", "Science Fiction"),
    10770: ("телевизионный фильм", "TV Movie"),
    53: ("триллер", "Thriller"),
    10752: ("военный", "War"),
    37: ("вестерн", "Western"),
}


def poster_path(film_id: int) -> str:
    """A poster's address in TMDb's manner, always the same for one film: "/oYu…6f.jpg", 27 letters."""
    number = int.from_bytes(hashlib.sha256(f"poster {film_id}".encode()).digest(), "big")
    letters: list[str] = []
    while len(letters) < 27:
        number, index = divmod(number, len(LETTERS))
        letters.append(LETTERS[index])
    return f"/{''.join(letters)}.jpg"


@dataclass
class Film:
    """One film as TMDb keeps it. An empty title or overview means: not translated.

    `extra` is laid over every answer about the film (an unknown field, a wrong type, a title of 2,000 letters);
    `gone` films answer 404 and stay in rated pages; `hidden` ones are left out of those pages but still counted; one
    that is `merged_into` another answers with that one's details. `directors` and `cast` are [name in Russian, own
    name], `trailers` [language, YouTube's key].
    """

    id: int
    title_ru: str = ""
    title_en: str = ""
    original_title: str = ""
    original_language: str = "en"
    overview_ru: str = ""
    overview_en: str = ""
    release_date: str = ""
    runtime: int | None = None
    genre_ids: list[int] = field(default_factory=list)
    imdb_id: str | None = None
    popularity: float = 1.0
    vote_average: float = 0.0
    vote_count: int = 0
    poster_path: str | None = None
    tagline_ru: str = ""
    tagline_en: str = ""
    status: str = "Released"
    series: str = ""
    alternative_titles: list[str] = field(default_factory=list)
    plain_poster: bool = False
    countries: list[str] = field(default_factory=list)  # empty: the main one of the original language
    directors: list[list[str]] = field(default_factory=list)
    cast: list[list[str]] = field(default_factory=list)
    trailers: list[list[str]] = field(default_factory=list)
    releases: list[tuple[str, int, str]] = field(default_factory=list)  # (country, TMDb's type 1-6, day)
    gone: bool = False
    merged_into: int | None = None
    hidden: bool = False
    extra: dict[str, Any] = field(default_factory=dict)
    answers: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)  # JSON already made

    def __setattr__(self, name: str, value: object) -> None:
        """Forget the answers made from what the film was before."""
        object.__setattr__(self, name, value)
        object.__setattr__(self, "answers", {})

    @property
    def listed(self) -> bool:
        """Whether TMDb's lists still hold it."""
        return not (self.gone or self.merged_into)

    def title(self, language: str = "ru") -> str:
        """The title in a language, else the original one, in its own script: that is what TMDb does."""
        translated = {"ru": self.title_ru, "en": self.title_en}.get(language[:2], "")
        if language[:2] == self.original_language:
            return self.original_title or translated
        return translated or self.original_title

    def overview(self, language: str = "ru") -> str:
        return {"ru": self.overview_ru, "en": self.overview_en}.get(language[:2], "")

    def tagline(self, language: str = "ru") -> str:
        return {"ru": self.tagline_ru, "en": self.tagline_en}.get(language[:2], "")

    @property
    def year(self) -> str:
        return self.release_date[:4]


FIELDS = {f.name for f in fields(Film)} - {"answers"}


@lru_cache(maxsize=1)
def _read() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8"))
    return read


def recent() -> dict[str, Any]:
    """What a demonstration adds: "films" (rows as in the catalogue), "series"; by account "ratings", "watchlists"."""
    read: dict[str, Any] = json.loads(Path(__file__).with_name("recent.json").read_text(encoding="utf-8"))
    return read


def films(rows: list[dict[str, Any]] | None = None) -> dict[int, Film]:
    """The films of these rows, of the catalogue by default, fresh each time: tests change their copy."""
    found = {}
    for row in _read()["films"] if rows is None else rows:
        row = dict(row, genre_ids=list(row["genre_ids"]))
        row["poster_path"] = poster_path(row["id"]) if row.pop("poster", True) else None
        found[row["id"]] = Film(**row)
    return found


def demo_ratings() -> list[tuple[int, float]]:
    """What the account "demo" has rated, in the order it did."""
    return [(film_id, value) for film_id, value in _read()["demo"]]


def collections() -> dict[str, dict[str, Any]]:
    """The series that TMDb calls collections: {"matrix": {"id": 2344, "ru": …, "en": …}}."""
    found: dict[str, dict[str, Any]] = _read()["collections"]
    return found
