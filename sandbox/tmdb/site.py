"""The pages of the site that a person sees: the approval of a request token, and a film."""

import html
import re
from base64 import b64encode
from hashlib import sha256
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from sandbox.http_server import Request, Response
from sandbox.tmdb.state import State

WORDS = {
    "ru": {
        "lang": "ru",
        "site": "TMDb · понарошку",
        "question": "Разрешить Кинотеке видеть и ставить ваши оценки?",
        "explain": "Это страница песочницы: настоящий TMDb о ней не знает. От имени какого аккаунта ответить?",
        "account": "Аккаунт",
        "ratings": "оценок",
        "allow": "Разрешить",
        "deny": "Отказать",
        "approved": "Разрешение дано",
        "denied": "Вы отказали",
        "go back": "Вернитесь в чат, там всё продолжится.",
        "stale": "Эта ссылка больше не действует",
        "again": "Ссылка действует час и срабатывает один раз. Попросите в чате новую.",
        "no account": "Такого аккаунта нет",
        "no film": "Такого фильма нет",
    },
    "en": {
        "lang": "en",
        "site": "TMDb · make-believe",
        "question": "May Kinoteka see and set your ratings?",
        "explain": "This is a page of the sandbox: the real TMDb knows nothing of it. Choose the account to answer as.",
        "account": "Account",
        "ratings": "ratings",
        "allow": "Approve",
        "deny": "Deny",
        "approved": "Approved",
        "denied": "Denied",
        "go back": "Go back to the chat to continue.",
        "stale": "This link no longer works",
        "again": "The link works once, for an hour. Ask for a new one in the chat.",
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


def page(title: str, content: str, words: dict[str, str], status: int = 200, onward: str = "") -> Response:
    """A page of the site. No scripts; forms go to ourselves, and from there only to the address given in the link."""
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
    text = (
        f'<!doctype html><html lang="{words["lang"]}"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title} — {words["site"]}</title>'
        f"<style>{STYLE}</style><header>{words['site']}</header><main>{content}</main></html>"
    )
    response = Response.html(text, status)
    response.headers |= {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return response


def _language(request: Request) -> str:
    return "en" if request.headers.get("accept-language", "ru").startswith("en") else "ru"


def _words(request: Request) -> dict[str, str]:
    return WORDS[_language(request)]


def film_page(tmdb: State, request: Request) -> Response:
    """TMDb: /movie/{movie_id}, the address that people copy; as far as a link to it needs one."""
    words, language = _words(request), _language(request)
    number = re.match(r"/movie/(\d{1,18})", request.path)
    film = tmdb.films.get(int(number[1])) if number else None
    if film is None or film.gone:
        return page(words["no film"], f"<h1>{words['no film']}</h1>", words, 404)
    poster = f'<img src="/t/p/w342{film.poster_path}" width="171" alt="">' if film.poster_path else ""
    title, original = html.escape(film.title(language)), html.escape(film.original_title)
    overview = html.escape(film.overview(language) or film.overview("en"))
    head = f"<h1>{title} <small>{html.escape(film.year)}</small></h1>"
    return page(title, f"{poster}{head}<p>{original}</p><p>{overview}</p>", words)


def approval_page(tmdb: State, request: Request) -> Response:
    """TMDb: /authenticate/{request_token}, where the person allows or denies; then on to redirect_to."""
    words = _words(request)
    parts = request.path.strip("/").split("/")
    token = tmdb.live_token(parts[1]) if len(parts) in (2, 3) else None
    if token is None:
        return page(words["stale"], f"<h1>{words['stale']}</h1><p>{words['again']}</p>", words, 404)
    form = request.fields()[0] if request.method == "POST" else {}
    verdict = parts[2] if len(parts) == 3 else form.get("answer", "")
    onward = request.query.get("redirect_to", "")
    if verdict == "allow":
        name = form.get("account") or request.query.get("account") or "demo"
        if name not in tmdb.accounts:
            return page(words["no account"], f"<h1>{words['no account']}</h1>", words, 400)
        tmdb.approve(token.token, name)
        return _answered(token.token, "approved", onward, words)
    if verdict == "deny":
        tmdb.deny(token.token)
        return _answered(token.token, "denied", onward, words)
    if token.account is not None:
        return _answered(token.token, "approved", "", words)
    return _question(tmdb, token.token, onward, words)


def _question(tmdb: State, token: str, onward: str, words: dict[str, str]) -> Response:
    """Which account, and allow or deny?"""
    choices = "".join(
        f'<label><input type="radio" name="account" value="{html.escape(account.username)}"'
        f"{' checked' if account.username == 'demo' else ''}> <b>{html.escape(account.username)}</b>"
        f" <small>{words['ratings']}: {len(account.ratings)}</small></label>"
        for account in tmdb.accounts.values()
    )
    action = f"/authenticate/{token}" + (f"?redirect_to={quote(onward, safe='')}" if onward else "")
    form = (
        f'<h1>{words["question"]}</h1><p>{words["explain"]}</p><form method="post" action="{html.escape(action)}">'
        f"<fieldset><legend>{words['account']}</legend>{choices}</fieldset>"
        f'<button name="answer" value="allow">{words["allow"]}</button> '
        f'<button name="answer" value="deny" class="quiet">{words["deny"]}</button></form>'
    )
    return page(words["question"], form, words, onward=onward)


def _answered(token: str, what: str, onward: str, words: dict[str, str]) -> Response:
    """Lead the person on to where the link asked, with the answer: "approved" or "denied"."""
    parts = urlsplit(onward)
    if parts.scheme in ("http", "https", "tg"):
        query = urlencode([*parse_qsl(parts.query), ("request_token", token), (what, "true")])
        return Response(302, b"", {"Location": urlunsplit(parts._replace(query=query)), "Cache-Control": "no-store"})
    return page(words[what], f"<h1>{words[what]}</h1><p>{words['go back']}</p>", words)
