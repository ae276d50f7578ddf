"""A stand-in for TMDb on localhost: its API (v3), its approval page and its image server.

Paths, shapes, codes and habits follow TMDb's published API description and its real answers. What a test or
a demonstration needs to steer or to look into is plain Python on the TMDb object.
"""

import html
import json
import re
import secrets
import threading
import time
import unicodedata
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from hashlib import sha256
from itertools import islice
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from . import catalogue, posters
from .catalogue import FIELDS, GENRES, Film, poster_path
from .web import Fault, Faults, Request, Response

KEY = "5a0db0c5000000000000000000007a57"  # a v3 key: 32 hexadecimal digits
# a v4 read access token, good for nothing but this stand-in
READ_TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiJzYW5kYm94Iiwic2NvcGVzIjpbImFwaV9yZWFkIl19.c2FuZGJveC1vbmx5"  # noqa: S105

PAGE_SIZE = 20
LAST_PAGE = 500
CHANGES_PAGE_SIZE = 100
TOKEN_LIFETIME = 60 * 60
LONGEST_RANGE = timedelta(days=14)
POSTER_SIZES = ["w92", "w154", "w185", "w342", "w500", "w780", "original"]

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
    20: (422, "Invalid date range: Should be a range no longer than 14 days."),
    22: (400, "Invalid page: Pages start at 1 and max at 500. They are expected to be an integer."),
    23: (400, "Invalid date: Format needs to be YYYY-MM-DD."),
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
}


class Refused(Exception):
    """The request ends here, with this answer."""

    def __init__(self, response):
        self.response = response


def error(code, status=None, message=None, headers=None, **more) -> Response:
    """One of TMDb's errors, by its code."""
    usual, text = STATUS.get(code, (500, "Something went wrong."))
    body = {"success": False, "status_code": code, "status_message": message or text, **more}
    return Response.json(body, status or usual, **(headers or {}))


@dataclass
class Account:
    """Somebody's account at TMDb. `ratings` are in the order they were first made, as created_at sorts them."""

    id: int
    username: str
    name: str = ""
    ratings: dict[int, float] = field(default_factory=dict)
    rated_at: dict[int, float] = field(default_factory=dict)

    def rate(self, film_id, value, at=None):
        """Rate a film; another value for the same film does not move it. Any value goes: TMDb's data is odd."""
        new = film_id not in self.ratings
        if new:
            self.rated_at[film_id] = time.time() if at is None else at
        self.ratings[film_id] = value
        if new and at is not None:
            self.ratings = dict(sorted(self.ratings.items(), key=lambda item: self.rated_at[item[0]]))

    def unrate(self, film_id):
        self.ratings.pop(film_id, None)
        self.rated_at.pop(film_id, None)


@dataclass
class RequestToken:
    """A request token: lives an hour, is approved or denied once, buys one session."""

    token: str
    expires_at: float
    account: Account | None = None
    denied: bool = False
    used: bool = False


