"""TMDb's API, "Movies", "Search", "Discover" and "Find": one function for each method."""

import json
import re
from collections.abc import Callable
from typing import Any

from sandbox.http_server import Request, Response
from sandbox.tmdb.catalogue import Film
from sandbox.tmdb.responses import (
    STATUS,
    alternative_titles,
    details_json,
    error,
    external_ids,
    fold,
    json_body,
    listing,
    matches,
    page_of,
    raw_json,
    row,
    same_series,
    translations,
)
from sandbox.tmdb.state import Account, State


def language_of(request: Request) -> str:
    return request.query.get("language") or "en-US"


def movie(tmdb: State, request: Request, film_id: str) -> Response:
    """TMDb: GET /movie/{movie_id}."""
    film, language = tmdb.film(film_id), language_of(request)
    wanted = [name for name in request.query.get("append_to_response", "").split(",") if name]
    if len(wanted) > 20:
        return error(27)
    if film.merged_into:
        film = tmdb.film(film.merged_into)
    video_languages = [one[:2] for one in (request.query.get("include_video_language") or language).split(",")]
    answer = details_json(film, language, wanted, video_languages)
    others = {name: part for name in wanted if (part := _appended(tmdb, name, film, request)) is not None}
    return Response.json(json.loads(answer) | others) if others else raw_json(answer)


def _appended(tmdb: State, name: str, film: Film, request: Request) -> dict[str, Any] | None:
    """One part of append_to_response that is not in details_json; None for a name TMDb does not know."""
    if name == "alternative_titles":
        return {"titles": alternative_titles(film)}
    if name == "external_ids":
        return {key: value for key, value in external_ids(film).items() if key != "id"}
    if name == "recommendations":
        return listing([row(other, language_of(request)) for other in _similar(tmdb, film)], 1)
    if name == "account_states":
        return {key: value for key, value in _states(film, tmdb.account_of(request)).items() if key != "id"}
    empty: dict[str, dict[str, Any]] = {
        "keywords": {"keywords": []},
        "release_dates": {"results": _release_dates(film)},
        "images": {"backdrops": [], "logos": [], "posters": []},
    }
    return empty.get(name)


def translations_of(tmdb: State, request: Request, film_id: str) -> Response:
    """TMDb: GET /movie/{movie_id}/translations."""
    film = tmdb.film(film_id)
    return Response.json({"id": film.id, "translations": translations(film)})


def alternative_titles_of(tmdb: State, request: Request, film_id: str) -> Response:
    """TMDb: GET /movie/{movie_id}/alternative_titles."""
    film = tmdb.film(film_id)
    return Response.json({"id": film.id, "titles": alternative_titles(film)})


def external_ids_of(tmdb: State, request: Request, film_id: str) -> Response:
    """TMDb: GET /movie/{movie_id}/external_ids."""
    return Response.json(external_ids(tmdb.film(film_id)))


def release_dates_of(tmdb: State, request: Request, film_id: str) -> Response:
    """TMDb: GET /movie/{movie_id}/release_dates."""
    film = tmdb.film(film_id)
    return Response.json({"id": film.id, "results": _release_dates(film)})


def _release_dates(film: Film) -> list[dict[str, Any]]:
    by_country: dict[str, list[dict[str, Any]]] = {}
    for country, kind, day in film.releases:
        release = {"certification": "", "descriptors": [], "iso_639_1": "", "note": "", "type": kind}
        by_country.setdefault(country, []).append(release | {"release_date": f"{day}T00:00:00.000Z"})
    return [{"iso_3166_1": country, "release_dates": dates} for country, dates in sorted(by_country.items())]


def account_states(tmdb: State, request: Request, film_id: str) -> Response:
    """TMDb: GET /movie/{movie_id}/account_states."""
    return Response.json(_states(tmdb.film(film_id), tmdb.account_of(request)))


def _states(film: Film, account: Account) -> dict[str, Any]:
    value = account.ratings.get(film.id)
    rated = False if value is None else {"value": value}
    return {"id": film.id, "favorite": False, "rated": rated, "watchlist": film.id in account.watchlist}


def rate(tmdb: State, request: Request, film_id: str) -> Response:
    """TMDb: POST /movie/{movie_id}/rating."""
    account, film = tmdb.account_of(request), tmdb.film(film_id)
    value = json_body(request).get("value")
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return error(5)
    if value > 10:
        return error(18, message="Value too high: Value must be less than, or equal to 10.0.")
    if not value > 0:  # nor NaN
        return error(18, message="Value too low: Value must be greater than 0.0.")
    if value * 2 != int(value * 2):
        return error(18, message="Value invalid: Values must be a multiple of 0.50.")
    with tmdb.lock:
        code = 12 if film.id in account.ratings else 1
        account.rate(film.id, float(value))
    return Response.json({"success": True, "status_code": code, "status_message": STATUS[code][1]}, 201)


