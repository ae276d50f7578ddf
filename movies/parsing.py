"""TMDb's answers about movies, turned into unsaved rows.

The one place where TMDb's quirks are put right and where its values are checked: an answer holds any JSON until then.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import TypeGuard, cast

from django.conf import settings

from config.bot.validation import cleaned
from movies.models import Movie, PosterStatus, normalize_title
from movies.tmdb import MovieAnswer, MoviePage, Unavailable, language_codes

MAX_MOVIE_ID = 2**31 - 1  # PostgreSQL's integer
MAX_TEXT_LENGTH = 10_000  # characters of a title or overview that are saved
MAX_RUNTIME_MINUTES = 100_000
MAX_POPULARITY = 1e9
MAX_ACTORS = 5  # of those billed first
MAX_LISTED = 20  # genres, countries or directors that are saved
MAX_NAME_LENGTH = 100
ENGLISH = "en-US"
INVISIBLE = "\u115f\u1160\u2800\u3164\uffa0"  # letters and signs that show nothing, though Unicode counts them as such
LINE_BREAKS = re.compile(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")


class MalformedAnswer(Unavailable):
    """TMDb answered with something that is not a movie."""


def parse_movie(answer: object) -> Movie:
    """An unsaved Movie from a row of one of TMDb's lists, or from what details share with it.

    An empty `release_date`, a null `poster_path`, a runtime of 0 or null all mean unknown. Raises MalformedAnswer.
    """
    if not isinstance(answer, dict):
        raise MalformedAnswer("a movie that is not an object")
    fields = cast(MovieAnswer, answer)
    movie_id = fields.get("id")
    if not _is_int(movie_id, 1, MAX_MOVIE_ID):
        raise MalformedAnswer("a movie without an id")
    title, original = _line(fields.get("title")), _line(fields.get("original_title"))
    if not title and not original:
        raise MalformedAnswer(f"movie {movie_id}: no title")
    poster_path = _text(fields.get("poster_path"))
    vote_count = fields.get("vote_count")
    return Movie(
        id=movie_id,
        title=title or original,
        original_title=original or title,
        title_en=(original or title) if fields.get("original_language") == "en" else "",
        overview=_text(fields.get("overview")),
        release_date=_date(fields.get("release_date")),
        genres=_genres(fields.get("genre_ids")),
        popularity=_number(fields.get("popularity"), MAX_POPULARITY),
        vote_average=_number(fields.get("vote_average"), 10),
        vote_count=vote_count if _is_int(vote_count, 0, MAX_MOVIE_ID) else 0,
        poster_path=poster_path,
        poster_status=PosterStatus.WAITING if poster_path else PosterStatus.NONE,
        poster_next_try_at=int(time.time()),
        search_text=normalize_title(title, original),
    )


def parse_details(answer: MovieAnswer) -> Movie:
    """An unsaved Movie from TMDb.movie(), in TMDB_LANGUAGE; a gap is filled in TMDB_FALLBACK_LANGUAGE.

    A title that is not translated is a gap, too: TMDb puts the original one there, in whatever script that is.
    """
    movie = parse_movie(answer)
    original_language = answer.get("original_language")
    texts = {
        code: _translation(answer, code) for code in (settings.TMDB_LANGUAGE, settings.TMDB_FALLBACK_LANGUAGE, "en-US")
    }

    def title_in(language: str) -> str:
        is_original = original_language in language_codes(
            language
        )  # TMDb leaves out a translation into the film's own language
        return _line(texts[language].get("title")) or (movie.original_title if is_original else "")

    def first(name: str, *languages: str) -> str:
        return next(filter(None, (_text(texts[language].get(name)) for language in languages)), "")

    fallback = title_in(settings.TMDB_FALLBACK_LANGUAGE)
    if movie.title == movie.original_title and not title_in(settings.TMDB_LANGUAGE):
        movie.title = fallback or movie.title
    movie.overview = movie.overview or first("overview", settings.TMDB_FALLBACK_LANGUAGE)
    movie.title_en, movie.overview_en = title_in(ENGLISH), first("overview", ENGLISH)
    runtimes = (answer.get("runtime"), *(text.get("runtime") for text in texts.values()))
    movie.runtime = next((minutes for minutes in runtimes if _is_int(minutes, 1, MAX_RUNTIME_MINUTES)), None)
    movie.imdb_id = _imdb_id(answer.get("imdb_id"))
    movie.genres = _genres([genre.get("id") for genre in _objects(answer.get("genres"))])
    movie.countries = _countries(answer)
    credited = answer.get("credits")
    credits = credited if isinstance(credited, dict) else {}
    movie.directors = _names(member for member in _objects(credits.get("crew")) if member.get("job") == "Director")[
        :MAX_LISTED
    ]
    billed = [member for member in _objects(credits.get("cast")) if _is_int(member.get("order"), 0, MAX_MOVIE_ID)]
    movie.actors = _names(sorted(billed, key=lambda member: cast(int, member["order"])))[:MAX_ACTORS]
    collection = answer.get("belongs_to_collection")
    collection_id = collection.get("id") if isinstance(collection, dict) else None
    movie.collection_id = collection_id if _is_int(collection_id, 1, MAX_MOVIE_ID) else None
    movie.trailer_key = _trailer(answer)
    movie.details_at = int(time.time())
    movie.search_text = normalize_title(movie.title, movie.original_title, fallback, movie.title_en)
    return movie


def parse_movies(page: MoviePage) -> list[Movie]:
    """The unsaved movies of a page of TMDb's, each id once; a malformed row is left out."""
    rows = page.get("results")
    movies: dict[int, Movie] = {}
    for row in rows if isinstance(rows, list) else []:
        try:
            movie = parse_movie(row)
        except MalformedAnswer:
            continue
        movies.setdefault(movie.id, movie)
    return list(movies.values())


