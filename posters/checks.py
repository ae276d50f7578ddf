"""Whether posters can be kept on the disk and put into their channels."""

import os
import tempfile

from django.conf import settings
from django.core.checks import Error, Warning, register
from telebot import apihelper
from telebot.apihelper import ApiException, ApiTelegramException

from config.bot.client import TelegramUnavailable, max_retry_wait
from config.bot.router import bot

CHANNEL = (
    "Make a private channel, make the bot an administrator who may post there, and put the channel's id into .env."
)


@register()
def posters_have_a_way(app_configs, **kwargs):
    """There is a channel for posters, and POSTER_DIR can be written."""
    problems = []
    if not settings.TELEGRAM_POSTER_CHANNELS:
        problems.append(
            Warning(
                "TELEGRAM_POSTER_CHANNELS is empty: posters stay on the disk, and cards upload them each for itself.",
                hint=CHANNEL,
                id="posters.W001",
            )
        )
    folder = settings.POSTER_DIR.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        problems.append(
            # no error: everything but the posters works without it
            Warning(
                f"POSTER_DIR ({settings.POSTER_DIR}) cannot be written: no poster can be fetched.",
                hint="Give this user the right to write there, or set another POSTER_DIR.",
                id="posters.W002",
            )
        )
    return problems


@register("services", deploy=True)
def poster_dir_takes_files(app_configs, **kwargs):
    """POSTER_DIR takes files."""
    try:
        settings.POSTER_DIR.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.POSTER_DIR) as file:
            file.write(b"x")
    except OSError as error:
        hint = "Make room, give this user the right to write there, or set another POSTER_DIR."
        return [Error(f"POSTER_DIR cannot be written ({error.strerror}).", hint=hint, id="posters.E001")]
    return []


@register("services", deploy=True)
def the_bot_may_post_in_the_channels(app_configs, **kwargs):
    """The bot may post in each channel."""
    if not settings.TELEGRAM_POSTER_CHANNELS:
        return [Error("TELEGRAM_POSTER_CHANNELS is empty.", hint=CHANNEL, id="posters.E002")]
    if not settings.TELEGRAM_BOT_TOKEN:
        return []  # said elsewhere
    problems = []
    try:
        with max_retry_wait(0):
            me = bot.get_me().id
            for channel in settings.TELEGRAM_POSTER_CHANNELS:
                if why := trouble_with(channel, me):
                    problems.append(Error(f"Channel {channel}: {why}.", hint=CHANNEL, id="posters.E003"))
    except (ApiException, TelegramUnavailable) as error:
        why = f"Whether the bot may post in its channels is not known: {type(error).__name__}."
        problems.append(Warning(why, hint="Ask again when Telegram answers.", id="posters.W002"))
    return problems


def trouble_with(channel, bot_id):
    """Why the bot cannot post there, or nothing; no message is sent to find out."""
    try:
        # as they come: pyTelegramBotAPI's types want fields that a Bot API server of today may not send
        chat = apihelper.get_chat(bot.token, channel)
        member = apihelper.get_chat_member(bot.token, channel, bot_id)
    except ApiTelegramException as error:
        if error.error_code in (400, 403):
            return f"Telegram says “{error.description}”"
        raise
    status = member.get("status")
    if status in ("left", "kicked"):
        return "the bot is not in it"
    if chat.get("type") == "channel" and status != "creator" and not member.get("can_post_messages"):
        return "the bot has no right to post there"
    return ""
