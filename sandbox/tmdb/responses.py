"""TMDb's answers: its errors, the shapes of its lists and films, and what it makes of a request's parameters."""

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sandbox.http_server import Request, Response
from sandbox.tmdb import catalogue
from sandbox.tmdb.catalogue import GENRES, Film

PAGE_SIZE = 20
LAST_PAGE = 500

# TMDb's own list of status codes: code -> (HTTP status, message)
STATUS = {
    1: (200, "Success."),
    3: (401, "Authentication failed: You do not have permissions to access the service."),
    5: (422, "Invalid parameters: Your request parameters are incorrect."),
    6: (404, "Invalid id: The pre-requisite id is invalid or not found."),
    7: (401, "Invalid API key: You must be granted a valid key."),
    9: (503, "Service offline: This service is temporarily offline, try again later."),
    11: (500, "Internal error: Something went wrong, contact TMDb."),
    12: (201, "The item/record was updated successfully."),
    13: (200, "The item/record was deleted successfully."),
    17: (401, "Session denied."),
    18: (400, "Validation failed."),
    22: (400, "Invalid page: Pages start at 1 and max at 500. They are expected to be an integer."),
    24: (504, "Your request to the backend server timed out. Try again."),
    25: (429, "Your request count (#) is over the allowed limit of (40)."),
    27: (400, "Too many append to response objects: The maximum number of remote calls is 20."),
    30: (401, "Invalid username and/or password: You did not provide a valid login."),
    33: (401, "Invalid request token: The request token is either expired or invalid."),
    34: (404, "The resource you requested could not be found."),
    37: (404, "The requested session could not be found."),
    41: (422, "This request token hasn't been approved by the user."),
    42: (405, "This request method is not supported for this resource."),
    43: (502, "Couldn't connect to the backend server."),
}
CODE_OF = {400: 18, 401: 7, 404: 34, 422: 5, 429: 25, 500: 11, 502: 43, 503: 9, 504: 24}

# language -> (English name, own name, main country, its English name)
LANGUAGES = {
    "ru": ("Russian", "Русский", "RU", "Russia"),
    "en": ("English", "English", "US", "United States of America"),
    "ja": ("Japanese", "日本語", "JP", "Japan"),
    "ko": ("Korean", "한국어/조선말", "KR", "South Korea"),
    "fr": ("French", "Français", "FR", "France"),
    "it": ("Italian", "Italiano", "IT", "Italy"),
    "de": ("German", "Deutsch", "DE", "Germany"),
    "es": ("Spanish", "Español", "ES", "Spain"),
    "pt": ("Portuguese", "Português", "BR", "Brazil"),
    "zh": ("Mandarin", "普通话", "CN", "China"),
    "cn": ("Cantonese", "广州话 / 廣州話", "HK", "Hong Kong"),
    "sv": ("Swedish", "svenska", "SE", "Sweden"),
    "fa": ("Persian", "فارسی", "IR", "Iran"),
    "sr": ("Serbian", "Srpski", "RS", "Serbia"),
    "da": ("Danish", "Dansk", "DK", "Denmark"),
    "lv": ("Latvian", "Latviešu", "LV", "Latvia"),
}

# beside those of LANGUAGES
COUNTRIES = {
    **{code: name for _english, _own, code, name in LANGUAGES.values()},
    **{"GB": "United Kingdom", "CA": "Canada", "AU": "Australia", "NZ": "New Zealand", "IE": "Ireland", "MX": "Mexico"},
    **{"NL": "Netherlands", "BE": "Belgium", "CZ": "Czech Republic", "PL": "Poland"},
}


class Refused(Exception):
    """The request ends here, with this answer."""

    def __init__(self, response: Response) -> None:
        self.response = response


def error(
    code: int, status: int | None = None, message: str | None = None, headers: dict[str, str] | None = None, **more: Any
) -> Response:
    """One of TMDb's errors, by its code."""
    usual, text = STATUS.get(code, (500, "Something went wrong."))
    body = {"success": False, "status_code": code, "status_message": message or text, **more}
    return Response.json(body, status or usual, **(headers or {}))


