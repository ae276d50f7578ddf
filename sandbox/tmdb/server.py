"""A stand-in for TMDb on localhost: its API (v3), its approval page and its image server.

Paths, shapes, codes and habits follow TMDb's published API description and its real answers. What a test or
a demonstration needs to steer or to look into is plain Python on the TMDb object.
"""

import json
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from hashlib import sha256
from itertools import islice

from sandbox.http_server import Fault, Faults, Request, Response
from sandbox.tmdb import approval_page, catalogue, poster_art
from sandbox.tmdb.catalogue import FIELDS, GENRES, Film, poster_path
from sandbox.tmdb.responses import (
    CODE_OF,
    LANGUAGES,
    PAGE_SIZE,
    STATUS,
    Refused,
    change_key,
    day,
    details_json,
    error,
    external_ids,
    fold,
    json_body,
    listing,
    matches,
    moment,
    named_genres,
    page_of,
    raw_json,
    row,
    row_json,
    same_series,
    translations,
)

KEY = "5a0db0c5000000000000000000007a57"  # a v3 key: 32 hexadecimal digits
# a v4 read access token, good for nothing but this stand-in
READ_TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiJzYW5kYm94Iiwic2NvcGVzIjpbImFwaV9yZWFkIl19.c2FuZGJveC1vbmx5"  # noqa: S105