def unrate(tmdb: State, request: Request, film_id: str) -> Response:
    """TMDb: DELETE /movie/{movie_id}/rating. A film that is gone can still be unrated."""
    account = tmdb.account_of(request)
    if int(film_id) not in tmdb.films:
        return error(34)
    with tmdb.lock:
        account.unrate(int(film_id))
    return Response.json({"success": True, "status_code": 13, "status_message": STATUS[13][1]})


def recommendations(tmdb: State, request: Request, film_id: str) -> Response:
    """TMDb: GET /movie/{movie_id}/recommendations."""
    similar = _similar(tmdb, tmdb.film(film_id))
    rows = [{**row(film, language_of(request)), "media_type": "movie"} for film in similar]
    return Response.json(listing(rows, page_of(request)))


def _similar(tmdb: State, film: Film) -> list[Film]:
    """The nearest forty: the same series first, then shared genres, then the language and the votes."""
    mine = set(film.genre_ids)

    def nearness(other: Film) -> tuple[bool, float, int, int]:
        alike = len(mine.intersection(other.genre_ids)) / (len(mine.union(other.genre_ids)) or 1)
        same_language = film.original_language == other.original_language
        return same_series(film, other), round(alike + 0.15 * same_language, 4), other.vote_count, other.id

    others = [other for other in list(tmdb.films.values()) if other is not film and other.listed]
    near = [other for other in others if mine.intersection(other.genre_ids) or same_series(film, other)]
    return sorted(near, key=nearness, reverse=True)[:40]


def search(tmdb: State, request: Request) -> Response:
    """TMDb: GET /search/movie."""
    query = request.query.get("query", "").strip()
    if not query:
        return error(5, errors=["query must be provided"])
    words = fold(query).split()
    years = {request.query.get(name, "") for name in ("year", "primary_release_year")} - {""}
    found: list[tuple[bool, int, int, Film]] = []
    for film in list(tmdb.films.values()):
        if not film.listed or (years and film.year not in years):
            continue
        exact = matches(film, words)
        if exact is not None:
            found.append((not exact, -film.vote_count, film.id, film))
    rows = [row(film, language_of(request)) for *_, film in sorted(found, key=lambda one: one[:3])]
    return Response.json(listing(rows, page_of(request)))


def discover(tmdb: State, request: Request) -> Response:
    """TMDb: GET /discover/movie, in the orders that numbers give."""
    key, _dot, direction = request.query.get("sort_by", "popularity.desc").partition(".")
    rows = [row(film, language_of(request)) for film in list(tmdb.films.values()) if film.listed]
    if key in ("popularity", "vote_average", "vote_count"):
        rows.sort(key=lambda one: (one[key], one["id"]), reverse=direction == "desc")
    return Response.json(listing(rows, page_of(request)))


def find(tmdb: State, request: Request, external_id: str) -> Response:
    """TMDb: GET /find/{external_id}."""
    source = request.query.get("external_source")
    if not source:
        return error(5)
    rows = [
        {**row(film, language_of(request)), "media_type": "movie"}
        for film in list(tmdb.films.values())
        if source == "imdb_id" and film.imdb_id == external_id and film.listed
    ]
    found: dict[str, list[Any]] = {
        name: [] for name in ("person_results", "tv_results", "tv_episode_results", "tv_season_results")
    }
    if source == "imdb_id" and external_id in tmdb.series:
        found["tv_results"] = [tmdb.series[external_id]]
    return Response.json({"movie_results": rows, **found})


ROUTES: list[tuple[str, str, Callable[..., Response]]] = [
    ("GET", r"/movie/(\d{1,18})", movie),
    ("GET", r"/search/movie", search),
    ("GET", r"/discover/movie", discover),
    ("POST", r"/movie/(\d{1,18})/rating", rate),
    ("DELETE", r"/movie/(\d{1,18})/rating", unrate),
    ("GET", r"/movie/(\d{1,18})/account_states", account_states),
    ("GET", r"/movie/(\d{1,18})/release_dates", release_dates_of),
    ("GET", r"/movie/(\d{1,18})/recommendations", recommendations),
    ("GET", r"/movie/(\d{1,18})/translations", translations_of),
    ("GET", r"/movie/(\d{1,18})/alternative_titles", alternative_titles_of),
    ("GET", r"/movie/(\d{1,18})/external_ids", external_ids_of),
    ("GET", r"/find/([^/]+)", find),
]
