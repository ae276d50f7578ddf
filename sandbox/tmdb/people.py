"""TMDb's API, "People", and "Search" for people and series: one function for each method."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

from sandbox.http_server import Request, Response
from sandbox.tmdb.catalogue import Film
from sandbox.tmdb.movies import language_of
from sandbox.tmdb.responses import Refused, error, fold, listing, page_of, row
from sandbox.tmdb.state import State

Names = tuple[str, ...]  # of one person: in Russian, their own


def id_of(names: Names) -> int:
    """A person's id, always the same for one name."""
    return int.from_bytes(sha256(names[-1].encode()).digest()[:3], "big") + 1


def films_by_person(tmdb: State) -> dict[Names, list[tuple[Film, bool]]]:
    """Everybody's films, most voted first, with whether they directed it."""
    found: dict[Names, list[tuple[Film, bool]]] = {}
    for film in sorted(tmdb.films.values(), key=lambda film: -film.vote_count):
        if film.listed:
            for people, directed in ((film.directors, True), (film.cast, False)):
                for names in people:
                    found.setdefault(tuple(names), []).append((film, directed))
    return found


def queried(request: Request) -> list[str]:
    query = request.query.get("query", "").strip()
    if not query:
        raise Refused(error(5, errors=["query must be provided"]))
    return fold(query).split()


def search_person(tmdb: State, request: Request) -> Response:
    """TMDb: GET /search/person, by any of their names, most popular first."""
    words, language = queried(request), language_of(request)

    def rows() -> Iterator[dict[str, Any]]:
        for names, films in films_by_person(tmdb).items():
            if all(any(word in fold(name).split() for name in names) for word in words):
                yield {
                    "adult": False,
                    "gender": 0,
                    "id": id_of(names),
                    "known_for_department": "Directing" if films[0][1] else "Acting",
                    "name": names[0] if language.startswith("ru") else names[-1],
                    "original_name": names[-1],
                    "popularity": sum(film.popularity for film, _directed in films),
                    "profile_path": None,
                    "known_for": [{**row(film, language), "media_type": "movie"} for film, _directed in films[:3]],
                }

    found = sorted(rows(), key=lambda person: -person["popularity"])
    return Response.json(listing(found, page_of(request)))


def movie_credits(tmdb: State, request: Request, person_id: str) -> Response:
    """TMDb: GET /person/{person_id}/movie_credits."""
    for names, films in films_by_person(tmdb).items():
        if id_of(names) == int(person_id):
            credit = sha256(names[-1].encode()).hexdigest()[:24]
            rows = [(row(film, language_of(request)) | {"credit_id": credit}, directed) for film, directed in films]
            cast = [one | {"character": "", "order": 0} for one, directed in rows if not directed]
            crew = [one | {"department": "Directing", "job": "Director"} for one, directed in rows if directed]
            return Response.json({"cast": cast, "crew": crew, "id": int(person_id)})
    return error(34)


def search_series(tmdb: State, request: Request) -> Response:
    """TMDb: GET /search/tv."""
    words = queried(request)
    rows = [
        {key: value for key, value in series.items() if key != "media_type"}
        for series in tmdb.series.values()
        if any(all(word in fold(series[name]).split() for word in words) for name in ("name", "original_name"))
    ]
    return Response.json(listing(rows, page_of(request)))


ROUTES: list[tuple[str, str, Callable[..., Response]]] = [
    ("GET", r"/search/person", search_person),
    ("GET", r"/search/tv", search_series),
    ("GET", r"/person/(\d{1,18})/movie_credits", movie_credits),
]
