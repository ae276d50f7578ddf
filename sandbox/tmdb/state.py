"""What the fake TMDb knows: films, accounts, sessions; and what tests and demonstrations set up or break."""

import json
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sandbox.http_server import Fault, Faults, Request, Response
from sandbox.tmdb import catalogue
from sandbox.tmdb.catalogue import FIELDS, GENRES, Film, poster_path
from sandbox.tmdb.request_log import RequestLog
from sandbox.tmdb.responses import CODE_OF, PAGE_SIZE, STATUS, Refused, error, page_of, raw_json, row_json

KEY = "5a0db0c5000000000000000000007a57"  # a v3 key: 32 hexadecimal digits
# a v4 read access token, good for nothing but this fake
READ_TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiJzYW5kYm94Iiwic2NvcGVzIjpbImFwaV9yZWFkIl19.c2FuZGJveC1vbmx5"  # noqa: S105


@dataclass
class Account:
    """A person's account at TMDb. `ratings` and `watchlist` are in the order of created_at: the newest last."""

    id: int
    username: str
    name: str = ""
    ratings: dict[int, float] = field(default_factory=dict)
    rated_at: dict[int, float] = field(default_factory=dict)
    repeats: dict[int, int] = field(default_factory=dict)  # {page: how often it begins with the row before it}
    watchlist: dict[int, float] = field(default_factory=dict)  # {film: UNIX seconds when it was added}
    watchlist_repeats: dict[int, int] = field(default_factory=dict)  # as `repeats`

    def rate(self, film_id: int, value: float, at: float | None = None) -> None:
        """Rate a film, which takes it off the watchlist; another value for the same film does not move it.

        Any value goes: TMDb's data is odd.
        """
        self.watchlist.pop(film_id, None)
        new = film_id not in self.ratings
        if new:
            self.rated_at[film_id] = time.time() if at is None else at
        self.ratings[film_id] = value
        if new and at is not None:
            self.ratings = dict(sorted(self.ratings.items(), key=lambda item: self.rated_at[item[0]]))

    def unrate(self, film_id: int) -> None:
        self.ratings.pop(film_id, None)
        self.rated_at.pop(film_id, None)

    def want(self, *film_ids: int) -> None:
        """Put films on the watchlist; one that is there stays where it is."""
        for film_id in film_ids:
            self.watchlist.setdefault(film_id, time.time())

    def unwant(self, *film_ids: int) -> None:
        for film_id in film_ids:
            self.watchlist.pop(film_id, None)


@dataclass
class RequestToken:
    """A request token: lives an hour, is approved or denied once, buys one session."""

    token: str
    expires_at: float
    account: Account | None = None
    denied: bool = False
    used: bool = False


