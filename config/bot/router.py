"""The bot and its registries: commands, buttons and deep links, each answered by one function."""

import logging
import re
from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from telebot import TeleBot, types
from telebot.apihelper import ApiTelegramException

from config.bot import client

log = logging.getLogger(__name__)

client.patch_telebot()
bot = TeleBot(settings.TELEGRAM_BOT_TOKEN, threaded=False, parse_mode="HTML", validate_token=False)
LANGUAGES = [code for code, _name in settings.LANGUAGES]
READ_RUSSIAN = ["ru", "uk", "be", "kk"]  # languages whose readers get Russian texts; all others get English ones
# Telegram's menu, in the order of use; other commands come after these
MENU = ["recommend", "watchlist", "evening", "rated", "stats", "match", "connect", "sync", "export", "settings", "help"]

Handler = TypeVar("Handler", bound=Callable[..., object])
DeepLinkHandler = Callable[[types.Message, str], None]

commands: dict[str, str | Promise] = {}  # command: title; "" for one that no list names
command_handlers: dict[str, Callable[[types.Message], object]] = {}
button_prefixes: set[str] = set()
deep_links: dict[str, DeepLinkHandler] = {}  # by the prefix of /start's payload
inline_texts: set[str] = set()  # inline queries that are no search


class UserError(Exception):
    """A button cannot do what it says; the text tells the user why."""


def command(name: str, title: str | Promise) -> Callable[[Handler], Handler]:
    """Answer /name with the decorated function and list it in the menu; other handlers get no commands."""
    commands[name] = title

    def register(handler: Handler) -> Handler:
        command_handlers[name] = handler
        bot.message_handler(func=lambda message: command_of(message) == name)(handler)
        return handler

    return register


def listed_commands() -> list[str]:
    """The commands that lists name, in the order of use."""
    return sorted(filter(commands.get, commands), key=lambda name: MENU.index(name) if name in MENU else len(MENU))


def command_of(message: types.Message) -> str | None:
    """The command in a message, in lower case; None where there is none, or where it names another bot."""
    found = re.match(r"/(\w+)(?:@(\w+))?(?!\S)", message.text or "")
    if not found or (found[2] and found[2].lower() != (bot.user.username or "").lower()):
        return None
    return found[1].lower()


def button(prefix: str) -> Callable[[Handler], Handler]:
    """Answer buttons whose callback data is `prefix` or begins with `prefix:`."""
    button_prefixes.add(prefix)
    decorator: Callable[[Handler], Handler] = bot.callback_query_handler(
        lambda query: button_prefix_of(query) == prefix
    )
    return decorator


def deep_link_handler(prefix: str) -> Callable[[DeepLinkHandler], DeepLinkHandler]:
    """Answer links whose payload is `prefix_…` with this function: it gets the message and the rest of the payload."""

    def register(handler: DeepLinkHandler) -> DeepLinkHandler:
        deep_links[prefix] = handler
        return handler

    return register


def inline_text(text: str) -> Callable[[Handler], Handler]:
    """Answer the inline query of just this text, which a button puts there; all others are searches."""
    inline_texts.add(text)
    decorator: Callable[[Handler], Handler] = bot.inline_handler(lambda query: query.query.strip() == text)
    return decorator


def button_prefix_of(query: types.CallbackQuery) -> str:
    return (query.data or "").split(":", 1)[0]


def parse_callback_data(query: types.CallbackQuery, pattern: str) -> tuple[str, ...]:
    """The groups of the pattern in a button's data. Raises UserError for data that no button of ours has.

    Apps send the data back to us, and a modified app may send anything.
    """
    found = re.fullmatch(pattern, query.data or "", re.ASCII | re.DOTALL)
    if not found:
        raise UserError(_("This button is out of date."))
    return found.groups()


def language_of(code: object) -> str:
    """The language of the texts for Telegram's language_code (unvalidated); the default one where there is none."""
    base = code.split("-")[0].lower() if isinstance(code, str) else ""
    if not base:
        return settings.LANGUAGE_CODE
    return "ru" if base in READ_RUSSIAN else "en"


def publish_profile() -> None:
    """Set the bot's menu and descriptions in both languages. Raises ApiException, TelegramUnavailable.

    A Bot API server that refuses descriptions, as one from before Bot API 6.6 does, still gets the menu.
    """
    languages = (("ru", READ_RUSSIAN), ("en", ["en", None]))  # None: for every other language
    for language, codes in languages:
        with translation.override(language):
            listed = [types.BotCommand(name, str(commands[name])) for name in listed_commands()]
        for code in codes:
            bot.set_my_commands(listed, language_code=code)
    try:
        for language, codes in languages:
            with translation.override(language):
                short = _("Send a film title: I show the poster, keep your rating and tell you what to watch next.")
                description = short + " " + _("Imports your TMDb, Letterboxd and IMDb ratings.")
            for code in codes:
                bot.set_my_description(description, language_code=code)
                bot.set_my_short_description(short, language_code=code)
    except ApiTelegramException as error:
        log.warning("the descriptions could not be published: %s", error.description)
