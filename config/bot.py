"""The one bot, `@command` and the menu; how an update is handled, whether polling or the webhook brought it."""

import logging
import time

from django.conf import settings
from django.db import close_old_connections
from django.utils import translation
from django.utils.translation import gettext as _
from telebot import TeleBot, types
from telebot.apihelper import ApiException, ApiTelegramException

from config import telegram
from config.telegram import TelegramUnavailable

log = logging.getLogger(__name__)

telegram.install()
bot = TeleBot(settings.TELEGRAM_BOT_TOKEN, threaded=False, parse_mode="HTML", validate_token=False)
menu = {}
LANGUAGES = [code for code, name in settings.LANGUAGES]


def command(name, title):
    """Answer /name with the function below and list it in the menu; other handlers take no commands."""
    menu[name] = title
    return bot.message_handler(commands=[name], func=meant_for_us)


def meant_for_us(message):
    """Whether a command names no bot, or this one: in a group, /help@another_bot is not our affair."""
    addressee = message.text.split(maxsplit=1)[0].partition("@")[2]
    return not addressee or addressee.lower() == (bot.user.username or "").lower()


def button(prefix):
    """Answer buttons whose data is `prefix` or begins with `prefix:`."""
    return bot.callback_query_handler(lambda query: (query.data or "").split(":", 1)[0] == prefix)


def keyboard(*rows):
    """An inline keyboard of rows of (text, callback data, or an address)."""
    markup = types.InlineKeyboardMarkup()
    for row in rows:
        markup.row(
            *(
                types.InlineKeyboardButton(text, **{"url" if "://" in data else "callback_data": data})
                for text, data in row
            )
        )
    return markup


def language_of(code):
    """The language of ours for Telegram's language_code: Russian, unless it is one we speak."""
    base = (code or "").split("-")[0].lower()
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
    close_old_connections()
    started = time.monotonic()
    update = None
    try:
        update = types.Update.de_json(data)
        with translation.override(language_of(sender_language(data))):
            try:
                bot.process_new_updates([update])
            except Exception as error:
                tell_failure(update, error)
    except Exception:
        log.exception("update %s cannot be handled", data.get("update_id") if isinstance(data, dict) else "?")
    finally:
        close_old_connections()
        log.debug("update handled in %.0f ms", (time.monotonic() - started) * 1000)


def sender_language(data):
    """The language_code of the person behind a raw update, whatever its kind."""
    for part in data.values():
        if isinstance(part, dict) and isinstance(part.get("from"), dict):
            return part["from"].get("language_code")
    return None


def tell_failure(update, error):
    """Log why an update failed, and tell the person what they can do, in the least demanding way."""
    log.error("update %s failed", update.update_id, exc_info=error)
    if gone(error):
        return
    sentence = _("Something went wrong on our side. Please try again in a minute.")
    try:
        if update.callback_query:
            bot.answer_callback_query(update.callback_query.id, sentence, show_alert=True)
        elif update.message and update.message.chat.type == "private":
            bot.send_message(update.message.chat.id, sentence)
    except (ApiException, TelegramUnavailable) as silence:
        log.warning("update %s: the person could not be told: %s", update.update_id, silence)


def gone(error):
    """Whether a call failed because the person, chat or message is no longer there: nobody to tell."""
    if not isinstance(error, ApiTelegramException):
        return False
    text = error.description.lower()
    return error.error_code == 403 or any(
        sign in text
        for sign in ("chat not found", "query is too old", "message to edit not found", "user is deactivated")
    )


def unchanged(error):
    """Whether an edit failed only because the message already reads so, which is success."""
    return isinstance(error, ApiTelegramException) and "message is not modified" in error.description


def answer(query, text=None, alert=False):
    """Answer a button; one that is too old to be answered is no error."""
    try:
        bot.answer_callback_query(query.id, text, show_alert=alert)
    except ApiTelegramException as error:
        if not gone(error):
            raise
