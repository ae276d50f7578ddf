"""Long polling: each answer of getUpdates is stored whole and confirmed at once; config.bot.engine handles it.

The offset that confirms is the one after the highest id of that answer, never of an earlier one: ids may restart.
An answer that was stored and not confirmed comes again, and its updates are known.
"""

import json
import logging
import threading
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseFailure
from telebot import apihelper
from telebot.apihelper import ApiTelegramException

from config.bot.dispatch import recycle_connections
from config.bot.engine import Engine, Taken, engine, stop_engine
from config.bot.update_queue import is_update
from config.monitoring import heartbeats

log = logging.getLogger(__name__)

LONG_POLL_SECONDS = 25
MAX_UPDATES = 100  # that Telegram gives at once
MIN_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 30  # between two questions, while Telegram or the database is away
OVERLOAD_PAUSE_SECONDS = 0.02  # or one chat's surplus would have us ask as fast as we can
HANDOVER_SECONDS = 0.005  # for which handlers have the processor to themselves before the next question
FINISH_SECONDS = 8  # that SIGTERM leaves to what runs
KINDS = ["message", "callback_query", "inline_query", "my_chat_member", "poll"]


class CannotPoll(Exception):
    """Telegram will not give updates until the operator changes something; the text says what."""


def poll(stop: threading.Event) -> None:
    """Take updates in and handle them until `stop` is set. Raises CannotPoll where only a person can help."""
    failures: list[CannotPoll] = []
    queue = engine()

    def ask() -> None:
        try:
            _ask(queue, stop)
        except CannotPoll as failure:
            failures.append(failure)
            stop.set()

    threading.Thread(target=ask, daemon=True, name="getUpdates").start()
    stop.wait()
    if left := stop_engine(FINISH_SECONDS):
        log.warning("%s updates were not finished in time and will be handled once more", left)
    if failures:
        raise failures[0]


def _ask(queue: Engine, stop: threading.Event) -> None:
    offset, pause = None, MIN_PAUSE_SECONDS
    while not stop.is_set():
        try:
            updates = get_updates(offset, LONG_POLL_SECONDS)
            heartbeats.record_heartbeat("bot", heartbeats.HOST, "polling")
            sound = [update for update in updates if is_update(update)]
            taken = queue.store([(update, json.dumps(update)) for update in sound]) if sound else Taken(0, 0)
            recycle_connections()
            offset = max((update["update_id"] + 1 for update in sound), default=offset)
            if taken.stored or taken.dropped or not updates:
                pause = MIN_PAUSE_SECONDS
                queue.wait_while_running(HANDOVER_SECONDS)
                if taken.dropped:
                    stop.wait(OVERLOAD_PAUSE_SECONDS)
                continue
            # all of it is known, or no update at all: asked at once, Telegram would give the same as fast as it can
        except ApiTelegramException as refusal:
            if not stop.is_set():
                _explain(refusal)
        except DatabaseFailure as error:
            log.warning("updates cannot be stored now and will come again: %s", error)
            recycle_connections()
        except Exception as error:
            log.warning("getUpdates: %s; again in %s s", error, pause)
        stop.wait(pause)
        pause = min(pause * 2, MAX_PAUSE_SECONDS)


def _explain(refusal: ApiTelegramException) -> None:
    """Log what a refusal of getUpdates means. Raises CannotPoll where another question would be refused too."""
    if refusal.error_code in (401, 404):
        raise CannotPoll("Telegram does not know TELEGRAM_BOT_TOKEN: take the token that @BotFather shows.") from None
    if refusal.error_code == 409 and "webhook" in refusal.description:
        raise CannotPoll(
            "A webhook is set for this bot, so polling gets nothing: "
            "run `manage.py delete_webhook`, or serve TELEGRAM_WEBHOOK_URL."
        ) from None
    if refusal.error_code == 409:
        log.error("another process polls with this token; only one may: stop the other")
    else:
        log.warning("getUpdates: %s", refusal.description)


def get_updates(offset: int | None, timeout: int, limit: int = MAX_UPDATES) -> list[dict[str, Any]]:
    """Raw updates (Bot API: getUpdates), so that one that cannot be parsed harms no other."""
    params: dict[str, Any] = {
        "limit": limit,
        "allowed_updates": json.dumps(KINDS),
        "long_polling_timeout": timeout,
    }
    if offset is not None:
        params["offset"] = offset
    updates = apihelper._make_request(settings.TELEGRAM_BOT_TOKEN, "getUpdates", params=params)
    return [update for update in updates or [] if isinstance(update, dict)]