CHANGES_PAGE_SIZE = 100
TOKEN_LIFETIME = 60 * 60
LONGEST_RANGE = timedelta(days=14)
POSTER_SIZES = ["w92", "w154", "w185", "w342", "w500", "w780", "original"]


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
        body = {"success": True, "expires_at": moment(made.expires_at), "request_token": made.token}
        callback = f"{self.url}/authenticate/{made.token}"
        return Response.json(body, **{"Authentication-Callback": callback})

    def new_session(self, request):
        """TMDb: POST /authentication/session/new (GET works too, undocumented)."""
        text = json_body(request).get("request_token") or request.query.get("request_token")
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
        session_id = json_body(request).get("session_id") or request.query.get("session_id")
        if not session_id:
            return error(5)
        with self._lock:
            ended = self.sessions.pop(str(session_id), None)
        return Response.json({"success": True}) if ended else error(37)

    def new_guest(self, request):
        """TMDb: GET /authentication/guest_session/new."""
        guest = secrets.token_hex(16)
        self.guests[guest] = Account(0, f"guest {guest[:6]}")
        expires = moment(self.clock() + 86_400)
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
        page, language = page_of(request), request.query.get("language") or "en-US"
        items = account.ratings.items()
        in_order = reversed(items) if request.query.get("sort_by") == "created_at.desc" else items
        rows = []
        for film_id, value in list(islice(in_order, (page - 1) * PAGE_SIZE, page * PAGE_SIZE)):
            film = self.films.get(film_id)
            if film is not None and not film.hidden:
                rows.append(f'{row_json(film, language)[:-1]}, "rating": {json.dumps(value)}}}')
        total = len(items)
        head = f'{{"page": {page}, "results": ['
        tail = f'], "total_pages": {-(-total // PAGE_SIZE)}, "total_results": {total}}}'
        return raw_json(head + ", ".join(rows) + tail)

    # Films

    def movie(self, request, film_id):
        """TMDb: GET /movie/{movie_id}."""
        film = self._film(film_id)
        language = request.query.get("language") or "en-US"
        wanted = [name for name in request.query.get("append_to_response", "").split(",") if name]
        if len(wanted) > 20:
            return error(27)
        if not wanted:
            return raw_json(details_json(film, language))
        body = json.loads(details_json(film, language))
        for name in wanted:
            part = self._appended(name, film, request, language)
            if part is not None:
                body[name] = part
        return Response.json(body)

    def _appended(self, name, film, request, language):
        if name == "translations":
            return {"translations": translations(film)}
        if name == "external_ids":
            return {key: value for key, value in external_ids(film).items() if key != "id"}
        if name == "recommendations":
            return listing([row(other, language) for other in self._similar(film)], 1)
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
        return Response.json({"id": film.id, "translations": translations(film)})

    def external_ids(self, request, film_id):
        """TMDb: GET /movie/{movie_id}/external_ids."""
        return Response.json(external_ids(self._film(film_id)))

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
        rows = [{**row(film, language), "media_type": "movie"} for film in self._similar(self._film(film_id))]
        return Response.json(listing(rows, page_of(request)))

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
        near = [other for other in others if mine.intersection(other.genre_ids) or same_series(film, other)]
        return sorted(near, key=nearness, reverse=True)[:40]

    def search(self, request):
        """TMDb: GET /search/movie."""
        query = request.query.get("query", "").strip()
        if not query:
            return error(5, errors=["query must be provided"])
        page, language = page_of(request), request.query.get("language") or "en-US"
        words = fold(query).split()
        years = {request.query.get(name, "") for name in ("year", "primary_release_year")} - {""}
        found = []
        for film in list(self.films.values()):
            if film.gone or (years and film.year not in years):
                continue
            exact = matches(film, words)
            if exact is not None:
                found.append((not exact, -film.vote_count, film.id, film))
        rows = [row(film, language) for *_, film in sorted(found, key=lambda one: one[:3])]
        return Response.json(listing(rows, page))

    def discover(self, request):
        """TMDb: GET /discover/movie, in the orders that numbers give."""
        key, _dot, direction = request.query.get("sort_by", "popularity.desc").partition(".")
        language = request.query.get("language") or "en-US"
        rows = [row(film, language) for film in list(self.films.values()) if not film.gone]
        if key in ("popularity", "vote_average", "vote_count"):
            rows.sort(key=lambda one: (one[key], one["id"]), reverse=direction == "desc")
        return Response.json(listing(rows, page_of(request)))

    def find(self, request, external_id):
        """TMDb: GET /find/{external_id}."""
        source = request.query.get("external_source")
        if not source:
            return error(5)
        language = request.query.get("language") or "en-US"
        rows = [
            {**row(film, language), "media_type": "movie"}
            for film in list(self.films.values())
            if source == "imdb_id" and film.imdb_id == external_id and not film.gone
        ]
        others = ("person_results", "tv_results", "tv_episode_results", "tv_season_results")
        return Response.json({"movie_results": rows, **{name: [] for name in others}})

    def genres(self, request):
        """TMDb: GET /genre/movie/list."""
        return Response.json({"genres": named_genres(GENRES, request.query.get("language") or "en")})

    def changed_movies(self, request):
        """TMDb: GET /movie/changes."""
        since, until = self._range(request)
        page = page_of(request)
        changed = [
            {"id": film.id, "adult": False, "softcore": False}
            for film in list(self.films.values())
            if any(since <= day(at) <= until for at, _ in film.changes)
        ]
        return Response.json(listing(changed, page, CHANGES_PAGE_SIZE))

    def changes(self, request, film_id):
        """TMDb: GET /movie/{movie_id}/changes."""
        since, until = self._range(request)
        film = self.films.get(int(film_id))
        if film is None:
            return error(34)
        items: dict[str, list] = {}
        for number, (at, what) in enumerate(film.changes):
            if since <= day(at) <= until:
                for name, value in what.items():
                    key, language = change_key(name)
                    identity = sha256(f"{film.id} {number} {name}".encode()).hexdigest()[:24]
                    item = {"id": identity, "action": "updated", "time": moment(at), "iso_639_1": language}
                    item |= {"iso_3166_1": language and LANGUAGES[language][2], "value": value}
                    items.setdefault(key, []).append(item)
        return Response.json({"changes": [{"key": key, "items": rows} for key, rows in items.items()]})

    def _range(self, request) -> tuple[date, date]:
        """The days asked for: the last two when not said, fourteen at most."""
        try:
            until = date.fromisoformat(request.query.get("end_date") or day(self.clock()).isoformat())
            since = date.fromisoformat(request.query.get("start_date") or (until - timedelta(days=1)).isoformat())
        except (ValueError, OverflowError):
            raise Refused(error(23)) from None
        if not timedelta(0) <= until - since <= LONGEST_RANGE:
            raise Refused(error(20))
        return since, until

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
        content = poster_art.plain() if film.plain_poster else poster_art.draw(film, size)
        return Response(200, content, {"Content-Type": "image/jpeg", "Cache-Control": "public, max-age=31536000"})

    def _film_with_poster(self, address) -> Film | None:
        film = self._posters.get(address)
        if film is None or film.poster_path != address or self.films.get(film.id) is not film:
            self._posters = {one.poster_path: one for one in list(self.films.values()) if one.poster_path}
            film = self._posters.get(address)
        return film

    # The site: what the person sees

    def film_page(self, request) -> Response:
        """TMDb: /movie/{movie_id}, the address that people copy."""
        number = re.match(r"/movie/(\d{1,18})", request.path)
        film = self.films.get(int(number[1])) if number else None
        return approval_page.film(None if film is None or film.gone else film, request)

    def approval_page(self, request) -> Response:
        """TMDb: /authenticate/{request_token}, where the person allows or denies; then on to redirect_to."""
        parts = request.path.strip("/").split("/")
        token = self._live_token(parts[1]) if len(parts) in (2, 3) else None
        if token is None:
            return approval_page.stale(request)
        form = request.fields()[0] if request.method == "POST" else {}
        verdict = parts[2] if len(parts) == 3 else form.get("answer", "")
        onward = request.query.get("redirect_to", "")
        if verdict == "allow":
            name = form.get("account") or request.query.get("account") or "demo"
            if name not in self.accounts:
                return approval_page.no_account(request)
            self.approve(token.token, name)
            return approval_page.answered(token.token, "approved", onward, request)
        if verdict == "deny":
            self.deny(token.token)
            return approval_page.answered(token.token, "denied", onward, request)
        if token.account is not None:
            return approval_page.answered(token.token, "approved", "", request)
        return approval_page.question(token.token, list(self.accounts.values()), onward, request)


ANSWERS: list[tuple[str, str, Callable[..., Response]]] = [
    ("GET", r"/movie/(\d{1,18})", TMDb.movie),
    ("GET", r"/account/([^/]+)/rated/movies", TMDb.rated_movies),
    ("GET", r"/search/movie", TMDb.search),
    ("GET", r"/discover/movie", TMDb.discover),
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
ROUTES = [(method, re.compile("/3" + path), answer) for method, path, answer in ANSWERS]
