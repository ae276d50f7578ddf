"""The only door to TMDb: films, images and accounts of API v3. Dictionaries out, errors by meaning.

Facts are from TMDb's reference (developer.themoviedb.org) and its error table; the status codes named below are the
`status_code` of an error's body, not HTTP's.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import requests
from django.conf import settings

from config.http_client import TooLong, TooMuch, http_session, read_bounded, within
from config.jobs.rate_limiter import acquire, block_for
from config.monitoring import metrics
from config.monitoring.secret import Secret

if TYPE_CHECKING:
    from decimal import Decimal

    from requests.sessions import Session

log = logging.getLogger(__name__)

CONNECTIONS = 20  # the most TMDb takes from one address
LARGEST_JSON = 2 * 2**20  # bytes; the longest recorded answers have some 40 KB, and lists of nothing grow twentyfold
LARGEST_IMAGE = 20 * 2**20  # bytes; a w500 poster has some 50 KB
LONGEST_WAIT = 60  # seconds that a Retry-After may ask for
IMAGE_PATH = re.compile(r"/[A-Za-z0-9_-][A-Za-z0-9._-]{0,100}\.(?:jpe?g|png|webp)", re.IGNORECASE)


class TMDbError(Exception):
    """Something about a call to TMDb; its text holds a path and a number, never an address, a key or a session."""


class NotFound(TMDbError):
    """TMDb has no such thing."""


class SessionRefused(TMDbError):
    """The person's session is over, or was never theirs: only /connect mends it."""


class NotApproved(TMDbError):
    """The request token waits for the person's approval (401 code 17, 422 code 41)."""


class TokenSpent(TMDbError):
    """The request token was used, denied or is over an hour old: start again (code 33)."""


class Refused(TMDbError):
    """TMDb will not do it, now or later: a value out of range, a page past the last."""


class Unavailable(TMDbError):
    """TMDb cannot be reached, or did not answer as it should: try later, after `retry_after` seconds if it said so."""

    retry_after: float | None = None


class Oversized(Unavailable):
    """An answer was longer than anything we would ask for; asking again at once will not help."""


class KeyRefused(Unavailable):
    """TMDB_API_KEY is wrong: the operator's affair, no fault of any person or film (code 7)."""


