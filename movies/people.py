"""Who made or played in movies, and series, which this bot does not keep: as TMDb tells of them, kept for a day."""

import hashlib
from typing import NamedTuple

from django.core.cache import cache

from movies.models import Movie, normalize_title
from movies.parsing import parse_movies
from movies.saving import save_movies
from movies.tmdb import NotFound, TMDb

SEARCH_TTL_SECONDS = 24 * 3600  # TMDb is not asked the same again within this time
MAX_MOVIES = 50  # of one person
MAX_NAME_LENGTH = 100  # characters


class Person(NamedTuple):
    """A person with the ids of their movies, best known first."""

    id: int
    name: str
    movie_ids: list[int]


def find_person(name: str, may_ask: bool = True) -> Person | None:
    """The best known person whom TMDb finds by this name and who has movies, or None. Raises TMDbError.

    TMDb sorts people by popularity, and knows names in many languages and forms.
    """
    key = f"person:{text_digest(name)}"
    found = cache.get(key)
    if found is None and may_ask:
        found = _ask_for_person(name)
        cache.set(key, found, SEARCH_TTL_SECONDS)
        if found:
            cache.set(f"movies-of-person:{found[0]}", found, SEARCH_TTL_SECONDS)
    return Person(*found) if found else None


def known_person(person_id: int) -> Person | None:
    """The person with this TMDb id, where it was looked for within a day."""
    found = cache.get(f"movies-of-person:{person_id}")
    return Person(*found) if found else None


def _ask_for_person(name: str) -> tuple[int, str, list[int]] | tuple[()]:
    tmdb = TMDb(background=False)
    try:
        for row in _objects(tmdb.search_person(name).get("results")):
            person_id, found = row.get("id"), row.get("name")
            if type(person_id) is int and 0 < person_id < 2**31 and isinstance(found, str) and found:
                movies = _movies_of(tmdb, person_id, is_director=row.get("known_for_department") == "Directing")
                return (person_id, found[:MAX_NAME_LENGTH], [movie.pk for movie in movies]) if movies else ()
    except NotFound:
        pass
    return ()


def _movies_of(tmdb: TMDb, person_id: int, is_director: bool) -> list[Movie]:
    """What they directed, or for anybody else what they played in, saved; the other where there is none."""
    answer = tmdb.person_movies(person_id)
    directed = [row for row in _objects(answer.get("crew")) if row.get("job") == "Director"]
    played = [row for row in _objects(answer.get("cast")) if not is_self(row)]
    rows = (directed or played) if is_director else (played or directed)
    movies = sorted(parse_movies({"results": rows}), key=lambda movie: -movie.vote_count)[:MAX_MOVIES]
    save_movies(movies)
    return movies


def _objects(rows: object) -> list[dict[str, object]]:
    """The JSON objects of a list, which is not verified."""
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def is_self(row: dict[str, object]) -> bool:
    """Whether the person only appears, in a documentary or a ceremony."""
    character = row.get("character")
    return isinstance(character, str) and character.casefold().startswith(("self", "himself", "herself"))


def is_series(words: str, title: str, may_ask: bool = True) -> bool:
    """Whether TMDb knows a series of just this name. Raises TMDbError."""
    key = f"series:{text_digest(title)}"
    known: bool | None = cache.get(key)
    if known is None and may_ask:
        try:
            rows = _objects(TMDb(background=False).search_series(title).get("results"))
        except NotFound:
            rows = []
        names = [normalize_title(*(str(row.get(key) or "") for key in ("name", "original_name"))) for row in rows]
        known = any(words in name.split("|") for name in names)
        cache.set(key, known, SEARCH_TTL_SECONDS)
    return bool(known)


def text_digest(text: str) -> str:
    """A text of any length as a part of a cache's key."""
    return hashlib.sha256(text.casefold().encode()).hexdigest()[:40]
