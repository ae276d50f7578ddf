"""What Telegram says of the webhook and the bot: asked once a minute by one process, kept where all processes read it.

/readyz, /metrics, the alerts and the front page read what was kept; nothing is asked while somebody waits.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple, TypedDict
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import cache
from django.utils import translation
from django.utils.translation import gettext as _
from telebot import apihelper
from telebot.apihelper import ApiException

from config.bot.client import TelegramUnavailable, max_retry_wait

KEY = "telegram_state"
TTL_SECONDS = 600  # older is not known
ERROR_SECONDS = 600  # for which Telegram's last error counts
MAX_PENDING = 100  # deliveries that wait at Telegram; more say that we do not keep up


class State(TypedDict):
    """What Telegram said last."""

    asked_at: float
    url: str
    pending: int
    last_error_at: int
    last_error: str
    inline_mode: bool


class Problem(NamedTuple):
    kind: str  # of a cause: url, secret, unset, error, pending
    text: str


def ask() -> State:
    """Ask Telegram. Raises ApiException, TelegramUnavailable."""
    with max_retry_wait(0):
        # raw answers: pyTelegramBotAPI's types want fields that a Bot API server of today may not send
        info: dict[str, Any] = apihelper.get_webhook_info(settings.TELEGRAM_BOT_TOKEN)
        me: dict[str, Any] = apihelper.get_me(settings.TELEGRAM_BOT_TOKEN)
    return State(
        asked_at=time.time(),
        url=str(info.get("url", "")),
        pending=int(info.get("pending_update_count") or 0),
        last_error_at=int(info.get("last_error_date") or 0),
        last_error=str(info.get("last_error_message", "")),
        inline_mode=bool(me.get("supports_inline_queries")),
    )


def refresh() -> None:
    """Ask Telegram and keep the answer; where there is none, what was kept grows old."""
    if not settings.TELEGRAM_BOT_TOKEN:
        return
    try:
        state = ask()
    except (ApiException, TelegramUnavailable, TypeError, ValueError, KeyError, AttributeError):
        return
    cache.set(KEY, state, TTL_SECONDS)


def known() -> State | None:
    """What Telegram said within the last ten minutes; None: not known."""
    state: State | None = cache.get(KEY)
    return state if state and abs(time.time() - state["asked_at"]) < TTL_SECONDS else None


def problems(state: State | None) -> list[Problem]:
    """What is wrong with the webhook, as far as it is known; none where updates are polled and no webhook is set."""
    found = settings_problems()
    if state is None:
        return found
    expected = settings.TELEGRAM_WEBHOOK_URL
    if expected and not is_address(state["url"], expected):
        found.append(Problem("unset", _("Telegram sends no updates to TELEGRAM_WEBHOOK_URL: run set_webhook")))
    if not expected and state["url"]:
        found.append(Problem("set", _("Telegram sends updates to a webhook, so polling gets none: run delete_webhook")))
    if expected and state["last_error"] and time.time() - state["last_error_at"] < ERROR_SECONDS:
        found.append(Problem("error", _("The webhook fails: %s") % state["last_error"]))
    if expected and state["pending"] > MAX_PENDING:
        found.append(Problem("pending", _("%d updates wait at Telegram") % state["pending"]))
    return found


def problems_in_english(state: State | None) -> list[Problem]:
    """The same for programs and terminals, whatever language the pages are in."""
    with translation.override("en"):
        return problems(state)


def settings_problems() -> list[Problem]:
    """What our own settings of the webhook lack; nothing is asked."""
    found = []
    if settings.TELEGRAM_WEBHOOK_URL and urlsplit(settings.TELEGRAM_WEBHOOK_URL).scheme != "https":
        found.append(Problem("url", _("TELEGRAM_WEBHOOK_URL is no https address: Telegram takes no other")))
    if settings.TELEGRAM_WEBHOOK_URL and not settings.TELEGRAM_WEBHOOK_SECRET:
        found.append(Problem("secret", _("TELEGRAM_WEBHOOK_SECRET is missing: anybody could send updates")))
    return found


def is_address(actual: str, expected: str) -> bool:
    """Whether Telegram's address is that of TELEGRAM_WEBHOOK_URL, which may leave the path out."""
    one, other = urlsplit(actual), urlsplit(expected)
    return (one.scheme, one.netloc) == (other.scheme, other.netloc) and one.path.startswith(other.path.rstrip("/"))