def fold(text: str) -> str:
    """What search compares: no case, no accents, no punctuation; ё is е."""
    text = unicodedata.normalize("NFKD", text.casefold())
    text = "".join(c for c in text if not unicodedata.combining(c))
    return " ".join(re.findall(r"\w+", text))


def row_json(film: Film, language: str) -> str:
    return _kept(film, ("row", language), lambda: row(film, language))


def details_json(film: Film, language: str, wanted: Sequence[str] = (), video_languages: Sequence[str] = ()) -> str:
    """Details with what is wanted appended, as far as it depends on no session and no other film."""
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "translations": lambda: {"translations": translations(film)},
        "credits": lambda: credits(film, language),
        "videos": lambda: {"results": videos(film, video_languages)},
    }

    def make() -> dict[str, Any]:
        return details(film, language) | {name: parts[name]() for name in wanted if name in parts}

    return _kept(film, ("details", language, *wanted, *video_languages), make)


def _kept(film: Film, key: tuple[str, ...], make: Callable[[], dict[str, Any]]) -> str:
    """JSON made once, until the film changes; what `extra` lays over it may change unseen."""
    if film.extra:
        return json.dumps(make(), ensure_ascii=False)
    answers = film.answers  # a change brings a new dictionary: what is made meanwhile goes with the old one
    if key not in answers:
        answers[key] = json.dumps(make(), ensure_ascii=False)
    kept: str = answers[key]
    return kept


def row(film: Film, language: str) -> dict[str, Any]:
    """A film as lists show it: no runtime, genres by number."""
    row = {
        "adult": False,
        "backdrop_path": None,
        "genre_ids": film.genre_ids,
        "id": film.id,
        "title": film.title(language),
        "original_language": film.original_language,
        "original_title": film.original_title,
        "overview": film.overview(language),
        "popularity": film.popularity,
        "poster_path": film.poster_path,
        "release_date": film.release_date,
        "softcore": False,
        "video": False,
        "vote_average": film.vote_average,
        "vote_count": film.vote_count,
    }
    return row | film.extra


def details(film: Film, language: str) -> dict[str, Any]:
    """A film as its own page shows it."""
    english, own, country, _name = LANGUAGES.get(film.original_language, LANGUAGES["en"])
    collection = catalogue.collections().get(film.series)
    body = {
        "adult": False,
        "backdrop_path": None,
        "belongs_to_collection": collection
        and {
            "id": collection["id"],
            "name": collection.get(language[:2]) or collection["en"],
            "poster_path": None,
            "backdrop_path": None,
        },
        "budget": 0,
        "genres": named_genres(film.genre_ids, language),
        "homepage": "",
        "id": film.id,
        "imdb_id": film.imdb_id,
        "origin_country": film.countries or [country],
        "original_language": film.original_language,
        "original_title": film.original_title,
        "overview": film.overview(language),
        "popularity": film.popularity,
        "poster_path": film.poster_path,
        "production_companies": [],
        "production_countries": [
            {"iso_3166_1": code, "name": COUNTRIES.get(code, code)} for code in film.countries or [country]
        ],
        "release_date": film.release_date,
        "revenue": 0,
        "runtime": film.runtime,
        "softcore": False,
        "spoken_languages": [{"english_name": english, "iso_639_1": film.original_language, "name": own}],
        "status": film.status,
        "tagline": film.tagline(language),
        "title": film.title(language),
        "video": False,
        "vote_average": film.vote_average,
        "vote_count": film.vote_count,
    }
    return body | film.extra


