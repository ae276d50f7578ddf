"""Pictures that the bot draws: sent or shown in the place of another, and drawn once for the same content."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING

from django.core.cache import cache
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from telebot import types
from telebot.apihelper import ApiTelegramException

from config.bot.replies import is_unreachable, try_edit
from config.bot.router import bot
from movies.cards import is_invalid_file_id

if TYPE_CHECKING:
    from config.bot.replies import Keyboard

log = logging.getLogger(__name__)

PICTURE_TTL_SECONDS = 86_400  # for which a picture that shows the same is sent again by its file_id

REFUSED_CODES = (400, 413)  # with which Telegram does not take a file


@dataclass(frozen=True)
class Picture:
    """A picture to be sent: what it shows, as a key; how it is drawn, with whether it may be sent again."""

    key: str
    caption: str
    draw: Callable[[], tuple[bytes, bool]]
    file_name: str

    def file(self, photo: str | bytes) -> str | types.InputFile:
        """The photo for a call: a file_id as it is, bytes as a file."""
        return types.InputFile(BytesIO(photo), file_name=self.file_name) if isinstance(photo, bytes) else photo


def busy() -> str:
    return _("I am drawing pictures for others right now. Please try again in a minute.")


def key_of(kind: str, *shown: object) -> str:
    """Names a picture by its kind and by what it shows, in the active language."""
    digest = hashlib.sha256(repr((get_language(), shown)).encode("utf-8", "replace")).hexdigest()[:40]
    return f"picture:{kind}:{digest}"


def send(chat_id: int, picture: Picture, markup: Keyboard | None = None) -> None:
    """Send a picture; one that was drawn already, by its file_id; one that Telegram refuses, in words. Raises Busy."""

    def by(photo: str | bytes) -> types.Message:
        return bot.send_photo(chat_id, picture.file(photo), picture.caption, reply_markup=markup)

    put(chat_id, picture, by, markup)


def show(message: types.Message | types.InaccessibleMessage, picture: Picture, markup: Keyboard) -> None:
    """Put a picture in the place of a message's, or send it where that can no longer be changed. Raises Busy."""
    chat_id, shown = message.chat.id, list[types.Message]()

    def change(photo: str | bytes) -> None:
        media = types.InputMediaPhoto(picture.file(photo), caption=picture.caption, parse_mode="HTML")
        changed = bot.edit_message_media(media, chat_id, message.message_id, reply_markup=markup)
        shown.extend([changed] if isinstance(changed, types.Message) else [])

    def by(photo: str | bytes) -> types.Message | None:
        if try_edit(partial(change, photo)):
            return shown[-1] if shown else None
        return bot.send_photo(chat_id, picture.file(photo), picture.caption, reply_markup=markup)

    put(chat_id, picture, by, markup)


def put(
    chat_id: int, picture: Picture, by: Callable[[str | bytes], types.Message | None], markup: Keyboard | None
) -> None:
    """Have `by` send or show the picture; in its place, where Telegram refuses it, send what it says as a text."""
    try:
        put_picture(chat_id, picture, by)
    except ApiTelegramException as error:
        if error.error_code not in REFUSED_CODES or is_unreachable(error):
            raise
        log.warning("%s is refused: %s", picture.file_name, error.description)
        bot.send_message(chat_id, picture.caption, reply_markup=markup)


def put_picture(chat_id: int, picture: Picture, by: Callable[[str | bytes], types.Message | None]) -> None:
    """By its file_id where there is one that Telegram knows."""
    if file_id := cache.get(picture.key):
        try:
            by(file_id)
            return
        except ApiTelegramException as error:
            if not is_invalid_file_id(error):
                raise
    bot.send_chat_action(chat_id, "upload_photo")
    content, complete = picture.draw()
    sent = by(content)
    if complete and sent and sent.photo:
        cache.set(picture.key, sent.photo[-1].file_id, PICTURE_TTL_SECONDS)
