"""What people are told whose updates were dropped: one notice in words, an answer to each tap and inline query.

A chat is told once, until a minute has passed without a drop; other processes know it by the cache.
"""

import json
import logging
import os
import queue
import threading
import time
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import connections
from django.utils import translation
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from telebot import apihelper

from config.bot.client import TelegramUnavailable
from config.bot.router import language_of
from config.bot.update_queue import RawUpdate, chat_of
from config.bot.validation import sender_of

log = logging.getLogger(__name__)

VISITS = "users.visits.visits"  # of the app above, by dotted path
QUIET_SECONDS = 60  # after which a chat is told again
MAX_CHATS = 10_000  # remembered at a time
MAX_PENDING = 1000  # notices; what is beyond is not told
THREADS = 4

_notified_at: dict[str, float] = {}  # chat: time.monotonic() of its last drop
_pending: queue.Queue[RawUpdate] = queue.Queue(MAX_PENDING)
_threads: list[threading.Thread] = []
_lock = threading.Lock()


def give(update: RawUpdate) -> None:
    """Have the sender of a dropped update told, if they need to be; returns at once."""
    if not ("callback_query" in update or "inline_query" in update):
        chat, now = chat_of(update), time.monotonic()
        with _lock:
            if len(_notified_at) >= MAX_CHATS:
                _notified_at.clear()
            told, _notified_at[chat] = now - _notified_at.get(chat, float("-inf")) < QUIET_SECONDS, now
        if told or "message" not in update:
            return
        log.warning("chat of update %s: more than can be handled in time is dropped", update["update_id"])
    try:
        _pending.put_nowait(update)
    except queue.Full:
        return
    _start()


def call_for(update: RawUpdate) -> dict[str, Any] | None:
    """The call ({"method": …, parameters}) that tells the sender; None where the chat has been told."""
    sender = sender_of(update)
    if import_string(VISITS).is_banned(sender):
        return None
    query, inline, message = update.get("callback_query"), update.get("inline_query"), update.get("message")
    with translation.override(language_of((sender or {}).get("language_code"))):
        text = _("You are sending faster than I can answer. Please wait a moment, then send again what I left out.")
    if isinstance(query, dict):
        return {"method": "answerCallbackQuery", "callback_query_id": query.get("id"), "text": text}
    if isinstance(inline, dict):
        nothing = {"results": "[]", "cache_time": 2, "is_personal": "true"}
        return {"method": "answerInlineQuery", "inline_query_id": inline.get("id"), **nothing}
    chat = message.get("chat") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(chat, dict):
        return None
    if not cache.add(f"dropped:{chat.get('id')}", True, QUIET_SECONDS):
        return None
    call = {"method": "sendMessage", "chat_id": chat.get("id"), "text": text}
    if chat.get("type") != "private":
        where = {"message_id": message.get("message_id"), "allow_sending_without_reply": True}
        call["reply_parameters"] = json.dumps(where)
    return call


def _start() -> None:
    with _lock:
        if not _threads:
            for number in range(THREADS):
                _threads.append(threading.Thread(target=_run, daemon=True, name=f"drop-notice-{number}"))
                _threads[-1].start()


def _run() -> None:
    while True:
        update = _pending.get()
        try:
            if call := call_for(update):
                apihelper._make_request(settings.TELEGRAM_BOT_TOKEN, call.pop("method"), params=call)
        except (apihelper.ApiException, TelegramUnavailable) as error:
            log.info("the sender of a dropped update could not be told: %s", error)
        except Exception:  # the thread must outlive whatever an update holds
            log.exception("the sender of a dropped update could not be told")
        finally:
            connections.close_all()


def _after_fork() -> None:
    global _lock, _pending
    _lock, _pending = threading.Lock(), queue.Queue(MAX_PENDING)
    _threads.clear()
    _notified_at.clear()


os.register_at_fork(after_in_child=_after_fork)
