"""The client of TMDb's API v3, the only module that speaks to it: movies, images and accounts. Errors have meanings.

Facts are from TMDb's reference (developer.themoviedb.org) and its error table; the status codes named below are the
`status_code` of an error's body, not HTTP's.
"""

import json
import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, TypedDict, TypeVar, cast

import requests
from django.conf import settings

from config.http_client import TooLong, TooMuch, http_session, read_bounded, within
from config.jobs.rate_limiter import acquire, block_for
from config.jobs.time_limit import seconds_left
from config.monitoring import metrics
from config.monitoring.secret import Secret

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 20  # that TMDb takes from one address
MAX_JSON_BYTES = 2 * 2**20  # bytes; the longest recorded answers have some 40 KB, and lists of nothing grow twentyfold
MAX_IMAGE_BYTES = 20 * 2**20  # bytes; a w500 poster has some 50 KB
MAX_RETRY_AFTER_SECONDS = 60  # that a Retry-After may ask for
IMAGE_PATH = re.compile(r"/[A-Za-z0-9_-][A-Za-z0-9._-]{0,100}\.(?:jpe?g|png|webp)", re.IGNORECASE)

# TMDb's own codes (developer.themoviedb.org/docs/errors), by what they say; all others pass
SUCCESS_CODES = {1, 12, 13}
KEY_CODES = {7, 10}
NOT_FOUND_CODES = {6, 21, 34, 37, 44}
BAD_REQUEST_CODES = {4, 5, 8, 18, 19, 20, 22, 23, 26, 27, 28, 29, 42, 47}
NOT_APPROVED_CODES = {17, 41}
REFUSED_CODES = {3, 14, 16, 17, 30, 31, 32, 33, 35, 36, 38, 39, 45}  # the session; where none was sent, the key

# What ISO 639-1 calls by another code, TMDb calls by either
SAME_LANGUAGE = [("nb", "no"), ("zh", "cn"), ("ro", "mo"), ("sr", "sh")]

T = TypeVar("T")
JsonObject = dict[str, Any]  # any JSON, as TMDb sent it: nothing in it is verified
Param = str | int | None


class MovieAnswer(TypedDict, total=False):
    """What TMDb says of a movie, in its details or in a row of a list. Not verified: see movies.parsing."""

    id: object
    title: object
    original_title: object
    original_language: object
    overview: object
    release_date: object
    runtime: object
    imdb_id: object
    popularity: object
    vote_average: object
    vote_count: object
    poster_path: object
    genre_ids: object  # of a row; details have `genres` and all that follows
    genres: object
    production_countries: object
    origin_country: object
    translations: object
    credits: object
    videos: object
    belongs_to_collection: object


class MoviePage(TypedDict, total=False):
    """A page of a list of movies; `results` should be a list of MovieAnswer. Not verified."""

    page: object
    results: object
    total_pages: object
    total_results: object


class FindAnswer(TypedDict, total=False):
    """What has an IMDb id: lists, `movie_results` of MovieAnswer. Not verified."""

    movie_results: object
    tv_results: object
    tv_episode_results: object


class TMDbError(Exception):
    """Something about a call to TMDb; its text holds a path and a number, never an address, a key or a session."""


class NotFound(TMDbError):
    """TMDb has no such thing."""


class SessionRefused(TMDbError):
    """The user's session has ended, or is not valid: the user has to /connect again."""


class NotApproved(TMDbError):
    """The request token waits for the user's approval (401 code 17, 422 code 41)."""


class TokenInvalid(TMDbError):
    """The request token was used, denied or is over an hour old: start again (code 33)."""


class BadRequest(TMDbError):
    """TMDb refuses the call for good: a value out of range, a page past the last."""


class Unavailable(TMDbError):
    """TMDb cannot be reached, or did not answer as it should: try later, after `retry_after` seconds if it said so."""

    retry_after: float | None = None


class Oversized(Unavailable):
    """An answer was longer than anything we would ask for; asking again at once will not help."""


class KeyRefused(Unavailable):
    """TMDB_API_KEY is wrong, which the operator has to mend; no movie or user is at fault (code 7)."""


