"""Django checks: whether posters can be stored on the disk and uploaded to their channels."""

import os
import tempfile
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning, register
from telebot import apihelper
from telebot.apihelper import ApiException, ApiTelegramException

from config.bot.client import FileNotServed, TelegramUnavailable, download, max_retry_wait
from config.bot.router import bot
from config.checks import NOT_CHECKED
from movies.models import Movie, PosterStatus
from movies.tmdb import MAX_IMAGE_BYTES, KeyRefused, Unavailable
from posters import image_server

CHANNEL_HINT = (
    "Make a private channel, make the bot an administrator who may post there, and put the channel's id into .env."
)


@register()
def check_poster_settings(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """There is a channel for posters, and POSTER_DIR can be written."""
    problems: list[CheckMessage] = []
    if not settings.TELEGRAM_POSTER_CHANNELS:
        problems.append(
            Warning(
                "TELEGRAM_POSTER_CHANNELS is empty: posters stay on the disk, and cards upload them each for itself.",
                hint=CHANNEL_HINT,
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
def check_poster_dir(app_configs: Any, **options: Any) -> list[CheckMessage]:
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
def check_images(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """TMDb's images can be had."""
    error = image_server.problem()
    if isinstance(error, KeyRefused):  # another check reports the key
        return [Info("TMDb refuses the key.", id=NOT_CHECKED)]
    if error is None:
        return []
    hint = "Look at TMDB_IMAGE_URL and at what is in front of it; posters wait and are fetched when it answers."
    if isinstance(error, Unavailable):
        return [Warning(f"TMDb's images cannot be reached ({error}).", hint=hint, id="posters.W003")]
    return [Error(f"TMDB_IMAGE_URL gives no images ({error}).", hint=hint, id="posters.E004")]


@register("services", deploy=True)
def check_channels(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """The bot may post in each channel."""
    if not settings.TELEGRAM_POSTER_CHANNELS:
        return [Error("TELEGRAM_POSTER_CHANNELS is empty.", hint=CHANNEL_HINT, id="posters.E002")]
    if not settings.TELEGRAM_BOT_TOKEN:
        return [Info("Without TELEGRAM_BOT_TOKEN.", id=NOT_CHECKED)]
    problems: list[CheckMessage] = []
    try:
        with max_retry_wait(0):
            me = bot.get_me().id
            for channel in settings.TELEGRAM_POSTER_CHANNELS:
                if why := channel_problem(channel, me):
                    problems.append(Error(f"Channel {channel}: {why}.", hint=CHANNEL_HINT, id="posters.E003"))
    except (ApiException, TelegramUnavailable) as error:
        why = f"Whether the bot may post in its channels is not known: {type(error).__name__}."
        problems.append(Warning(why, hint="Ask again when Telegram answers.", id="posters.W002"))
    return problems


@register("services", deploy=True)
def check_files(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """What is in Telegram can be read, as files that people send must be (tried with a poster, once there is one)."""
    poster = (
        Movie.objects.filter(poster_status=PosterStatus.TELEGRAM).values_list("telegram_file_id", flat=True).first()
    )
    if not poster or not settings.TELEGRAM_BOT_TOKEN:
        return [Info("No poster is in Telegram yet to try it with.", id=NOT_CHECKED)]
    try:
        with max_retry_wait(0):
            download(poster, MAX_IMAGE_BYTES)
    except FileNotServed:
        why = "The Bot API server at TELEGRAM_API_URL does not give the files that people send."
        hint = "Start the Bot API server without --local, or let this user read its folder under the same path."
        return [Error(why, hint=hint, id="posters.E004")]
    except (ApiException, TelegramUnavailable) as error:  # another bot's poster, which upload_posters notices; or none
        return [Info(f"The file could not be asked for ({type(error).__name__}).", id=NOT_CHECKED)]
    return []


def channel_problem(channel_id: int | str, bot_id: int) -> str:
    """Why the bot cannot post there, empty where it can; no message is sent to find out."""
    try:
        # raw answers: pyTelegramBotAPI's types want fields that a Bot API server of today may not send
        chat = apihelper.get_chat(bot.token, channel_id)
        member = apihelper.get_chat_member(bot.token, channel_id, bot_id)
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
