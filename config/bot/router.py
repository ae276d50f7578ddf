"""The one bot, `@command` and the menu; how an update is handled, whether polling or the webhook brought it."""

import logging
import os
import re
import threading
import time
from contextlib import contextmanager, suppress

from django.conf import settings
from django.db import close_old_connections, connections
from django.utils import translation
from django.utils.translation import gettext as _
from telebot import TeleBot, types
from telebot.apihelper import ApiException, ApiTelegramException

from config.bot import client
from config.bot.client import TelegramUnavailable
from config.bot.validation import NoUpdate, is_nobody, read_update, sender_of
from config.monitoring import metrics
from config.monitoring.logs import correlation_id
from config.monitoring.secret import Secret

log = logging.getLogger(__name__)

client.install()
bot = TeleBot(settings.TELEGRAM_BOT_TOKEN, threaded=False, parse_mode="HTML", validate_token=False)
menu: dict = {}  # command: title
prefixes: set[str] = set()  # of the buttons
links: dict = {}  # prefix of a payload of /start: handler
LANGUAGES = [code for code, name in settings.LANGUAGES]
A_MOMENT = 0.5  # seconds, in which no database is stopped and started again
SOON = 0.7  # seconds after which a person should see that we are at work


class Refusal(Exception):
    """A button cannot do what it says; the text tells the person why."""


def command(name, title):
    """Answer /name with the function below and list it in the menu; other handlers take no commands."""
    menu[name] = title
    return bot.message_handler(func=lambda message: command_of(message) == name)


def command_of(message):
    """The command in a message, in lower case; None where there is none, or where it names another bot."""
    found = re.match(r"/(\w+)(?:@(\w+))?(?!\S)", message.text or "")
    if not found or (found[2] and found[2].lower() != bot.user.username.lower()):
        return None
    return found[1].lower()


def button(prefix):
    """Answer buttons whose data is `prefix` or begins with `prefix:`."""
    prefixes.add(prefix)
    return bot.callback_query_handler(lambda query: prefix_of(query) == prefix)


def link(prefix):
    """Answer links to the bot whose payload is `prefix_…` with the function below: it gets the message and the rest."""

    def keep(handler):
        links[prefix] = handler
        return handler

    return keep


def prefix_of(query):
    return (query.data or "").split(":", 1)[0]


def read_button(query, pattern):
    """The groups of the pattern in a button's data. Raises Refusal for what no button of ours says.

    People's apps send the data back to us, and a changed app sends whatever it likes.
    """
    found = re.fullmatch(pattern, query.data or "", re.ASCII | re.DOTALL)
    if not found:
        raise Refusal(_("This button is out of date."))
    return found.groups()


class Keyboard(types.InlineKeyboardMarkup):
    """An inline keyboard that no report of an error shows: a button may hold a request token."""

    def to_json(self):
        return Secret(super().to_json())


def keyboard(*rows):
    """An inline keyboard of rows; a button is one of Telegram's, or (text, callback data or an address)."""

    def made(text, data):
        return types.InlineKeyboardButton(text, **{"url" if data.startswith("http") else "callback_data": data})

    markup = Keyboard()
    for row in rows:
        markup.row(*(made(*one) if isinstance(one, tuple) else one for one in row))
    return markup


def language_of(code):
    """The language of ours for Telegram's language_code: Russian, unless it is one we speak."""
    base = code.split("-")[0].lower() if isinstance(code, str) else ""
    return base if base in LANGUAGES else settings.LANGUAGE_CODE


def publish_menu():
    """Show the commands in Telegram's menu, in both languages. Raises ApiException, TelegramUnavailable."""
    for language in LANGUAGES:
        with translation.override(language):
            commands = [types.BotCommand(name, str(title)) for name, title in menu.items()]
        bot.set_my_commands(commands, language_code=language)
        if language == settings.LANGUAGE_CODE:
            bot.set_my_commands(commands)  # for everybody whose language is none of ours