@dataclass
class Seen:
    """A request that came in, for tests to ask about; `status` is None until answered, 0 if it was dropped."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float
    status: int | None = None


def fold(text) -> str:
    """What search compares: no case, no accents, no punctuation; ё is е."""
    text = unicodedata.normalize("NFKD", text.casefold())
    text = "".join(c for c in text if not unicodedata.combining(c))
    return " ".join(re.findall(r"\w+", text))


class TMDb:
    """TMDb as far as Kinoteka uses it. `handle` answers requests; everything else is for whoever holds the object.

    `url` is where it is served, for the addresses it gives out. Pauses: `latency` seconds before an API answer,
    `image_latency` before an image. `limit` requests a second (None: no limit) answer 429 beyond, as do more than
    `connections` at a time. `not_approved` is what a session for an unapproved token gets: (401, 17) or (422, 41).
    """

    def __init__(self, faults=None, url=""):
        self.faults = faults if faults is not None else Faults()
        self.faults.watchers.append(self._faulted)
        self.url = url
        self.clock = time.time
        self.latency = 0.0
        self.image_latency = 0.0
        self.limit: int | None = None
        self.connections = 20
        self.not_approved = (401, 17)
        self.keys = {KEY, READ_TOKEN}
        self.films: dict[int, Film] = catalogue.films()
        self.images: dict[str, tuple[bytes, str]] = {}
        self.accounts: dict[str, Account] = {}
        self.sessions: dict[str, Account] = {}
        self.guests: dict[str, Account] = {}
        self.tokens: dict[str, RequestToken] = {}
        self.requests: list[Seen] = []
        self.in_flight = 0
        self.peak_in_flight = 0
        self._recent: deque[float] = deque()
        self._posters: dict[str, Film] = {}
        self._lock = threading.RLock()
        demo = self.add_account("demo", name="Демо")
        started = datetime(2024, 1, 1, 19, tzinfo=UTC).timestamp()
        for number, (film_id, value) in enumerate(catalogue.demo_ratings()):
            demo.ratings[film_id] = value
            demo.rated_at[film_id] = started + number * 86_400
        self.add_account("empty", name="Пустая")

    # Films, accounts, sessions: for tests and demonstrations

    def add_film(self, id, poster=True, **what) -> Film:
        """Add or replace a film; `poster` is True, None or a path, the rest are the fields of Film."""
        if "poster_path" not in what:
            what["poster_path"] = poster_path(id) if poster is True else poster
        if not what.get("original_title"):
            what["original_title"] = what.get("title_en") or what.get("title_ru") or f"Film {id}"
        film = self.films[id] = Film(id, **what)
        return film

    def add_films(self, n, start=1_000_000) -> list[int]:
        """Add `n` made-up films with one small poster between them; their ids."""
        kinds = list(GENRES)
        for number in range(n):
            self.add_film(
                start + number,
                title_ru=f"Фильм № {number + 1}",
                title_en=f"Film No. {number + 1}",
                overview_ru=f"История номер {number + 1}, придуманная для проверки.",
                overview_en=f"Story number {number + 1}, made up for a test.",
                release_date=(date(1950, 1, 1) + timedelta(days=number * 37 % 27_000)).isoformat(),
                runtime=80 + number % 60,
                genre_ids=[kinds[number % 19], kinds[number * 7 % 19]] if number % 19 else [kinds[0]],
                imdb_id=f"tt9{number:07}",
                popularity=round(1 + number % 97 / 10, 3),
                vote_average=round(4 + number % 55 / 10, 1),
                vote_count=10 + number % 5_000,
                plain_poster=True,
            )
        return list(range(start, start + n))

    def change(self, film_id, **what) -> Film:
        """Change a film now, so that /changes tells of it."""
        film = self.films[film_id]
        if "poster" in what:
            poster = what.pop("poster")
            what["poster_path"] = poster_path(film_id) if poster is True else poster
        for name, value in what.items():
            if name not in FIELDS:
                raise AttributeError(f"Film has no {name}")
            setattr(film, name, value)
        film.changes.append((self.clock(), what))
        return film

    def gone(self, film_id):
        """TMDb no longer has this film: 404, though rated pages still carry it."""
        self.films[film_id].gone = True

    def hide_from_pages(self, film_id):
        """Rated pages leave this film out, while total_results counts it."""
        self.films[film_id].hidden = True

    def add_account(self, username, name="") -> Account:
        account = Account(21_000_001 + len(self.accounts), username, name or username)
        self.accounts[username] = account
        return account

    def account(self, username) -> Account:
        return self.accounts[username]

    def approve(self, request_token, account):
        """What the person does on TMDb's page: allow. `account` is an Account or its username."""
        self.tokens[request_token].account = self.accounts[account] if isinstance(account, str) else account

    def deny(self, request_token):
        """What the person does on TMDb's page: refuse."""
        self.tokens[request_token].denied = True

    def session_for(self, account) -> str:
        """A session of this account, without the ceremony."""
        session_id = secrets.token_hex(20)
        self.sessions[session_id] = self.accounts[account] if isinstance(account, str) else account
        return session_id

    def revoke(self, account):
        """The person withdrew the permission: every session of the account ends."""
        with self._lock:
            self.sessions = {key: whose for key, whose in self.sessions.items() if whose is not account}

    def fail(
        self,
        path_pattern,
        status=None,
        code=None,
        times=1,
        retry_after=None,
        delay=0,
        drop="",
        body=None,
        content_type=None,
        truncate=None,
        method=None,
    ) -> Fault:
        """Make matching requests go wrong: TMDb's error for `status` or `code` (else 500), or `body` as it stands.

        With only a `delay`, `drop` or `truncate` the answer is the right one, but late, cut off or cut short.
        The pattern is a regular expression over whole paths: r"^/3/movie/603$", r"^/t/p/w500/".
        """
        response = None
        if not drop and not ((delay or truncate is not None) and status is code is body is None):
            status = status or (STATUS[code][0] if code else 500)
            headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
            if isinstance(body, dict | list):
                response = Response.json(body, status, **headers)
            elif body is None:
                response = error(code or CODE_OF.get(status, 11), status, headers=headers)
            else:
                content = body if isinstance(body, bytes) else str(body).encode()
                kind = content_type or "application/json;charset=utf-8"
                response = Response(status, content, {"Content-Type": kind, **headers})
        return self.faults.add(
            path_pattern, method, times, response=response, delay=delay, drop=drop, truncate=truncate
        )

    # What came in

    def requests_of(self, path, method=None) -> list[Seen]:
        """The requests for a path, "/movie/603" or "/3/movie/603"; "*" stands for anything: "/t/p/w500/*"."""
        pattern = re.sub(r"^/3(?=/)", "", path)
        return [
            seen
            for seen in list(self.requests)
            if method in (None, seen.method) and fnmatchcase(re.sub(r"^/3(?=/)", "", seen.path), pattern)
        ]

    def forget_requests(self):
        """Start recording anew."""
        with self._lock:
            self.requests.clear()
            self.peak_in_flight = self.in_flight

    def peak_rate(self, prefix="/3/", seconds=1.0) -> int:
        """The most requests that ever came within any one second."""
        times = sorted(seen.at for seen in list(self.requests) if seen.path.startswith(prefix))
        peak = first = 0
        for last, at in enumerate(times):
            while at - times[first] >= seconds:
                first += 1
            peak = max(peak, last - first + 1)
        return peak

    def _record(self, request, status=None) -> Seen:
        seen = Seen(request.method, request.path, request.query, request.headers, request.body, request.at, status)
        self.requests.append(seen)
        return seen

    def _faulted(self, request, fault):
        """A fault answered in our stead: the request counts all the same."""
        if self.serves(request.path):
            self._record(request, 0 if fault.drop else fault.response.status)

    # Answering

    @staticmethod
    def serves(path) -> bool:
        """Is this path TMDb's? (The stand-ins may share one server.)"""
        return path.startswith(("/3/", "/t/p/", "/authenticate/", "/movie/"))

    def handle(self, request: Request) -> Response:
        seen = self._record(request)
        with self._lock:
            self.in_flight += 1
            self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            response = self._answer(request)
        except Refused as refusal:
            response = refusal.response
        finally:
            with self._lock:
                self.in_flight -= 1
        seen.status = response.status
        return response

    def _answer(self, request) -> Response:
        path = request.path
        if path.startswith("/t/p/"):
            if self.image_latency:
                time.sleep(self.image_latency)
            return self.image(path)
        if path.startswith("/authenticate/"):
            return self.approval_page(request)
        if path.startswith("/movie/"):
            return self.film_page(request)
        if not path.startswith("/3/"):
            return Response.html("<h1>Not Found</h1>", 404)
        self._within_limit()
        if self.latency:
            time.sleep(self.latency)
        self._check_key(request)
        for method, pattern, answer in ROUTES:
            match = pattern.fullmatch(path)
            if match and method == request.method:
                return answer(self, request, *match.groups())
        known = any(pattern.fullmatch(path) for _, pattern, _ in ROUTES)
        return error(42 if known else 34)

    def _within_limit(self):
        if self.limit is None:
            return
        now = time.monotonic()
        with self._lock:
            while self._recent and now - self._recent[0] >= 1:
                self._recent.popleft()
            if len(self._recent) >= self.limit or self.in_flight > self.connections:
                message = f"Your request count ({len(self._recent) + 1}) is over the allowed limit of ({self.limit})."
                raise Refused(error(25, message=message, headers={"Retry-After": "1"}))
            self._recent.append(now)

    def _check_key(self, request):
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.query.get("api_key") not in self.keys and bearer not in self.keys:
            raise Refused(error(7))

    def _session(self, request) -> Account:
        account = self.sessions.get(request.query.get("session_id", ""))
        if account is None:
            raise Refused(error(3))
        return account

    def _rater(self, request) -> Account:
        guest = self.guests.get(request.query.get("guest_session_id", ""))
        return guest or self._session(request)

    def _film(self, film_id) -> Film:
        film = self.films.get(int(film_id))
        if film is None or film.gone:
            raise Refused(error(34))
        return film

    # Authentication

    def configuration(self, request):
        """TMDb: GET /configuration."""
        base = f"{self.url}/t/p/"
        sizes = {
            "backdrop_sizes": ["w300", "w780", "w1280", "original"],
            "logo_sizes": ["w45", "w92", "w154", "w185", "w300", "w500", "original"],
            "poster_sizes": POSTER_SIZES,
            "profile_sizes": ["w45", "w185", "h632", "original"],
            "still_sizes": ["w92", "w185", "w300", "original"],
        }
        keys = ["genres", "images", "overview", "release_dates", "runtime", "tagline", "title", "translations"]
        images = {"base_url": base, "secure_base_url": base, **sizes}
        return Response.json({"images": images, "change_keys": keys})

    def validate_key(self, request):
        """TMDb: GET /authentication."""
        return Response.json({"success": True})

    def new_token(self, request):
        """TMDb: GET /authentication/token/new."""
        made = RequestToken(secrets.token_hex(20), self.clock() + TOKEN_LIFETIME)
        self.tokens[made.token] = made
        body = {"success": True, "expires_at": _moment(made.expires_at), "request_token": made.token}
        callback = f"{self.url}/authenticate/{made.token}"
        return Response.json(body, **{"Authentication-Callback": callback})

    def new_session(self, request):
        """TMDb: POST /authentication/session/new (GET works too, undocumented)."""
        text = _json_body(request).get("request_token") or request.query.get("request_token")
        if not text:
            return error(5)
        with self._lock:
            token = self._live_token(text)
            if token is None:
                return error(33)
            if token.account is None:
                status, code = self.not_approved
                return error(code, status, **({"failure": True} if code == 17 else {}))
            token.used = True
        return Response.json({"success": True, "session_id": self.session_for(token.account)})

    def _live_token(self, text) -> RequestToken | None:
        token = self.tokens.get(str(text))
        if token is None or token.denied or token.used or token.expires_at <= self.clock():
            return None
        return token

    def end_session(self, request):
        """TMDb: DELETE /authentication/session."""
        session_id = _json_body(request).get("session_id") or request.query.get("session_id")
        if not session_id:
            return error(5)
        with self._lock:
            ended = self.sessions.pop(str(session_id), None)
        return Response.json({"success": True}) if ended else error(37)

    def new_guest(self, request):
        """TMDb: GET /authentication/guest_session/new."""
        guest = secrets.token_hex(16)
        self.guests[guest] = Account(0, f"guest {guest[:6]}")
        expires = _moment(self.clock() + 86_400)
        return Response.json({"success": True, "guest_session_id": guest, "expires_at": expires})

    # The account

    def account_details(self, request, account_id=None):
        """TMDb: GET /account and /account/{account_id}."""
        account = self._own(request, account_id)
        gravatar = sha256(account.username.encode()).hexdigest()[:32]
        body = {
            "avatar": {"gravatar": {"hash": gravatar}, "tmdb": {"avatar_path": None}},
            "id": account.id,
            "iso_639_1": "ru",
            "iso_3166_1": "RU",
            "name": account.name,
            "include_adult": False,
            "username": account.username,
        }
        return Response.json(body)

    def _own(self, request, account_id) -> Account:
        account = self._session(request)
        others = {str(other.id) for other in self.accounts.values() if other is not account}
        if account_id in others:
            raise Refused(error(3))
        return account

    def rated_movies(self, request, account_id):
        """TMDb: GET /account/{account_id}/rated/movies."""
        return self._rated_page(self._own(request, account_id), request)

    def guest_rated_movies(self, request, guest):
        """TMDb: GET /guest_session/{guest_session_id}/rated/movies."""
        account = self.guests.get(guest)
        return self._rated_page(account, request) if account else error(34)

    def _rated_page(self, account, request):
        page, language = _page(request), request.query.get("language") or "en-US"
        items = account.ratings.items()
        in_order = reversed(items) if request.query.get("sort_by") == "created_at.desc" else items
        rows = []
        for film_id, value in list(islice(in_order, (page - 1) * PAGE_SIZE, page * PAGE_SIZE)):
            film = self.films.get(film_id)
            if film is not None and not film.hidden:
                rows.append(f'{self._row_json(film, language)[:-1]}, "rating": {json.dumps(value)}}}')
        total = len(items)
        head = f'{{"page": {page}, "results": ['
        tail = f'], "total_pages": {-(-total // PAGE_SIZE)}, "total_results": {total}}}'
        return _raw_json(head + ", ".join(rows) + tail)

    # Films

    def movie(self, request, film_id):
        """TMDb: GET /movie/{movie_id}."""
        film = self._film(film_id)
        language = request.query.get("language") or "en-US"
        wanted = [name for name in request.query.get("append_to_response", "").split(",") if name]
        if len(wanted) > 20:
            return error(27)
        if not wanted:
            return _raw_json(self._details_json(film, language))
        body = json.loads(self._details_json(film, language))
        for name in wanted:
            part = self._appended(name, film, request, language)
            if part is not None:
                body[name] = part
        return Response.json(body)

    def _appended(self, name, film, request, language):
        if name == "translations":
            return {"translations": _translations(film)}
        if name == "external_ids":
            return {key: value for key, value in _external_ids(film).items() if key != "id"}
        if name == "recommendations":
            return self._list([self._row(other, language) for other in self._similar(film)], 1)
        if name == "account_states":
            return {key: value for key, value in self._states(film, self._rater(request)).items() if key != "id"}
        empty = {
            "alternative_titles": "titles",
            "keywords": "keywords",
            "release_dates": "results",
            "videos": "results",
        }
        if name in empty:
            return {empty[name]: []}
        if name == "credits":
            return {"cast": [], "crew": []}
        if name == "images":
            return {"backdrops": [], "logos": [], "posters": []}
        return None

    def translations(self, request, film_id):
        """TMDb: GET /movie/{movie_id}/translations."""
        film = self._film(film_id)
        return Response.json({"id": film.id, "translations": _translations(film)})

    def external_ids(self, request, film_id):
        """TMDb: GET /movie/{movie_id}/external_ids."""
        return Response.json(_external_ids(self._film(film_id)))

    def account_states(self, request, film_id):
        """TMDb: GET /movie/{movie_id}/account_states."""
        return Response.json(self._states(self._film(film_id), self._rater(request)))

    def _states(self, film, account):
        value = account.ratings.get(film.id)
        rated = False if value is None else {"value": value}
        return {"id": film.id, "favorite": False, "rated": rated, "watchlist": False}

    def rate(self, request, film_id):
        """TMDb: POST /movie/{movie_id}/rating."""
        account, film = self._rater(request), self._film(film_id)
        value = _json_body(request).get("value")
        if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value):
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return error(5)
        if value > 10:
            return error(18, message="Value too high: Value must be less than, or equal to 10.0.")
        if value <= 0:
            return error(18, message="Value too low: Value must be greater than 0.0.")
        if value * 2 != int(value * 2):
            return error(18, message="Value invalid: Values must be a multiple of 0.50.")
        with self._lock:
            code = 12 if film.id in account.ratings else 1
            account.rate(film.id, float(value))
        return Response.json({"success": True, "status_code": code, "status_message": STATUS[code][1]}, 201)

    def unrate(self, request, film_id):
        """TMDb: DELETE /movie/{movie_id}/rating. A film that is gone can still be unrated."""
        account = self._rater(request)
        if int(film_id) not in self.films:
            return error(34)
        with self._lock:
            account.unrate(int(film_id))
        return Response.json({"success": True, "status_code": 13, "status_message": STATUS[13][1]})

    def recommendations(self, request, film_id):
        """TMDb: GET /movie/{movie_id}/recommendations."""
        language = request.query.get("language") or "en-US"
        rows = [{**self._row(film, language), "media_type": "movie"} for film in self._similar(self._film(film_id))]
        return Response.json(self._list(rows, _page(request)))

    def _similar(self, film) -> list[Film]:
        """The nearest forty: the same series first, then shared genres, then the language and the fame."""
        mine = set(film.genre_ids)

        def nearness(other):
            shared = len(mine.intersection(other.genre_ids))
            series = bool(film.series) and film.series == other.series
            alike = shared / (len(mine.union(other.genre_ids)) or 1)
            same_language = film.original_language == other.original_language
            return (series, round(alike + 0.15 * same_language, 4), other.vote_count, other.id)

        others = [other for other in list(self.films.values()) if other is not film and not other.gone]
        near = [other for other in others if mine.intersection(other.genre_ids) or _same_series(film, other)]
        return sorted(near, key=nearness, reverse=True)[:40]

    def search(self, request):
        """TMDb: GET /search/movie."""
        query = request.query.get("query", "").strip()
        if not query:
            return error(5, errors=["query must be provided"])
        page, language = _page(request), request.query.get("language") or "en-US"
        words = fold(query).split()
        years = {request.query.get(name, "") for name in ("year", "primary_release_year")} - {""}
        found = []
        for film in list(self.films.values()):
            if film.gone or (years and film.year not in years):
                continue
            exact = _matches(film, words)
            if exact is not None:
                found.append((not exact, -film.vote_count, film.id, film))
        rows = [self._row(film, language) for *_, film in sorted(found, key=lambda one: one[:3])]
        return Response.json(self._list(rows, page))

    def find(self, request, external_id):
        """TMDb: GET /find/{external_id}."""
        source = request.query.get("external_source")
        if not source:
            return error(5)
        language = request.query.get("language") or "en-US"
        rows = [
            {**self._row(film, language), "media_type": "movie"}
            for film in list(self.films.values())
            if source == "imdb_id" and film.imdb_id == external_id and not film.gone
        ]
        others = ("person_results", "tv_results", "tv_episode_results", "tv_season_results")
        return Response.json({"movie_results": rows, **{name: [] for name in others}})

    def genres(self, request):
        """TMDb: GET /genre/movie/list."""
        return Response.json({"genres": _genres(GENRES, request.query.get("language") or "en")})

    def changed_movies(self, request):
        """TMDb: GET /movie/changes."""
        since, until = self._range(request)
        page = _page(request)
        changed = [
            {"id": film.id, "adult": False, "softcore": False}
            for film in list(self.films.values())
            if any(since <= _day(at) <= until for at, _ in film.changes)
        ]
        return Response.json(self._list(changed, page, CHANGES_PAGE_SIZE))

    def changes(self, request, film_id):
        """TMDb: GET /movie/{movie_id}/changes."""
        since, until = self._range(request)
        film = self.films.get(int(film_id))
        if film is None:
            return error(34)
        items: dict[str, list] = {}
        for number, (at, what) in enumerate(film.changes):
            if since <= _day(at) <= until:
                for name, value in what.items():
                    key, language = _change_key(name)
                    identity = sha256(f"{film.id} {number} {name}".encode()).hexdigest()[:24]
                    item = {"id": identity, "action": "updated", "time": _moment(at), "iso_639_1": language}
                    item |= {"iso_3166_1": language and LANGUAGES[language][2], "value": value}
                    items.setdefault(key, []).append(item)
        return Response.json({"changes": [{"key": key, "items": rows} for key, rows in items.items()]})

    def _range(self, request) -> tuple[date, date]:
        """The days asked for: the last two when not said, fourteen at most."""
        try:
            until = date.fromisoformat(request.query.get("end_date") or _day(self.clock()).isoformat())
            since = date.fromisoformat(request.query.get("start_date") or (until - timedelta(days=1)).isoformat())
        except ValueError:
            raise Refused(error(23)) from None
        if not timedelta(0) <= until - since <= LONGEST_RANGE:
            raise Refused(error(20))
        return since, until

    # Shapes

    @staticmethod
    def _list(rows, page, size=PAGE_SIZE):
        total = -(-len(rows) // size)
        shown = rows[(page - 1) * size : page * size]
        return {"page": page, "results": shown, "total_pages": total, "total_results": len(rows)}

    def _row_json(self, film, language) -> str:
        key = ("row", language)
        if film.extra:
            return json.dumps(self._row(film, language), ensure_ascii=False)
        if key not in film.answers:
            film.answers[key] = json.dumps(self._row(film, language), ensure_ascii=False)
        return film.answers.get(key) or json.dumps(self._row(film, language), ensure_ascii=False)

    def _details_json(self, film, language) -> str:
        key = ("details", language)
        if film.extra:
            return json.dumps(self._details(film, language), ensure_ascii=False)
        if key not in film.answers:
            film.answers[key] = json.dumps(self._details(film, language), ensure_ascii=False)
        return film.answers.get(key) or json.dumps(self._details(film, language), ensure_ascii=False)

    @staticmethod
    def _row(film, language):
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

    def _details(self, film, language):
        """A film as its own page shows it."""
        english, own, country, country_name = LANGUAGES.get(film.original_language, LANGUAGES["en"])
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
            "genres": _genres(film.genre_ids, language),
            "homepage": "",
            "id": film.id,
            "imdb_id": film.imdb_id,
            "origin_country": [country],
            "original_language": film.original_language,
            "original_title": film.original_title,
            "overview": film.overview(language),
            "popularity": film.popularity,
            "poster_path": film.poster_path,
            "production_companies": [],
            "production_countries": [{"iso_3166_1": country, "name": country_name}],
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

    # Images

    def image(self, path) -> Response:
        """TMDb's image server: /t/p/{size}{poster_path}."""
        match = re.fullmatch(r"/t/p/(\w+)(/.+)", path)
        size, address = match.groups() if match else ("", "")
        if address in self.images:
            content, kind = self.images[address]
            return Response(200, content, {"Content-Type": kind, "Cache-Control": "public, max-age=31536000"})
        film = self._film_with_poster(address) if size in POSTER_SIZES else None
        if film is None:
            return Response.html("<h1>404 Not Found</h1>The resource could not be found.", 404)
        content = posters.plain() if film.plain_poster else posters.draw(film, size)
        return Response(200, content, {"Content-Type": "image/jpeg", "Cache-Control": "public, max-age=31536000"})

    def _film_with_poster(self, address) -> Film | None:
        film = self._posters.get(address)
        if film is None or film.poster_path != address or self.films.get(film.id) is not film:
            self._posters = {one.poster_path: one for one in list(self.films.values()) if one.poster_path}
            film = self._posters.get(address)
        return film

    # The site: what the person sees

    def film_page(self, request) -> Response:
        """The page of a film on the site, as far as a link to it needs."""
        number = re.match(r"/movie/(\d+)", request.path)
        film = self.films.get(int(number[1])) if number else None
        words = WORDS[_tongue(request)]
        if film is None or film.gone:
            return _page_html(words["no film"], f"<p>{words['no film']}</p>", words, status=404)
        language = _tongue(request)
        poster = f'<img src="/t/p/w342{film.poster_path}" width="171" alt="">' if film.poster_path else ""
        title = html.escape(film.title(language))
        head = f"<h1>{title} <small>{html.escape(film.year)}</small></h1>"
        overview = html.escape(film.overview(language) or film.overview("en"))
        return _page_html(title, f"{poster}{head}<p>{html.escape(film.original_title)}</p><p>{overview}</p>", words)

    def approval_page(self, request) -> Response:
        """TMDb: /authenticate/{request_token}, where the person allows or denies; then on to redirect_to."""
        parts = request.path.strip("/").split("/")
        words = WORDS[_tongue(request)]
        token = self._live_token(parts[1]) if len(parts) in (2, 3) else None
        if token is None:
            return _page_html(words["stale"], f"<h1>{words['stale']}</h1><p>{words['again']}</p>", words, 404)
        form = request.fields()[0] if request.method == "POST" else {}
        verdict = parts[2] if len(parts) == 3 else form.get("answer", "")
        onward = request.query.get("redirect_to", "")
        if verdict == "allow":
            name = form.get("account") or request.query.get("account") or "demo"
            if name not in self.accounts:
                return _page_html(words["stale"], f"<h1>{words['no account']}</h1>", words, 400)
            self.approve(token.token, name)
            return self._onward(onward, token.token, "approved", words)
        if verdict == "deny":
            self.deny(token.token)
            return self._onward(onward, token.token, "denied", words)
        if token.account is not None:
            return self._onward("", token.token, "approved", words)
        return self._question(token, onward, words)

    def _question(self, token, onward, words):
        choices = "".join(
            f'<label><input type="radio" name="account" value="{html.escape(account.username)}"'
            f"{' checked' if account.username == 'demo' else ''}> <b>{html.escape(account.username)}</b>"
            f" <small>{words['ratings']}: {len(account.ratings)}</small></label>"
            for account in list(self.accounts.values())
        )
        action = f"/authenticate/{token.token}" + (f"?redirect_to={quote(onward, safe='')}" if onward else "")
        form = (
            f'<h1>{words["question"]}</h1><p>{words["explain"]}</p><form method="post" action="{html.escape(action)}">'
            f"<fieldset><legend>{words['account']}</legend>{choices}</fieldset>"
            f'<button name="answer" value="allow">{words["allow"]}</button> '
            f'<button name="answer" value="deny" class="quiet">{words["deny"]}</button></form>'
        )
        return _page_html(words["question"], form, words, onward=onward)

    def _onward(self, onward, token, what, words):
        parts = urlsplit(onward)
        if parts.scheme in ("http", "https", "tg"):
            query = urlencode([*parse_qsl(parts.query), ("request_token", token), (what, "true")])
            return Response(
                302, b"", {"Location": urlunsplit(parts._replace(query=query)), "Cache-Control": "no-store"}
            )
        return _page_html(words[what], f"<h1>{words[what]}</h1><p>{words['go back']}</p>", words)


WORDS = {
    "ru": {
        "lang": "ru",
        "site": "TMDb · понарошку",
        "question": "Разрешить Кинотеке видеть и ставить ваши оценки?",
        "explain": "Это страница песочницы: настоящий TMDb о ней не знает. Выберите, чьими глазами смотреть.",
        "account": "Учётная запись",
        "ratings": "оценок",
        "allow": "Разрешить",
        "deny": "Отказать",
        "approved": "Разрешение дано",
        "denied": "Вы отказали",
        "go back": "Вернитесь в чат: там всё продолжится.",
        "stale": "Эта ссылка больше не действует",
        "again": "Она живёт час и срабатывает один раз. Попросите в чате новую.",
        "no account": "Такой учётной записи нет",
        "no film": "Такого фильма нет",
    },
    "en": {
        "lang": "en",
        "site": "TMDb · make-believe",
        "question": "May Kinoteka see and set your ratings?",
        "explain": "This is a page of the sandbox: the real TMDb knows nothing of it. Choose whose eyes to look with.",
        "account": "Account",
        "ratings": "ratings",
        "allow": "Approve",
        "deny": "Deny",
        "approved": "Approved",
        "denied": "Denied",
        "go back": "Go back to the chat: it goes on there.",
        "stale": "This link is no longer good",
        "again": "It lives an hour and works once. Ask for a new one in the chat.",
        "no account": "There is no such account",
        "no film": "There is no such film",
    },
}

STYLE = (
    "body{font:17px/1.5 system-ui,sans-serif;margin:0;background:#0d253f;color:#eaf2f8}"
    "header{padding:1rem 1.5rem;color:#90cea1;font-weight:700;letter-spacing:.04em}"
    "main{max-width:34rem;margin:2rem auto;padding:1.5rem 2rem 2rem;background:#12304f;border-radius:14px}"
    "h1{font-size:1.5rem;line-height:1.25;margin:.3rem 0 1rem}small{color:#9fb6c9;font-weight:400}"
    "fieldset{border:1px solid #2b5175;border-radius:10px;margin:1.2rem 0;padding:.6rem 1rem}"
    "label{display:block;padding:.35rem 0;cursor:pointer}img{float:left;border-radius:8px;margin:0 1.2rem .6rem 0}"
    "button{font:inherit;font-weight:700;padding:.65rem 1.5rem;border:0;border-radius:999px;cursor:pointer;"
    "background:#01b4e4;color:#04121f}button.quiet{background:none;color:#eaf2f8;border:1px solid #48708f}"
    "main::after{content:'';display:block;clear:both}"
)
STYLE_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()


def _page_html(title, content, words, status=200, onward="") -> Response:
    """A page of the site. No scripts; forms go to ourselves, and from there only to where we were asked to lead."""
    parts = urlsplit(onward)
    target = ""
    if parts.scheme in ("http", "https") and re.fullmatch(r"[\w.:\[\]-]+", parts.netloc):
        target = f" {parts.scheme}://{parts.netloc}"
    elif parts.scheme == "tg":
        target = " tg:"
    policy = (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; img-src 'self'; "
        f"form-action 'self'{target}; base-uri 'none'; frame-ancestors 'none'"
    )
    page = (
        f'<!doctype html><html lang="{words["lang"]}"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title} — {words["site"]}</title>'
        f"<style>{STYLE}</style><header>{words['site']}</header><main>{content}</main></html>"
    )
    response = Response.html(page, status)
    response.headers |= {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return response


def _tongue(request) -> str:
    return "en" if request.headers.get("accept-language", "ru").startswith("en") else "ru"


def _raw_json(text) -> Response:
    return Response(200, text.encode(), {"Content-Type": "application/json;charset=utf-8"})


def _json_body(request) -> dict:
    try:
        body = json.loads(request.body or b"{}")
    except ValueError:
        raise Refused(error(5)) from None
    return body if isinstance(body, dict) else {}


def _page(request) -> int:
    text = request.query.get("page") or "1"
    if not re.fullmatch(r"\d{1,9}", text) or not 1 <= int(text) <= LAST_PAGE:
        raise Refused(error(22))
    return int(text)


def _genres(ids, language) -> list[dict]:
    name = 0 if language.startswith("ru") else 1
    return [{"id": one, "name": GENRES[one][name]} for one in ids if one in GENRES]


def _moment(at) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _day(at) -> date:
    return datetime.fromtimestamp(at, UTC).date()


def _same_series(film, other) -> bool:
    return bool(film.series) and film.series == other.series


def _external_ids(film) -> dict:
    empty = dict.fromkeys(("wikidata_id", "facebook_id", "instagram_id", "twitter_id"))
    return {"id": film.id, "imdb_id": film.imdb_id, **empty}


def _translations(film) -> list[dict]:
    """The languages we hold; a title that is the original one is left empty, as TMDb does."""
    rows = []
    for language in ("en", "ru"):
        title = {"ru": film.title_ru, "en": film.title_en}[language]
        overview, tagline = film.overview(language), film.tagline(language)
        if title or overview:
            english, own, country, _ = LANGUAGES[language]
            data = {"homepage": "", "overview": overview, "runtime": film.runtime or 0, "tagline": tagline}
            data["title"] = "" if language == film.original_language else title
            row = {"iso_3166_1": country, "iso_639_1": language, "name": own, "english_name": english}
            rows.append({**row, "data": data})
    return rows


def _change_key(name) -> tuple[str, str]:
    """A field of Film in the words of /changes: (key, language)."""
    base, _, language = name.rpartition("_")
    if base in ("title", "overview", "tagline"):
        return base, language
    return {"poster_path": "images", "release_date": "release_dates", "genre_ids": "genres"}.get(name, name), ""


def _matches(film, words) -> bool | None:
    """None if the words are not in any title; else whether they are a whole title."""
    if "folded" not in film.answers:
        titles = {film.title_ru, film.title_en, film.original_title} - {""}
        film.answers["folded"] = [fold(title) for title in titles]
    titles = film.answers.get("folded", [])
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


ROUTES: list[tuple[str, re.Pattern[str], Callable[..., Response]]] = [
    (method, re.compile("/3" + path), answer)
    for method, path, answer in [
        ("GET", r"/movie/(\d{1,18})", TMDb.movie),
        ("GET", r"/account/([^/]+)/rated/movies", TMDb.rated_movies),
        ("GET", r"/search/movie", TMDb.search),
        ("GET", r"/configuration", TMDb.configuration),
        ("GET", r"/authentication", TMDb.validate_key),
        ("GET", r"/authentication/token/new", TMDb.new_token),
        ("POST", r"/authentication/session/new", TMDb.new_session),
        ("GET", r"/authentication/session/new", TMDb.new_session),
        ("DELETE", r"/authentication/session", TMDb.end_session),
        ("GET", r"/authentication/guest_session/new", TMDb.new_guest),
        ("GET", r"/guest_session/([^/]+)/rated/movies", TMDb.guest_rated_movies),
        ("GET", r"/account", TMDb.account_details),
        ("GET", r"/account/([^/]+)", TMDb.account_details),
        ("POST", r"/movie/(\d{1,18})/rating", TMDb.rate),
        ("DELETE", r"/movie/(\d{1,18})/rating", TMDb.unrate),
        ("GET", r"/movie/(\d{1,18})/account_states", TMDb.account_states),
        ("GET", r"/movie/(\d{1,18})/recommendations", TMDb.recommendations),
        ("GET", r"/movie/(\d{1,18})/translations", TMDb.translations),
        ("GET", r"/movie/(\d{1,18})/external_ids", TMDb.external_ids),
        ("GET", r"/movie/(\d{1,18})/changes", TMDb.changes),
        ("GET", r"/movie/changes", TMDb.changed_movies),
        ("GET", r"/find/([^/]+)", TMDb.find),
        ("GET", r"/genre/movie/list", TMDb.genres),
    ]
]