class State(RequestLog):
    """Films, accounts, sessions and faults. A test changes them directly or by the methods here.

    `url` is where the fake is served, for the addresses it gives out. Pauses: `latency` seconds before an API answer,
    `image_latency` before an image. `limit` requests a second (None: no limit) answer 429 beyond, as do more than
    `connections` at a time. `not_approved` is what a session for an unapproved token gets: (401, 17) or (422, 41).
    """

    def __init__(self, faults: Faults | None = None, url: str = "") -> None:
        super().__init__()
        self.faults = faults if faults is not None else Faults()
        self.url = url
        self.clock = time.time
        self.latency = 0.0
        self.image_latency = 0.0
        self.limit: int | None = None
        self.connections = 20
        self.not_approved = (401, 17)
        self.keys = {KEY, READ_TOKEN}
        self.films: dict[int, Film] = catalogue.films()
        self.series: dict[str, dict[str, Any]] = {}  # rows of television series by IMDb id
        self.images: dict[str, tuple[bytes, str]] = {}  # by address: (content, media type)
        self.accounts: dict[str, Account] = {}
        self.sessions: dict[str, Account] = {}
        self.tokens: dict[str, RequestToken] = {}
        self._posters: dict[str, Film] = {}
        self.add_accounts()

    def add_accounts(self) -> None:
        """The account "demo", which has rated films, and one that has rated none."""
        demo = self.add_account("demo", name="Демо")
        started = datetime(2024, 1, 1, 19, tzinfo=UTC).timestamp()
        for number, (film_id, value) in enumerate(catalogue.demo_ratings()):
            demo.ratings[film_id] = value
            demo.rated_at[film_id] = started + number * 86_400
        self.add_account("empty", name="Пустая")

    # Films

    def add_film(self, id: int, poster: str | bool | None = True, **what: Any) -> Film:
        """Add or replace a film; `poster` is True, None or a path, the rest are the fields of Film."""
        if "poster_path" not in what:
            what["poster_path"] = poster_path(id) if poster is True else poster
        if not what.get("original_title"):
            what["original_title"] = what.get("title_en") or what.get("title_ru") or f"Film {id}"
        film = self.films[id] = Film(id, **what)
        return film

    def add_series(self, id: int, name: str, first_air_date: str, imdb_id: str, original_name: str = "") -> None:
        """Add a television series, which /find and /search/tv know; its id says nothing about the film with that id."""
        self.series[imdb_id] = {
            "id": id, "name": name, "original_name": original_name or name, "media_type": "tv", "overview": "",
            "first_air_date": first_air_date, "poster_path": None, "genre_ids": [], "popularity": 1.0,
            "vote_average": 0.0, "vote_count": 0, "original_language": "en", "origin_country": ["US"],
            "adult": False, "backdrop_path": None,
        }  # fmt: skip

    def add_recent(self) -> None:
        """Add what a demonstration shows: films since 2017, series, the account "boris" of other tastes, watchlists."""
        recent = catalogue.recent()
        self.films |= catalogue.films(recent["films"])
        for one in recent["series"]:
            self.add_series(one["id"], one["name_ru"], one["first_air_date"], one["imdb_id"], one["name"])
        for username, ratings in recent["ratings"].items():
            account = self.add_account(username)
            began = time.time() - len(ratings) * 86_400
            for number, (film_id, value) in enumerate(ratings):
                account.rate(film_id, value, at=began + number * 86_400)
        for username, film_ids in recent["watchlists"].items():
            self.accounts[username].want(*film_ids)

    def add_films(self, n: int, start: int = 1_000_000) -> list[int]:
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

    def change(self, film_id: int, **what: Any) -> Film:
        """Change a film's fields; `poster` as in add_film."""
        film = self.films[film_id]
        if "poster" in what:
            poster = what.pop("poster")
            what["poster_path"] = poster_path(film_id) if poster is True else poster
        for name, value in what.items():
            if name not in FIELDS:
                raise AttributeError(f"Film has no {name}")
            setattr(film, name, value)
        return film

    def gone(self, film_id: int) -> None:
        """TMDb no longer has this film: 404, though rated pages still carry it."""
        self.films[film_id].gone = True

    def merge(self, film_id: int, successor_id: int) -> None:
        """TMDb holds one film twice no longer: the first id answers with the second's film, lists leave it out."""
        self.films[film_id].merged_into = successor_id

    def hide_from_pages(self, film_id: int) -> None:
        """Pages of accounts leave this film out, while total_results counts it."""
        self.films[film_id].hidden = True

    def film(self, film_id: str | int) -> Film:
        """The film, or the refusal of one that is not there."""
        film = self.films.get(int(film_id))
        if film is None or film.gone:
            raise Refused(error(34))
        return film

    def film_with_poster(self, address: str) -> Film | None:
        film = self._posters.get(address)
        if film is None or film.poster_path != address or self.films.get(film.id) is not film:
            self._posters = {one.poster_path: one for one in list(self.films.values()) if one.poster_path}
            film = self._posters.get(address)
        return film

    # Accounts and sessions

    def add_account(self, username: str, name: str = "") -> Account:
        account = Account(21_000_001 + len(self.accounts), username, name or username)
        self.accounts[username] = account
        return account

    def account(self, username: str) -> Account:
        return self.accounts[username]

    def approve(self, request_token: str, account: Account | str) -> None:
        """What the person does on TMDb's page: allow. `account` is an Account or its username."""
        self.tokens[request_token].account = self.accounts[account] if isinstance(account, str) else account

    def deny(self, request_token: str) -> None:
        """What the person does on TMDb's page: refuse."""
        self.tokens[request_token].denied = True

    def live_token(self, text: str) -> RequestToken | None:
        """The request token, unless it is unknown, denied, used or expired."""
        token = self.tokens.get(text)
        if token is None or token.denied or token.used or token.expires_at <= self.clock():
            return None
        return token

    def session_for(self, account: Account | str) -> str:
        """A session of this account, without the ceremony."""
        session_id = secrets.token_hex(20)
        self.sessions[session_id] = self.accounts[account] if isinstance(account, str) else account
        return session_id

    def account_of(self, request: Request) -> Account:
        """Whose session the request carries."""
        account = self.sessions.get(request.query.get("session_id", ""))
        if account is None:
            raise Refused(error(3))
        return account

    def revoke(self, account: Account) -> None:
        """The person withdrew the permission: every session of the account ends."""
        with self.lock:
            self.sessions = {key: whose for key, whose in self.sessions.items() if whose is not account}

    def repeat_row(self, account: Account, page: int, times: int = 1, watchlist: bool = False) -> None:
        """This page begins, `times` times, with the last row of the page before, and lacks its own first."""
        (account.watchlist_repeats if watchlist else account.repeats)[page] = times

    def _rated_page(self, account: Account, request: Request) -> Response:
        """TMDb: GET /account/{account_id}/rated/movies. A method, so that a test can put its own in place."""
        rated = {film_id: f', "rating": {json.dumps(value)}' for film_id, value in list(account.ratings.items())}
        return self._account_page(rated, account.repeats, request)

    def _watchlist_page(self, account: Account, request: Request) -> Response:
        """TMDb: GET /account/{account_id}/watchlist/movies. A method, for the same reason."""
        return self._account_page(dict.fromkeys(list(account.watchlist), ""), account.watchlist_repeats, request)

    def _account_page(self, items: dict[int, str], repeats: dict[int, int], request: Request) -> Response:
        """A page of an account's list: {film: what its row has besides}, in the order of created_at."""
        page, language = page_of(request), request.query.get("language") or "en-US"
        in_order = list(items.items())
        if request.query.get("sort_by") == "created_at.desc":
            in_order.reverse()
        first = (page - 1) * PAGE_SIZE
        shown = in_order[first : first + PAGE_SIZE]
        if repeats.get(page):
            repeats[page] -= 1
            shown[0] = in_order[first - 1]
        rows = []
        for film_id, more in shown:
            film = self.films.get(film_id)
            if film is not None and not film.hidden:
                rows.append(f"{row_json(film, language)[:-1]}{more}}}")
        total = len(items)
        head = f'{{"page": {page}, "results": ['
        tail = f'], "total_pages": {-(-total // PAGE_SIZE)}, "total_results": {total}}}'
        return raw_json(head + ", ".join(rows) + tail)

    # Faults

    def firewall(
        self, path_pattern: str = "^/3/", status: int = 403, times: int | None = None, method: str | None = None
    ) -> Fault:
        """Something in front of TMDb answers with a page of its own."""
        page = f"<html><head><title>{status}</title></head><body><center><h1>{status}</h1></center></body></html>"
        return self.fail(path_pattern, status, body=page, content_type="text/html", times=times, method=method)

    def fail(
        self,
        path_pattern: str,
        status: int | None = None,
        code: int | None = None,
        times: int | None = 1,
        retry_after: int | None = None,
        delay: float = 0,
        drop: str = "",
        body: Any = None,
        content_type: str | None = None,
        truncate: int | None = None,
        method: str | None = None,
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