class TMDb:
    """The calls to TMDb that the bot makes; each may raise any TMDbError.

    A background client (the workers') retries transient errors and waits for its slot in the rate limit. An
    interactive one (the chat's) has short timeouts, retries once and only without a pause, and takes the next slot.
    """

    def __init__(self, background: bool = True) -> None:
        self.background = background
        self.attempts = 4 if background else 2
        self.timeout = (5, 20) if background else (3, 5)  # seconds to connect, and between two reads

    # --- movies

    def movie(self, movie_id: int) -> MovieAnswer:
        """All that a card shows of a movie, in one request: /movie/{id} with what TMDb appends to it."""
        languages = (settings.TMDB_LANGUAGE, settings.TMDB_FALLBACK_LANGUAGE)
        answer = self._get(
            f"/movie/{int(movie_id)}",
            language=settings.TMDB_LANGUAGE,
            append_to_response="translations,credits,videos",
            include_video_language=",".join(dict.fromkeys(code for one in languages for code in language_codes(one))),
        )
        return cast(MovieAnswer, answer)

    def search(self, query: str, year: int | None = None, page: int = 1, language: str | None = None) -> MoviePage:
        """A page of movies by title: /search/movie."""
        language = language or settings.TMDB_LANGUAGE
        return self._page("/search/movie", page, query=query, year=year, include_adult="false", language=language)

    def find(self, imdb_id: str) -> FindAnswer:
        """What has an IMDb id: /find/{external_id}."""
        if not re.fullmatch(r"tt\d{5,12}", imdb_id):
            raise NotFound("/find: not an IMDb id")
        path = f"/find/{imdb_id}"
        answer = self._get(path, external_source="imdb_id", language=settings.TMDB_LANGUAGE)
        return cast(FindAnswer, _with_list(answer, "movie_results", path))

    def search_person(self, name: str) -> JsonObject:
        """A page of people by name, most popular first: /search/person."""
        return self._get("/search/person", query=name, include_adult="false", language=settings.TMDB_LANGUAGE)

    def person_movies(self, person_id: int) -> JsonObject:
        """The movies of a person, `cast` and `crew`: /person/{id}/movie_credits."""
        return self._get(f"/person/{int(person_id)}/movie_credits", language=settings.TMDB_LANGUAGE)

    def search_series(self, name: str) -> JsonObject:
        """A page of series by name: /search/tv."""
        return self._get("/search/tv", query=name, include_adult="false", language=settings.TMDB_LANGUAGE)

    def titles(self, movie_id: int) -> JsonObject:
        """A movie's titles in every country and language: /movie/{id}, with what TMDb appends to it."""
        return self._get(f"/movie/{int(movie_id)}", append_to_response="alternative_titles,translations")

    def recommendations(self, movie_id: int, page: int = 1) -> MoviePage:
        """Movies that TMDb recommends for a movie: /movie/{id}/recommendations."""
        return self._page(f"/movie/{int(movie_id)}/recommendations", page, language=settings.TMDB_LANGUAGE)

    def release_dates(self, movie_id: int) -> JsonObject:
        """When a movie comes out, by country and kind of release: /movie/{id}/release_dates."""
        path = f"/movie/{int(movie_id)}/release_dates"
        return _with_list(self._get(path), "results", path)

    def most_voted(self, page: int = 1) -> MoviePage:
        """Movies by the number of their votes, most first: /discover/movie."""
        return self._page("/discover/movie", page, sort_by="vote_count.desc", language=settings.TMDB_LANGUAGE)

    def image(self, path: str, size: str = "w500") -> bytes:
        """The bytes of an image. Raises NotFound for what is not a path of TMDb's, or does not exist."""
        if not IMAGE_PATH.fullmatch(path):
            raise NotFound("image: not a path of TMDb's")
        return self._attempt(lambda: self._image(f"/{size}{path}"))

    # --- accounts

    def check_key(self) -> None:
        """Raise KeyRefused unless TMDB_API_KEY is valid: /authentication."""
        path = "/authentication"
        _confirmed(self._get(path), path)

    def request_token(self) -> Secret:
        """A token for the user to approve, valid for 60 minutes and one session."""
        return _secret_in(
            self._get("/authentication/token/new"), "request_token", r"[\w-]{1,55}"
        )  # a button's data has to hold it

    def new_session(self, request_token: Secret | str) -> Secret:
        """The session of an approved token. Raises NotApproved or TokenInvalid."""
        body = {"request_token": request_token}
        return _secret_in(self._call_once("POST", "/authentication/session/new", body), "session_id", r"[!-~]{1,200}")

    def end_session(self, session_id: Secret) -> None:
        """End a session; one that is already over is no error."""
        with suppress(NotFound, SessionRefused):
            self._call_once("DELETE", "/authentication/session", {"session_id": session_id})

    def account(self, session_id: Secret) -> int:
        """The id of a session's account: /account."""
        account_id = self._get("/account", session_id=session_id).get("id")
        if type(account_id) is not int or not 0 < account_id < 2**63:
            raise Unavailable("/account: no id in the answer")
        return account_id

    def rated_movies(
        self, account_id: int, session_id: Secret, page: int = 1, sort_by: str = "created_at.asc"
    ) -> MoviePage:
        """A page of movies with the account's `rating`: at most 20 rows, often fewer, and at most 500 pages."""
        path, language = f"/account/{int(account_id)}/rated/movies", settings.TMDB_LANGUAGE
        return cast(MoviePage, self._get(path, page=page, session_id=session_id, sort_by=sort_by, language=language))

    def rate(self, movie_id: int, value: Decimal, session_id: Secret) -> None:
        """Rate a movie for the session's account, 0.5-10 in steps of 0.5."""
        self._call_once("POST", f"/movie/{int(movie_id)}/rating", {"value": float(value)}, session_id=session_id)

    def own_rating(self, movie_id: int, session_id: Secret) -> Decimal | None:
        """What the session's account has rated a movie, 0.5-10; None for no rating: /movie/{id}/account_states."""
        rated = self._get(f"/movie/{int(movie_id)}/account_states", session_id=session_id).get("rated")
        value = rated.get("value") if isinstance(rated, dict) else None
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 10
        return Decimal(str(value)) if is_number else None

    def unrate(self, movie_id: int, session_id: Secret) -> None:
        """Delete the account's rating of a movie; where there is none, that is no error."""
        with suppress(NotFound):
            self._call_once("DELETE", f"/movie/{int(movie_id)}/rating", session_id=session_id)

    def watchlist(
        self, account_id: int, session_id: Secret, page: int = 1, sort_by: str = "created_at.asc"
    ) -> MoviePage:
        """A page of movies on the account's watchlist, 20 rows at most: /account/{id}/watchlist/movies."""
        path, language = f"/account/{int(account_id)}/watchlist/movies", settings.TMDB_LANGUAGE
        return cast(MoviePage, self._get(path, page=page, session_id=session_id, sort_by=sort_by, language=language))

    def set_on_watchlist(self, account_id: int, movie_id: int, wanted: bool, session_id: Secret) -> None:
        """Put a movie on the account's watchlist, or take it off; either may be so already: /account/{id}/watchlist."""
        body = {"media_type": "movie", "media_id": int(movie_id), "watchlist": wanted}
        self._call_once("POST", f"/account/{int(account_id)}/watchlist", body, session_id=session_id)

    # --- HTTP

    def _page(self, path: str, page: int, **params: Param) -> MoviePage:
        return cast(MoviePage, _with_list(self._get(path, page=page, **params), "results", path))

    def _get(self, path: str, **params: Param) -> JsonObject:
        return self._attempt(lambda: self._call("GET", path, None, params))

    def _call_once(self, method: str, path: str, body: JsonObject | None = None, **params: Param) -> JsonObject:
        """A call that changes something: never repeated blindly, since a request token is good once."""
        return _confirmed(self._call(method, path, body, params), path)

    def _attempt(self, call: Callable[[], T]) -> T:
        for attempt in range(1, self.attempts):
            try:
                return call()
            except (KeyRefused, Oversized):
                raise
            except Unavailable as error:
                pause = error.retry_after or 0.5 * 2 ** (attempt - 1)
                if (error.retry_after and not self.background) or seconds_left() <= pause:
                    raise
                if self.background:
                    time.sleep(pause)
        return call()

    def _call(self, method: str, path: str, body: JsonObject | None, params: dict[str, Param]) -> JsonObject:
        acquire("tmdb", settings.TMDB_REQUESTS_PER_SECOND, priority=not self.background)
        headers: dict[str, str] = {"Accept": "application/json"}
        params = {name: value for name, value in params.items() if value is not None}
        if settings.TMDB_API_KEY.startswith("eyJ"):
            headers["Authorization"] = Secret(f"Bearer {settings.TMDB_API_KEY}")
        else:
            params["api_key"] = settings.TMDB_API_KEY
        url = settings.TMDB_API_URL + path
        request = {"params": params, "json": body, "headers": headers}
        status, content, retry_after = self._exchange(api_session(), method, url, path, MAX_JSON_BYTES, **request)
        try:
            data = json.loads(content)
        except (ValueError, RecursionError):
            data = None
        data = data if isinstance(data, dict) else {"success": False}
        code = data.get("status_code") if type(data.get("status_code")) is int else None
        if 200 <= status < 300 and data.get("success") is not False and (code is None or code in SUCCESS_CODES):
            return data
        raise self._error(status, code, path, retry_after, "session_id" in {**params, **(body or {})})

    def _image(self, path: str) -> bytes:
        url = settings.TMDB_IMAGE_URL + path
        status, content, retry_after = self._exchange(image_session(), "GET", url, path, MAX_IMAGE_BYTES)
        if status == 200:
            return content
        if status in (400, 404, 410):  # not 403: that refuses our address, not the image
            raise NotFound(f"{path}: {status}")
        raise self._unavailable(f"{path}: {status}", retry_after)

    def _exchange(
        self, http: requests.Session, method: str, url: str, path: str, max_bytes: int, **request: Any
    ) -> tuple[int, bytes, str | None]:
        """(status, body, header Retry-After), bounded in time and size; `request`: further arguments of requests'."""
        metrics.increment("tmdb.requests" if http is api_session() else "tmdb.images")
        seconds, began_at = self.timeout[1] * 1.5, time.monotonic()
        failure: Unavailable
        try:
            with (
                within(sum(self.timeout) + seconds),
                http.request(
                    method, url, timeout=self.timeout, stream=True, allow_redirects=False, **request
                ) as response,
            ):
                if response.status_code == 429:
                    metrics.increment("tmdb.429")
                if response.status_code >= 500:
                    metrics.increment("tmdb.errors")
                content = read_bounded(response, max_bytes, seconds)
                metrics.observe_latency("tmdb", time.monotonic() - began_at)
                log.debug("TMDb: %s %s: %s", method, path, response.status_code)
                return response.status_code, content, response.headers.get("Retry-After")
        except TooLong as error:
            failure = Oversized(f"{path}: {error}")
        except TooMuch as error:
            failure = Unavailable(f"{path}: {error}")
        except (requests.RequestException, OSError, ValueError) as error:
            failure = Unavailable(f"{path}: {type(error).__name__}")
        metrics.increment("tmdb.errors")
        raise failure  # outside of `except`: the original names the address and the key, and must not be its context

    @staticmethod
    def _key_refused(what: str) -> KeyRefused:
        metrics.increment("failed:tmdb_key:TMDb refuses TMDB_API_KEY")
        return KeyRefused(f"{what}: TMDb refuses TMDB_API_KEY")

    def _error(
        self, status: int, code: int | None, path: str, retry_after: str | None, with_session: bool
    ) -> TMDbError:
        """What TMDb's own code says. Without one, some server on the way has answered, which says nothing of TMDb's."""
        what = f"{path}: {status}" + ("" if code is None else f" code {code}")
        if status == 429 or status >= 500:
            code = None
        if code in KEY_CODES:
            return self._key_refused(what)
        if path == "/authentication/session/new":
            if code in NOT_APPROVED_CODES:
                return NotApproved(what)
            if code in REFUSED_CODES | NOT_FOUND_CODES | BAD_REQUEST_CODES:
                return TokenInvalid(what)
        if code in REFUSED_CODES:
            return SessionRefused(what) if with_session else self._key_refused(what)
        if code in NOT_FOUND_CODES:
            return NotFound(what)
        if code in BAD_REQUEST_CODES:
            return BadRequest(what)
        return self._unavailable(what, retry_after, slow_down=status == 429)

    def _unavailable(self, what: str, retry_after: str | None, slow_down: bool = False) -> Unavailable:
        error = Unavailable(what)
        error.retry_after = retry_after_seconds(retry_after)
        if slow_down:
            block_for("tmdb", error.retry_after or 1)  # for all processes: it is our address that asks too often
        return error