def _objects(value: object) -> Iterator[Mapping[str, object]]:
    """The objects of a JSON list; nothing of anything else."""
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def _translation(answer: MovieAnswer, language: str) -> Mapping[str, object]:
    """What TMDb holds of a movie in a language, of its own country first; nothing where it is not translated."""
    held = answer.get("translations")
    rows = [row for row in _objects(held.get("translations") if isinstance(held, dict) else None)
            if row.get("iso_639_1") in language_codes(language)]  # fmt: skip
    rows.sort(key=lambda row: row.get("iso_3166_1") != language[3:])
    data = rows[0].get("data") if rows else None
    return data if isinstance(data, dict) else {}


def _genres(ids: object) -> list[int]:
    found = [number for number in ids if _is_int(number, 1, MAX_MOVIE_ID)] if isinstance(ids, list) else []
    return list(dict.fromkeys(found))[:MAX_LISTED]


def _countries(answer: MovieAnswer) -> list[str]:
    """Where it was made, else where it comes from."""
    codes = [country.get("iso_3166_1") for country in _objects(answer.get("production_countries"))]
    origin = answer.get("origin_country")
    codes = codes or (origin if isinstance(origin, list) else [])
    valid = (code for code in codes if isinstance(code, str) and re.fullmatch("[A-Z]{2}", code))
    return list(dict.fromkeys(valid))[:MAX_LISTED]


def _names(people: Iterable[Mapping[str, object]]) -> list[dict[str, str]]:
    """{"name", "original_name"} of each of these people, once."""
    names = [[_line(person.get(key))[:MAX_NAME_LENGTH] for key in ("name", "original_name")] for person in people]
    unique = dict.fromkeys((name or original, original or name) for name, original in names if name or original)
    return [{"name": name, "original_name": original} for name, original in unique]


def _trailer(answer: MovieAnswer) -> str:
    """YouTube's key of the trailer: in TMDB_LANGUAGE before another, an official one before a fan's."""
    held = answer.get("videos")
    trailers = [
        video
        for video in _objects(held.get("results") if isinstance(held, dict) else None)
        if (video.get("site"), video.get("type")) == ("YouTube", "Trailer")
        and re.fullmatch(r"[\w-]{6,20}", _text(video.get("key")), re.ASCII)
    ]
    own_codes = language_codes(settings.TMDB_LANGUAGE)
    trailers.sort(key=lambda video: (video.get("iso_639_1") not in own_codes, video.get("official") is not True))
    return _text(trailers[0]["key"]) if trailers else ""


def _text(value: object) -> str:
    """PostgreSQL takes no NUL in a text, no database half a surrogate pair, and a title of a megabyte is no title.

    What shows nothing (blanks, joiners, marks without a letter) is no text either.
    """
    text = cleaned(value).strip()[:MAX_TEXT_LENGTH] if isinstance(value, str) else ""
    return text if any(unicodedata.category(one)[0] in "LNPS" and one not in INVISIBLE for one in text) else ""


def _line(value: object) -> str:
    """A text in one line: a title, a name."""
    return " ".join(part.strip() for part in LINE_BREAKS.split(_text(value)) if part.strip())


def _imdb_id(value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"tt\d{5,12}", value, re.ASCII) else ""


def _is_int(value: object, least: int, most: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _number(value: object, most: float) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most:
        return float(value)
    return 0.0


def _date(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
