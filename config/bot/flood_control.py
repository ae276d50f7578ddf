"""One person who sends faster than the bot can answer: the surplus is declined in words and costs nobody anything.

Only what comes while others of its chat still wait is counted: who waits for an answer before sending the next never
floods, however quick both are. Such updates cost their sender a token, of FLOOD_UPDATES_PER_SECOND a second and a
stock of twenty seconds; a private chat in which a whole stock waits needs no counting any more. From then on all of
theirs is left unhandled, what waited too, until they have been quiet for about a second.

Buckets are kept in each process, where they cost no query: how much of a chat waits is known to all processes anyway,
from the table of updates, and that a flood was told is kept in the cache. A person who floods several web processes
has their stocks together at most; what is protected are the threads of each.
"""

import json
import logging
import os
import queue
import threading
import time
from dataclasses import dataclass

from django.conf import settings
from django.core.cache import cache
from django.db import connections
from django.utils import translation
from django.utils.translation import gettext as _
from telebot import apihelper

from config.bot.client import TelegramUnavailable
from config.bot.router import language_of
from config.bot.validation import LARGEST_ID, sender_of
from config.monitoring import metrics

log = logging.getLogger(__name__)

STOCK = 20  # seconds' worth of tokens
CALM = 1  # seconds' worth of tokens that end a flood
ORDINARY = 3  # updates of a chat that wait are no crowd: two quick taps, and the next before we are done with the first
TOLD_FOR = 60  # seconds for which a flood that was told needs no telling again, in any process
TAPS_APART = 1.0  # seconds between two declined taps or queries that a call of its own tells of
MOST_PEOPLE = 10_000  # remembered at a time
MOST_TO_TELL = 100  # people who wait to be told


@dataclass(slots=True)
class Sender:
    """How a person's bucket stands."""

    tokens: float
    seen_at: float  # of time.monotonic()
    flooding: bool = False
    told_at: float = 0

    def fill(self, rate):
        """Put in what has come since the last look."""
        now = time.monotonic()
        self.tokens = min(stock(), self.tokens + (now - self.seen_at) * rate)
        self.seen_at = now


_senders: dict[int, Sender] = {}
_lock = threading.Lock()


def stock():
    """How many tokens a bucket holds."""
    return int(STOCK * settings.FLOOD_UPDATES_PER_SECOND)


def is_any():
    """Whether anybody has been near a flood in this process: else nobody need be looked for."""
    return bool(_senders)


def is_on(data):
    """Whether the sender of a raw update floods this process: then it is to be declined. Costs no query."""
    rate, person = settings.FLOOD_UPDATES_PER_SECOND, person_of(data)
    if rate <= 0 or person not in _senders:
        return False
    with _lock:
        sender = _senders.get(person)
        if sender is None or not sender.flooding:
            return False
        sender.fill(rate)
        if sender.tokens >= CALM * rate:
            sender.flooding = False
            return False
        sender.tokens = max(0.0, sender.tokens - 1)
    metrics.increment("updates.declined")
    return True


def begins(data, waiting):
    """Whether a raw update, behind so many others of its chat, is one too many: then a flood begins."""
    rate, person = settings.FLOOD_UPDATES_PER_SECOND, person_of(data)
    if rate <= 0 or person is None or waiting < ORDINARY:
        return False
    with _lock:
        if person not in _senders:
            _make_room()
            _senders[person] = Sender(stock(), time.monotonic())
        sender = _senders[person]
        sender.fill(rate)
        if sender.tokens >= 1 and not (is_private(data) and waiting >= stock()):
            sender.tokens -= 1
            return False
        sender.tokens, sender.flooding = 0.0, True
    metrics.increment("updates.declined")
    log.warning("update %s: its sender floods; the surplus is declined", data.get("update_id"))
    return True


def _make_room():
    """Forget people whose buckets are full by now; all, where that is not enough: then they begin anew."""
    if len(_senders) >= MOST_PEOPLE:
        before = time.monotonic() - STOCK
        for person in [person for person, sender in _senders.items() if sender.seen_at < before]:
            del _senders[person]
        if len(_senders) >= MOST_PEOPLE:
            _senders.clear()


def person_of(data):
    """The id of a raw update's sender; None where there is none."""
    person = (sender_of(data) or {}).get("id")
    return person if type(person) is int and abs(person) < LARGEST_ID else None


def is_private(data):
    """Whether a raw update happens in its sender's own chat, so that all that waits there is theirs."""
    query = data.get("callback_query")
    message = (query.get("message") if isinstance(query, dict) else None) or data.get("message")
    chat = message.get("chat") if isinstance(message, dict) else None
    return "inline_query" in data or (isinstance(chat, dict) and chat.get("id") == person_of(data))


# --- In words


def polite_call(data, begun):
    """The call ({"method": …, parameters}) that tells the sender so; None where they need not be told.

    A message is declined once, where the flood has `begun`, whichever process that happens in; each tap and query is.
    """
    sender = sender_of(data) or {}
    query, inline, message = data.get("callback_query"), data.get("inline_query"), data.get("message")
    with translation.override(language_of(sender.get("language_code"))):
        text = _("You are sending faster than I can answer. Please wait a moment, then send again what I left out.")
        if isinstance(query, dict):
            return {"method": "answerCallbackQuery", "callback_query_id": query.get("id"), "text": text}
        if isinstance(inline, dict):
            return {
                "method": "answerInlineQuery",
                "inline_query_id": inline.get("id"),
                "results": "[]",
                "cache_time": 2,
                "is_personal": "true",
            }
    chat = message.get("chat") if isinstance(message, dict) else None
    if not begun or not isinstance(chat, dict) or not cache.add(f"flood:{person_of(data)}", True, TOLD_FOR):
        return None
    where = {"message_id": message.get("message_id"), "allow_sending_without_reply": True}
    reply = {} if is_private(data) else {"reply_parameters": json.dumps(where)}
    return {"method": "sendMessage", "chat_id": chat.get("id"), "text": text, **reply}


def tell(data, begun):
    """Have a thread make that call, where there is no answer for it to ride in; of a person's taps one a second."""
    if "callback_query" in data or "inline_query" in data:
        with _lock:
            sender, now = _senders.get(person_of(data)), time.monotonic()
            if sender is None or now < sender.told_at + TAPS_APART:
                return
            sender.told_at = now
    elif not begun:
        return
    try:
        _to_tell.put_nowait((data, begun))
    except queue.Full:
        return
    _start_telling()


_to_tell: queue.Queue = queue.Queue(MOST_TO_TELL)
_teller: threading.Thread | None = None


def _start_telling():
    global _teller
    if _teller is None:
        _teller = threading.Thread(target=_tell_them, daemon=True, name="flood")
        _teller.start()


def _tell_them():
    while True:
        data, begun = _to_tell.get()
        try:
            if call := polite_call(data, begun):
                apihelper._make_request(settings.TELEGRAM_BOT_TOKEN, call.pop("method"), params=call)
        except (apihelper.ApiException, TelegramUnavailable) as silence:
            log.info("a flood's sender could not be told: %s", silence)
        except Exception:  # the thread must outlive whatever an update holds
            log.exception("a flood's sender could not be told")
        finally:
            connections.close_all()


def _after_fork():
    global _teller
    _teller = None


os.register_at_fork(after_in_child=_after_fork)
