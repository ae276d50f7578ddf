"""TMDb's API, "Authentication" and "Account": request tokens, sessions, and what belongs to an account."""

import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from sandbox.http_server import Request, Response
from sandbox.tmdb.responses import STATUS, Refused, error, json_body, moment
from sandbox.tmdb.state import Account, RequestToken, State

TOKEN_LIFETIME_SECONDS = 60 * 60


def validate_key(tmdb: State, request: Request) -> Response:
    """TMDb: GET /authentication."""
    return Response.json({"success": True})


def new_token(tmdb: State, request: Request) -> Response:
    """TMDb: GET /authentication/token/new."""
    made = RequestToken(secrets.token_hex(20), tmdb.clock() + TOKEN_LIFETIME_SECONDS)
    tmdb.tokens[made.token] = made
    body = {"success": True, "expires_at": moment(made.expires_at), "request_token": made.token}
    response = Response.json(body)
    response.headers["Authentication-Callback"] = f"{tmdb.url}/authenticate/{made.token}"
    return response


def new_session(tmdb: State, request: Request) -> Response:
    """TMDb: POST /authentication/session/new (GET works too, undocumented)."""
    text = json_body(request).get("request_token") or request.query.get("request_token")
    if not text:
        return error(5)
    with tmdb.lock:
        token = tmdb.live_token(str(text))
        if token is None:
            return error(33)
        if token.account is None:
            status, code = tmdb.not_approved
            more: dict[str, Any] = {"failure": True} if code == 17 else {}
            return error(code, status, **more)
        token.used = True
    return Response.json({"success": True, "session_id": tmdb.session_for(token.account)})


def end_session(tmdb: State, request: Request) -> Response:
    """TMDb: DELETE /authentication/session."""
    session_id = json_body(request).get("session_id") or request.query.get("session_id")
    if not session_id:
        return error(5)
    with tmdb.lock:
        ended = tmdb.sessions.pop(str(session_id), None)
    return Response.json({"success": True}) if ended else error(37)


def account_details(tmdb: State, request: Request, account_id: str | None = None) -> Response:
    """TMDb: GET /account and /account/{account_id}."""
    account = own_account(tmdb, request, account_id)
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


def own_account(tmdb: State, request: Request, account_id: str | None) -> Account:
    """The account of the request's session; another's id in the path is refused."""
    account = tmdb.account_of(request)
    if account_id in {str(other.id) for other in tmdb.accounts.values() if other is not account}:
        raise Refused(error(3))
    return account


def rated_movies(tmdb: State, request: Request, account_id: str) -> Response:
    """TMDb: GET /account/{account_id}/rated/movies."""
    return tmdb._rated_page(own_account(tmdb, request, account_id), request)


def watchlist_movies(tmdb: State, request: Request, account_id: str) -> Response:
    """TMDb: GET /account/{account_id}/watchlist/movies."""
    return tmdb._watchlist_page(own_account(tmdb, request, account_id), request)


def change_watchlist(tmdb: State, request: Request, account_id: str) -> Response:
    """TMDb: POST /account/{account_id}/watchlist."""
    account, body = own_account(tmdb, request, account_id), json_body(request)
    film_id, wanted = body.get("media_id"), body.get("watchlist")
    if body.get("media_type") not in ("movie", "tv") or not isinstance(wanted, bool):
        return error(5)
    if isinstance(film_id, bool) or not isinstance(film_id, int | str) or not str(film_id).isdigit():
        return error(5)
    film = tmdb.film(film_id)
    with tmdb.lock:
        code = 13 if not wanted else 12 if film.id in account.watchlist else 1
        if wanted:
            account.want(film.id)
        else:
            account.unwant(film.id)
    answer = {"success": True, "status_code": code, "status_message": STATUS[code][1]}
    return Response.json(answer, 201 if wanted else 200)


ROUTES: list[tuple[str, str, Callable[..., Response]]] = [
    ("GET", r"/account/([^/]+)/rated/movies", rated_movies),
    ("GET", r"/account/([^/]+)/watchlist/movies", watchlist_movies),
    ("POST", r"/account/([^/]+)/watchlist", change_watchlist),
    ("GET", r"/authentication", validate_key),
    ("GET", r"/authentication/token/new", new_token),
    ("POST", r"/authentication/session/new", new_session),
    ("GET", r"/authentication/session/new", new_session),
    ("DELETE", r"/authentication/session", end_session),
    ("GET", r"/account", account_details),
    ("GET", r"/account/([^/]+)", account_details),
]