# --- One update


def handle_update(data):
    """Handle one raw update of Telegram's, in the language of who sent it; never raises.

    What goes wrong is logged with its cause and told to the person in one sentence.
    """
    update_id = data.get("update_id", "?") if isinstance(data, dict) else "?"
    with correlation_id(f"u{update_id}"):
        look_after_connections()
        started = time.monotonic()
        try:
            update = read_update(data)
            with translation.override(language_of(sender_language(data))), typing(update):
                process(update)
        except NoUpdate as why:
            log.warning("update %s is left unread: %s", update_id, why)
        except Exception:
            log.exception("update %s cannot be handled", update_id)
        finally:
            look_after_connections()
            seconds = time.monotonic() - started
            metrics.observe_latency("updates", seconds)
            log.debug("update %s handled in %.0f ms", update_id, seconds * 1000)


def look_after_connections():
    """Close what is broken or too old, as Django does around a request.

    One that this thread has used a moment ago is not asked first whether it lives: a card is one query, not two.
    """
    close_old_connections()
    now = time.monotonic()
    if now - getattr(_connections, "looked_after", 0) < A_MOMENT:
        for one in connections.all(initialized_only=True):
            one.health_check_done = True
    _connections.looked_after = now


_connections = threading.local()


def process(update):
    """Have the handlers answer; in a function without the raw update, which no report of an error is to show."""
    try:
        if update.message and is_nobody(update.message):
            decline_nobody(update.message)
        else:
            bot.process_new_updates([update])
    except Refusal as refusal:
        answer(update.callback_query, str(refusal), alert=True)
    except Exception as error:
        tell_failure(update, error)


def sender_language(data):
    """The language_code of the person behind a raw update, whatever its kind."""
    return (sender_of(data) or {}).get("language_code")


def decline_nobody(message):
    """Say to a group's or channel's own voice that it is nobody to us; be silent to bots and to posts passed on."""
    if message.sender_chat and not message.is_automatic_forward and command_of(message) in menu:
        bot.send_message(
            message.chat.id,
            _("I cannot see who you are: write to me as yourself, or privately."),
            reply_parameters=in_reply(message),
        )


@contextmanager
def typing(update):
    """Show in the chat that we are at work, if the block takes longer than a moment."""
    message = update.message or (update.callback_query and update.callback_query.message)
    if not message:
        yield
        return
    update_at_hand = object()
    _at_work[update_at_hand] = time.monotonic() + SOON, message.chat.id
    _show_typing_soon()
    try:
        yield
    finally:
        _at_work.pop(update_at_hand, None)


_at_work: dict = {}  # for each update at hand: (when to show typing next, its chat)
_some_work = threading.Event()
_typist: threading.Thread | None = None


def _show_typing_soon():
    """One thread looks after all updates at hand; a thread for each would cost as much as a card."""
    global _typist
    _some_work.set()
    if _typist is None:
        _typist = threading.Thread(target=_show_typing, daemon=True, name="typing")
        _typist.start()


def _show_typing():
    with client.patience(0):
        while True:
            _some_work.wait()
            _some_work.clear()
            while _at_work:
                time.sleep(0.2)
                for update, (due, chat_id) in list(_at_work.items()):
                    if time.monotonic() < due:
                        continue
                    pause = 4.5  # Telegram shows it for five seconds
                    try:
                        bot.send_chat_action(chat_id, "typing")
                    except (ApiException, TelegramUnavailable):
                        pause = 3600  # it is only a courtesy
                    if update in _at_work:
                        _at_work[update] = time.monotonic() + pause, chat_id


def _after_fork():
    global _typist
    _typist = None
    _at_work.clear()


os.register_at_fork(after_in_child=_after_fork)