def listing(rows: list[dict[str, Any]], page: int) -> dict[str, Any]:
    """One page of a list."""
    total = -(-len(rows) // PAGE_SIZE)
    shown = rows[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    return {"page": page, "results": shown, "total_pages": total, "total_results": len(rows)}


def raw_json(text: str) -> Response:
    return Response(200, text.encode(), {"Content-Type": "application/json;charset=utf-8"})


def json_body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(request.body or b"{}")
    except ValueError:
        raise Refused(error(5)) from None
    return body if isinstance(body, dict) else {}


def page_of(request: Request) -> int:
    text = request.query.get("page") or "1"
    if not re.fullmatch(r"\d{1,9}", text) or not 1 <= int(text) <= LAST_PAGE:
        raise Refused(error(22))
    return int(text)


def named_genres(ids: Iterable[int], language: str) -> list[dict[str, Any]]:
    name = 0 if language.startswith("ru") else 1
    return [{"id": one, "name": GENRES[one][name]} for one in ids if one in GENRES]


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def same_series(film: Film, other: Film) -> bool:
    return bool(film.series) and film.series == other.series


def external_ids(film: Film) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(("wikidata_id", "facebook_id", "instagram_id", "twitter_id"))
    return {"id": film.id, "imdb_id": film.imdb_id, **empty}


def translations(film: Film) -> list[dict[str, Any]]:
    """The languages we hold; a title that is the original one is left empty, as TMDb does."""
    rows = []
    for language in ("en", "ru"):
        title = {"ru": film.title_ru, "en": film.title_en}[language]
        overview, tagline = film.overview(language), film.tagline(language)
        if title or overview:
            english, own, country, _ = LANGUAGES[language]
            data: dict[str, Any] = {
                "homepage": "",
                "overview": overview,
                "runtime": film.runtime or 0,
                "tagline": tagline,
            }
            data["title"] = "" if language == film.original_language else title
            row = {"iso_3166_1": country, "iso_639_1": language, "name": own, "english_name": english}
            rows.append({**row, "data": data})
    return rows


def credits(film: Film, language: str) -> dict[str, Any]:
    """Who acts, as billed, and who directed; the name in Russian for who asks in it."""

    def person(names: list[str], number: int, department: str) -> dict[str, Any]:
        return {
            "adult": False,
            "gender": 0,
            "id": film.id * 100 + number,
            "known_for_department": department,
            "name": names[0] if language.startswith("ru") else names[-1],
            "original_name": names[-1],
            "popularity": 1.0,
            "profile_path": None,
            "credit_id": sha256(f"credit {film.id} {number}".encode()).hexdigest()[:24],
        }

    cast = [
        {**person(names, number, "Acting"), "cast_id": number, "character": "", "order": number}
        for number, names in enumerate(film.cast)
    ]
    crew = [
        {**person(names, len(cast) + number, "Directing"), "department": "Directing", "job": "Director"}
        for number, names in enumerate(film.directors)
    ]
    return {"cast": cast, "crew": crew}


def videos(film: Film, languages: Sequence[str]) -> list[dict[str, Any]]:
    """The trailers in these languages: that of the request alone, unless include_video_language names others."""
    return [
        {
            "iso_639_1": language,
            "iso_3166_1": LANGUAGES[language][2],
            "name": "Trailer",
            "key": key,
            "site": "YouTube",
            "size": 1080,
            "type": "Trailer",
            "official": True,
            "published_at": "2014-10-02T19:20:22.000Z",
            "id": sha256(f"video {key}".encode()).hexdigest()[:24],
        }
        for language, key in film.trailers
        if language in languages
    ]


def titles_of(film: Film) -> list[str]:
    """All by which the search finds a film."""
    return [title for title in (film.title_ru, film.title_en, film.original_title, *film.alternative_titles) if title]


def alternative_titles(film: Film) -> list[dict[str, str]]:
    """The titles beside the translations, each of a country."""
    return [{"iso_3166_1": "US", "title": title, "type": ""} for title in film.alternative_titles]


def matches(film: Film, words: list[str]) -> bool | None:
    """None if the words are not in any title; else whether they are a whole title."""
    answers = film.answers
    if "folded" not in answers:
        answers["folded"] = [fold(title) for title in titles_of(film)]
    titles = answers["folded"]
    text = " ".join(words)
    if text in titles:
        return True
    for title in titles:
        own = title.split()
        if words and all(any(one.startswith(word) for one in own) for word in words):
            return False
        if not text.isascii() and text and text in title and not re.search(r"[а-я]", text):
            return False  # scripts that put no spaces between words
    return None