def language_codes(language: str) -> tuple[str, ...]:
    """TMDb's codes of the language of a locale such as nb-NO."""
    code = language[:2]
    return next((codes for codes in SAME_LANGUAGE if code in codes), (code,))


def _confirmed(answer: JsonObject, path: str) -> JsonObject:
    """The answer to a call that changes something, if it is TMDb's yes. Raises Unavailable."""
    if answer.get("success") is True or answer.get("status_code") in SUCCESS_CODES:
        return answer
    raise Unavailable(f"{path}: no answer of TMDb's")


def _with_list(answer: JsonObject, name: str, path: str) -> JsonObject:
    """The answer, if it holds this list: one without is no empty list. Raises Unavailable."""
    if isinstance(answer.get(name), list):
        return answer
    raise Unavailable(f"{path}: no {name} in the answer")


def _secret_in(answer: JsonObject, name: str, pattern: str) -> Secret:
    """The secret of this name, if it looks as it should. Raises Unavailable, whose text does not contain it."""
    value = answer.get(name)
    if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII):
        raise Unavailable(f"no {name} in the answer")
    return Secret(value)


def retry_after_seconds(retry_after: str | None) -> float | None:
    """Seconds to wait for a Retry-After of seconds or a date, bounded; None where there is none."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return min(max(seconds, 0), MAX_RETRY_AFTER_SECONDS)


@cache
def api_session() -> requests.Session:
    return http_session(settings.TMDB_API_URL, MAX_CONNECTIONS)


@cache
def image_session() -> requests.Session:
    return http_session(settings.TMDB_IMAGE_URL, MAX_CONNECTIONS)