def tell_failure(update, error):
    """Log why an update failed, and tell the person what they can do, in the least demanding way."""
    lost = gone(error)
    if lost:
        log.info("update %s: nobody to answer: %s", update.update_id, error)
    else:
        metrics.increment("updates.failed")
        log.error("update %s failed", update.update_id, exc_info=error)
    sentence = _("Something went wrong on our side. Please try again in a minute.")
    message, query, inline = update.message, update.callback_query, update.inline_query
    try:
        if query:
            answer(query, "" if lost else sentence, alert=not lost)
        elif lost:
            return
        elif message and (message.chat.type == "private" or command_of(message)):
            bot.send_message(message.chat.id, sentence)
        elif inline:
            hint = types.InlineQueryResultsButton(_("Something went wrong: try again"), start_parameter="help")
            bot.answer_inline_query(inline.id, [], cache_time=0, is_personal=True, button=hint)
    except (ApiException, TelegramUnavailable) as silence:
        log.warning("update %s: the person could not be told: %s", update.update_id, silence)


# --- What Telegram's refusals mean

GONE = (
    "chat not found",
    "query is too old",
    "message to edit not found",
    "message can't be edited",
    "message_id_invalid",
    "message identifier is not specified",
    "message to be replied not found",
    "user is deactivated",
    "peer_id_invalid",
    "have no rights to send",
    "not enough rights to send",
    "chat_write_forbidden",
    "topic_closed",
)


def gone(error):
    """Whether a call failed because the person, chat or message is no longer there: nobody to tell."""
    if not isinstance(error, ApiTelegramException):
        return False
    text = error.description.lower()
    return error.error_code == 403 or any(sign in text for sign in GONE)


def unchanged(error):
    """Whether an edit failed only because the message already reads so, which is success."""
    return isinstance(error, ApiTelegramException) and "message is not modified" in error.description


# --- Answers


def answer(query, text=None, alert=False):
    """Answer a button; one that is too old to be answered is no error."""
    try:
        bot.answer_callback_query(query.id, text, show_alert=alert)
    except ApiTelegramException as error:
        if not gone(error):
            raise


def edit(message, text, reply_markup=None):
    """Change a message of ours in place, be it a text or a photo's caption; False where it can no longer be changed."""
    if message is None or message.date == 0:  # sent by inline mode, or too old (Bot API: InaccessibleMessage)
        return False
    where = {"chat_id": message.chat.id, "message_id": message.message_id, "reply_markup": reply_markup}
    if message.photo:
        return edited(lambda: bot.edit_message_caption(text, **where))
    return edited(lambda: bot.edit_message_text(text, **where))


def edit_buttons(message, markup=None):
    """Change only the buttons of a message of ours; False where it can no longer be changed."""
    if message is None or message.date == 0:
        return False
    return edited(lambda: bot.edit_message_reply_markup(message.chat.id, message.message_id, reply_markup=markup))


def take_away(chat_id, message_id):
    """Delete a message of ours; where that cannot be done, it stays as it is: no harm."""
    with suppress(ApiException, TelegramUnavailable):
        bot.delete_message(chat_id, message_id)


def edited(call):
    try:
        call()
    except ApiTelegramException as error:
        if not unchanged(error) and not gone(error):
            raise
        return unchanged(error)
    return True


def in_reply(message):
    """Where an answer belongs that other people read too: under the question, if that is still there."""
    return types.ReplyParameters(message.message_id, allow_sending_without_reply=True)


def only_in_private(message):
    """Whether this is a private chat; elsewhere the person is asked to come to one."""
    if message.chat.type == "private":
        return True
    bot.send_message(
        message.chat.id,
        _("That is between you and me: write to me privately."),
        reply_parameters=in_reply(message),
        reply_markup=keyboard([(_("Open a private chat"), deep_link())]),
    )
    return False


def deep_link(start=""):
    """The address that opens a private chat with the bot, with what /start is to do there."""
    return f"{settings.TELEGRAM_WEB_URL}/{bot.user.username}" + (f"?start={start}" if start else "")
