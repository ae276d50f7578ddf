"""TMDb's answers about movies, turned into unsaved rows.

The one place where TMDb's quirks are put right and where its values are checked: an answer holds any JSON until then.
"""

import re
import time
from datetime import date
from typing import TypeGuard, cast

from config.bot.validation import cleaned
from movies.models import Movie, PosterStatus, normalize_title
from movies.tmdb import MovieAnswer, MoviePage, Unavailable

MAX_MOVIE_ID = 2**31 - 1  # PostgreSQL's integer
MAX_TEXT_LENGTH = 10_000  # characters of a title or overview that are saved
MAX_RUNTIME_MINUTES = 100_000
MAX_POPULARITY = 1e9


class MalformedAnswer(Unavailable):
    """TMDb answered with something that is not a movie."""


def parse_movie(answer: object, details: bool = False) -> Movie:
    """An unsaved Movie from a details answer of TMDb or a row of one of its lists.

    An empty `release_date`, a null `poster_path`, a runtime of 0 or null all mean unknown. Raises MalformedAnswer.
    """
    if not isinstance(answer, dict):
        raise MalformedAnswer("a movie that is not an object")
    fields = cast(MovieAnswer, answer)
    movie_id = fields.get("id")
    if not _is_int(movie_id, 1, MAX_MOVIE_ID):
        raise MalformedAnswer("a movie without an id")
    title, original = _text(fields.get("title")), _text(fields.get("original_title"))
    if not title and not original:
        raise MalformedAnswer(f"movie {movie_id}: no title")
    poster_path = _text(fields.get("poster_path"))
    runtime, vote_count = fields.get("runtime"), fields.get("vote_count")
    return Movie(
        id=movie_id,
        title=title or original,
        original_title=original or title,
        overview=_text(fields.get("overview")),
        release_date=_date(fields.get("release_date")),
        runtime=runtime if _is_int(runtime, 1, MAX_RUNTIME_MINUTES) else None,
        imdb_id=_imdb_id(fields.get("imdb_id")),
        popularity=_number(fields.get("popularity"), MAX_POPULARITY),
        vote_average=_number(fields.get("vote_average"), 10),
        vote_count=vote_count if _is_int(vote_count, 0, MAX_MOVIE_ID) else 0,
        poster_path=poster_path,
        poster_status=PosterStatus.WAITING if poster_path else PosterStatus.NONE,
        poster_next_try_at=int(time.time()),
        details_at=int(time.time()) if details else None,
        search_text=normalize_title(title, original),
    )


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


def _text(value: object) -> str:
    """PostgreSQL takes no NUL in a text, no database half a surrogate pair, and a title of a megabyte is no title."""
    return cleaned(value).strip()[:MAX_TEXT_LENGTH] if isinstance(value, str) else ""


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
