"""One update to its handler, in the sender's language: polling and the webhook both end here.

`handle_update` never raises: errors are logged with the update's correlation id, and the user is told in one sentence.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from django.db import close_old_connections, connections
from django.utils import translation
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from telebot import types
from telebot.apihelper import ApiException

from config.bot import client
from config.bot.client import TelegramUnavailable
from config.bot.replies import again_text, answer, is_unreachable, reply_to, topic_of, wait_asked
from config.bot.router import UserError, bot, command_of, commands, language_of
from config.bot.validation import NoUpdate, is_anonymous, read_update, sender_of
from config.monitoring import failures, metrics
from config.monitoring.logs import correlation_id, current_correlation_id

log = logging.getLogger(__name__)

LANGUAGE_CHOICES = "users.models.language_choices"  # of the app above, by dotted path
VISITS = "users.visits.visits"  # likewise
HEALTH_CHECK_INTERVAL_SECONDS = 0.5  # no database is stopped and started again in this time
TYPING_DELAY_SECONDS = 0.7  # after which a user should see that the bot is working
TYPING_INTERVAL_SECONDS = 4.5  # Telegram shows it for five seconds


def handle_update(data: Any) -> None:
    """Handle one raw update (any JSON) in the language of its sender; never raises."""
    update_id = data.get("update_id", "?") if isinstance(data, dict) else "?"
    with correlation_id(f"u{update_id}"):
        recycle_connections()
        started = time.monotonic()
        try:
            update = read_update(data)
            visits = import_string(VISITS)
            if visits.is_banned(sender_of(data)):
                log.info("update %s is of somebody who is banned", update_id)
                return
            with translation.override(reader_language(data)):
                with in_its_topic(update), typing(update):
                    process(update)
                visits.record(update)
        except NoUpdate as why:
            log.warning("update %s is not handled: %s", update_id, why)
        except Exception:
            log.exception("update %s cannot be handled", update_id)
        finally:
            recycle_connections()
            seconds = time.monotonic() - started
            metrics.observe_latency("updates", seconds)
            log.debug("update %s handled in %.0f ms", update_id, seconds * 1000)


def recycle_connections() -> None:
    """Close broken and old connections, as Django does around a request.

    A connection that this thread has just used is not checked again: a card is one query, not two.
    """
    close_old_connections()
    now = time.monotonic()
    if now - getattr(_connections, "recycled_at", 0) < HEALTH_CHECK_INTERVAL_SECONDS:
        for one in connections.all(initialized_only=True):
            one.health_check_done = True  # type: ignore[attr-defined]  # missing in the stubs
    _connections.recycled_at = now


_connections = threading.local()


def process(update: types.Update) -> None:
    """Run the handlers; in a function without the raw update, which no error report may show."""
    try:
        if update.message and is_anonymous(update.message) and not update.message.migrate_to_chat_id:
            decline_anonymous(update.message)
        else:
            bot.process_new_updates([update])
    except UserError as error:
        if not update.callback_query:  # only a button's handler raises it
            raise
        answer(update.callback_query, str(error), alert=True)
    except Exception as error:
        notify_failure(update, error)


def in_its_topic(update: types.Update) -> AbstractContextManager[None]:
    """Answers go where the update came from."""
    message = _message_of(update)
    return client.in_topic(message.chat.id, topic_of(message)) if message else nullcontext()


def _message_of(update: types.Update) -> types.Message | types.InaccessibleMessage | None:
    """The message of an update, or the one under whose button it was sent."""
    if update.message or not update.callback_query:
        return update.message
    return update.callback_query.message


def reader_language(data: dict[str, Any]) -> str:
    """The language of the sender of a raw update, whatever its kind: as chosen, else as Telegram says."""
    sender = sender_of(data) or {}
    chosen: str = import_string(LANGUAGE_CHOICES).get(sender.get("id"))
    return chosen or language_of(sender.get("language_code"))


def decline_anonymous(message: types.Message) -> None:
    """Tell a group's or channel's anonymous sender so; ignore bots and posts forwarded automatically."""
    if message.sender_chat and not message.is_automatic_forward and command_of(message) in commands:
        bot.send_message(
            message.chat.id,
            _("I cannot see who you are: write to me as yourself, or privately."),
            reply_parameters=reply_to(message),
        )


def notify_failure(update: types.Update, error: Exception) -> None:
    """Log why an update failed, and tell the user what to do, in the least demanding way."""
    unreachable = is_unreachable(error)
    seconds = wait_asked(error) if update.callback_query else 0
    if unreachable or seconds:
        log.info("update %s: the user cannot be reached: %s", update.update_id, error)
    else:
        metrics.increment("updates.failed")
        log.error("update %s failed", update.update_id, exc_info=error)
        failures.record(error)
    sentence = _("Something went wrong on our side. Please try again in a minute.")
    sentence += "\n" + _("Code: %s") % current_correlation_id()
    message, query, inline = update.message, update.callback_query, update.inline_query
    try:
        if query and seconds:
            answer(query, again_text(seconds))
        elif query:
            answer(query, "" if unreachable else sentence, alert=not unreachable)
        elif unreachable:
            return
        elif message and (message.chat.type == "private" or command_of(message)):
            bot.send_message(message.chat.id, sentence)
        elif inline:
            hint = types.InlineQueryResultsButton(_("Something went wrong: try again"), start_parameter="help")
            bot.answer_inline_query(inline.id, [], cache_time=0, is_personal=True, button=hint)
    except (ApiException, TelegramUnavailable) as failure:
        log.warning("update %s: the user could not be notified: %s", update.update_id, failure)


# --- Typing


@dataclass(eq=False, slots=True)
class _Typing:
    """An update in progress, for which its chat shows that the bot is typing."""

    chat_id: int
    thread_id: int | None
    due: float  # of time.monotonic()


@contextmanager
def typing(update: types.Update) -> Iterator[None]:
    """Show in the chat that the bot is typing, if the block takes longer than a moment."""
    message = _message_of(update)
    if not message:
        yield
        return
    in_progress = _Typing(message.chat.id, topic_of(message), time.monotonic() + TYPING_DELAY_SECONDS)
    _in_progress.add(in_progress)
    _start_typing_thread()
    try:
        yield
    finally:
        _in_progress.discard(in_progress)


_in_progress: set[_Typing] = set()
_busy = threading.Event()
_typing_thread: threading.Thread | None = None


def _start_typing_thread() -> None:
    """One thread serves all updates in progress; a thread for each would cost as much as a card."""
    global _typing_thread
    _busy.set()
    if _typing_thread is None:
        _typing_thread = threading.Thread(target=_show_typing, daemon=True, name="typing")
        _typing_thread.start()


def _show_typing() -> None:
    with client.max_retry_wait(0):
        while True:
            _busy.wait()
            _busy.clear()
            while _in_progress:
                time.sleep(0.2)
                for one in _in_progress.copy():
                    if time.monotonic() < one.due:
                        continue
                    pause = TYPING_INTERVAL_SECONDS
                    try:
                        with client.in_topic(one.chat_id, one.thread_id):
                            bot.send_chat_action(one.chat_id, "typing")
                    except (ApiException, TelegramUnavailable):
                        pause = 3600  # it is only a courtesy
                    one.due = time.monotonic() + pause


def _after_fork() -> None:
    global _typing_thread
    _typing_thread = None
    _in_progress.clear()


os.register_at_fork(after_in_child=_after_fork)
