"""The pages of the site that a person sees: the approval of a request token, and a film."""

import html
import re
from base64 import b64encode
from hashlib import sha256
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from sandbox.http_server import Response

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


def page(title, content, words, status=200, onward="") -> Response:
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


def tongue(request) -> str:
    return "en" if request.headers.get("accept-language", "ru").startswith("en") else "ru"


def words_for(request) -> dict[str, str]:
    return WORDS[tongue(request)]


def film(film, request) -> Response:
    """The page of a film, as far as a link to it needs one; None is no film."""
    words, language = words_for(request), tongue(request)
    if film is None:
        return page(words["no film"], f"<h1>{words['no film']}</h1>", words, 404)
    poster = f'<img src="/t/p/w342{film.poster_path}" width="171" alt="">' if film.poster_path else ""
    title, original = html.escape(film.title(language)), html.escape(film.original_title)
    overview = html.escape(film.overview(language) or film.overview("en"))
    head = f"<h1>{title} <small>{html.escape(film.year)}</small></h1>"
    return page(title, f"{poster}{head}<p>{original}</p><p>{overview}</p>", words)


def stale(request) -> Response:
    """There is nothing to approve: the token is unknown, used or old."""
    words = words_for(request)
    return page(words["stale"], f"<h1>{words['stale']}</h1><p>{words['again']}</p>", words, 404)


def no_account(request) -> Response:
    words = words_for(request)
    return page(words["no account"], f"<h1>{words['no account']}</h1>", words, 400)


def question(token, accounts, onward, request) -> Response:
    """Which account, and allow or deny?"""
    words = words_for(request)
    choices = "".join(
        f'<label><input type="radio" name="account" value="{html.escape(account.username)}"'
        f"{' checked' if account.username == 'demo' else ''}> <b>{html.escape(account.username)}</b>"
        f" <small>{words['ratings']}: {len(account.ratings)}</small></label>"
        for account in accounts
    )
    action = f"/authenticate/{token}" + (f"?redirect_to={quote(onward, safe='')}" if onward else "")
    form = (
        f'<h1>{words["question"]}</h1><p>{words["explain"]}</p><form method="post" action="{html.escape(action)}">'
        f"<fieldset><legend>{words['account']}</legend>{choices}</fieldset>"
        f'<button name="answer" value="allow">{words["allow"]}</button> '
        f'<button name="answer" value="deny" class="quiet">{words["deny"]}</button></form>'
    )
    return page(words["question"], form, words, onward=onward)


def answered(token, what, onward, request) -> Response:
    """Lead the person on to where the link asked, with what they said: "approved" or "denied"."""
    parts = urlsplit(onward)
    if parts.scheme in ("http", "https", "tg"):
        query = urlencode([*parse_qsl(parts.query), ("request_token", token), (what, "true")])
        return Response(302, b"", {"Location": urlunsplit(parts._replace(query=query)), "Cache-Control": "no-store"})
    words = words_for(request)
    return page(words[what], f"<h1>{words[what]}</h1><p>{words['go back']}</p>", words)