class TMDb:
    """The calls to TMDb we make; each may raise any TMDbError.

    A patient client (the workers') retries what may pass and waits for its turn; an impatient one (the chat's) asks
    briefly, again only where it can do so at once, and passes those who wait.
    """

    def __init__(self, patient: bool = True) -> None:
        self.patient = patient
        self.attempts = 4 if patient else 2
        self.timeout = (5, 20) if patient else (3, 5)

    # --- films

    def movie(self, movie_id: int, language: str | None = None) -> dict[str, Any]:
        """Details of a film: /movie/{id}."""
        return self._get(f"/movie/{int(movie_id)}", language=language or settings.TMDB_LANGUAGE)

    def search(self, query: str, year: int | None = None, page: int = 1, language: str | None = None) -> dict[str, Any]:
        """A page of films by title: /search/movie."""
        return self._get(
            "/search/movie",
            query=query,
            year=year,
            page=page,
            include_adult="false",
            language=language or settings.TMDB_LANGUAGE,
        )

    def find(self, imdb_id):
        """Films with an IMDb id: /find/{external_id}."""
        if not re.fullmatch(r"tt\d{5,12}", imdb_id):
            raise NotFound("/find: not an IMDb id")
        return self._get(f"/find/{imdb_id}", external_source="imdb_id", language=settings.TMDB_LANGUAGE)

    def recommendations(self, movie_id: int, page: int = 1) -> dict[str, Any]:
        """Films TMDb shows beside a film: /movie/{id}/recommendations."""
        return self._get(f"/movie/{int(movie_id)}/recommendations", page=page, language=settings.TMDB_LANGUAGE)

    def best_known(self, page: int = 1):
        """Films, those first for which most people have voted: /discover/movie."""
        return self._get("/discover/movie", sort_by="vote_count.desc", page=page, language=settings.TMDB_LANGUAGE)

    def changes(self, start_date: str, end_date: str, page: int = 1) -> dict[str, Any]:
        """Ids of films changed between two dates at most 14 days apart: /movie/changes."""
        return self._get("/movie/changes", start_date=start_date, end_date=end_date, page=page)

    def image(self, path: str, size: str = "w500") -> bytes:
        """The bytes of an image. Raises NotFound for what is not a path of TMDb's, or is not there."""
        if not IMAGE_PATH.fullmatch(path):
            raise NotFound("image: not a path of TMDb's")
        return self._attempt(lambda: self._image(f"/{size}{path}"))

    # --- accounts

    def check_key(self) -> None:
        """Nothing, if the key is good: /authentication."""
        self._get("/authentication")

    def request_token(self) -> Secret:
        """A token for the person to approve, good for 60 minutes and one session."""
        return _said(self._get("/authentication/token/new"), "request_token", r"[\w-]{1,55}")  # it rides in a button

    def new_session(self, request_token: Secret | str) -> Secret:
        """The session of an approved token. Raises NotApproved or TokenSpent."""
        body = {"request_token": request_token}
        return _said(self._once("POST", "/authentication/session/new", body), "session_id", r"[!-~]{1,200}")

    def end_session(self, session_id: Secret) -> None:
        """End a session; one that is already over is no error."""
        with suppress(NotFound, SessionRefused):
            self._once("DELETE", "/authentication/session", {"session_id": session_id})

    def account(self, session_id: Secret) -> int:
        """The id of a session's account: /account."""
        account_id = self._get("/account", session_id=session_id).get("id")
        if type(account_id) is not int or not 0 < account_id < 2**63:
            raise Unavailable("/account: no id in the answer")
        return account_id

    def rated_movies(self, account_id, session_id, page: int = 1, sort_by: str = "created_at.asc"):
        """A page of films with the account's `rating`: at most 20 rows, often fewer, and at most 500 pages."""
        return self._get(
            f"/account/{int(account_id)}/rated/movies",
            session_id=session_id,
            page=page,
            sort_by=sort_by,
            language=settings.TMDB_LANGUAGE,
        )

    def rate(self, movie_id: int, value: Decimal, session_id: Secret) -> None:
        """Rate a film for the session's account, 0.5-10 in steps of 0.5."""
        self._once("POST", f"/movie/{int(movie_id)}/rating", {"value": float(value)}, session_id=session_id)

    def unrate(self, movie_id: int, session_id) -> None:
        """Take the account's rating of a film back; where there is none, that is no error."""
        with suppress(NotFound):
            self._once("DELETE", f"/movie/{int(movie_id)}/rating", session_id=session_id)

    # --- how

    def _get(self, path: str, **params: Any) -> dict[str, Any]:
        return self._attempt(lambda: self._call("GET", path, None, params))

    def _once(
        self, method: str, path: str, body: dict[str, str | float | Secret] | None = None, **params: Any
    ) -> dict[str, Any]:
        """A call that changes something: never repeated blindly, since a request token is good once."""
        return self._call(method, path, body, params)

    def _attempt(self, call: Callable) -> Any:
        for attempt in range(1, self.attempts + 1):
            try:
                return call()
            except (KeyRefused, Oversized):
                raise
            except Unavailable as error:
                if attempt == self.attempts or (error.retry_after and not self.patient):
                    raise
                if self.patient:
                    time.sleep(error.retry_after or 0.5 * 2 ** (attempt - 1))

    def _call(
        self,
        method: str,
        path: str,
        body: dict[str, str] | dict[str, float] | dict[str, Secret] | None,
        params: dict[str, Secret | str | int | None],
    ) -> dict[str, Any]:
        acquire("tmdb", settings.TMDB_REQUESTS_PER_SECOND, priority=not self.patient)
        headers = {"Accept": "application/json"}
        params = {name: value for name, value in params.items() if value is not None}
        if settings.TMDB_API_KEY.startswith("eyJ"):
            headers["Authorization"] = Secret(f"Bearer {settings.TMDB_API_KEY}")
        else:
            params["api_key"] = settings.TMDB_API_KEY
        status, content, wait = self._exchange(
            api_session(),
            method,
            settings.TMDB_API_URL + path,
            path,
            LARGEST_JSON,
            params=params,
            json=body,
            headers=headers,
        )
        try:
            data = json.loads(content)
        except (ValueError, RecursionError):
            data = None
        if 200 <= status < 300 and isinstance(data, dict):
            return data
        raise self._error(status, data if isinstance(data, dict) else {}, path, wait, "session_id" in params)

    def _image(self, path: str) -> bytes:
        status, content, wait = self._exchange(
            image_session(), "GET", settings.TMDB_IMAGE_URL + path, path, LARGEST_IMAGE
        )
        if status == 200:
            return content
        if status in (400, 404, 410):  # not 403: that is said to an address, not of an image
            raise NotFound(f"{path}: {status}")
        raise self._unavailable(f"{path}: {status}", wait)

    def _exchange(
        self, http: Session, method: str, url: str, path: str, most: int, **request: Any
    ) -> tuple[int, bytes, None]:
        """(status, body, seconds of Retry-After or None); the whole exchange takes a bounded time and size."""
        metrics.increment("tmdb.requests" if http is api_session() else "tmdb.images")
        seconds = self.timeout[1] * 1.5
        try:
            with (
                within(sum(self.timeout) + seconds),
                http.request(
                    method, url, timeout=self.timeout, stream=True, allow_redirects=False, **request
                ) as response,
            ):
                if response.status_code == 429:
                    metrics.increment("tmdb.429")
                content = read_bounded(response, most, seconds)
                log.debug("TMDb: %s %s: %s", method, path, response.status_code)
                return response.status_code, content, response.headers.get("Retry-After")
        except TooLong as error:
            trouble = Oversized(f"{path}: {error}")
        except TooMuch as error:
            trouble = Unavailable(f"{path}: {error}")
        except (requests.RequestException, OSError, ValueError) as error:
            trouble = Unavailable(f"{path}: {type(error).__name__}")
        raise trouble  # out here, where the original, which names the whole address and the key, is no part of it

    def _error(self, status: int, data: dict[str, Any], path: str, wait: str | None, with_session: bool) -> TMDbError:
        code = data.get("status_code")
        what = f"{path}: {status}" + (f" code {code}" if isinstance(code, int) else "")
        if path == "/authentication/session/new" and (code in (17, 41)):
            return NotApproved(what)
        if path == "/authentication/session/new" and status in (400, 401, 404, 422) and code != 7:
            return TokenSpent(what)
        if code == 7 or (status == 401 and not with_session):
            return KeyRefused(f"{what}: TMDb refuses TMDB_API_KEY")
        if status == 401 or (status == 403 and with_session):
            return SessionRefused(what)
        if status == 404:
            return NotFound(what)
        if status in (400, 405, 406, 422):
            return Refused(what)
        return self._unavailable(what, wait, slow_down=status == 429)

    def _unavailable(self, what: str, wait: str | None, slow_down: bool = False) -> Unavailable:
        error = Unavailable(what)
        error.retry_after = seconds_until(wait)
        if slow_down:
            block_for("tmdb", error.retry_after or 1)  # for everybody: it is our address that asks too often
        return error


def _said(reply: dict[str, Any], name: str, pattern: str) -> Secret:
    """A secret in a reply that looks as it should. Raises Unavailable, whose text does not hold it."""
    value = reply.get(name)
    if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII):
        raise Unavailable(f"no {name} in the answer")
    return Secret(value)


def seconds_until(retry_after: str | None) -> float | None:
    """Seconds to wait for a Retry-After of seconds or a date, at most LONGEST_WAIT; None where there is none."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return min(max(seconds, 0), LONGEST_WAIT)


@cache
def api_session() -> Session:
    return http_session(settings.TMDB_API_URL, CONNECTIONS)


@cache
def image_session() -> Session:
    return http_session(settings.TMDB_IMAGE_URL, CONNECTIONS)
