"""Pictures that the bot draws: sent or shown in the place of another, and drawn once for the same content."""

from __future__ import annotations

import hashlib
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

from config.bot.replies import try_edit
from config.bot.router import bot
from movies.cards import is_invalid_file_id

if TYPE_CHECKING:
    from config.bot.replies import Keyboard

PICTURE_TTL_SECONDS = 86_400  # for which a picture that shows the same is sent again by its file_id


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
    return _("I am drawing pictures for others just now. Please try again in a minute.")


def key_of(kind: str, *shown: object) -> str:
    """Names a picture by its kind and by what it shows, in the active language."""
    digest = hashlib.sha256(repr((get_language(), shown)).encode("utf-8", "replace")).hexdigest()[:40]
    return f"picture:{kind}:{digest}"


def send(chat_id: int, picture: Picture, markup: Keyboard | None = None) -> None:
    """Send a picture; one that was drawn already, by its file_id. Raises Busy."""

    def by(photo: str | bytes) -> types.Message:
        return bot.send_photo(chat_id, picture.file(photo), picture.caption, reply_markup=markup)

    put(chat_id, picture, by)


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

    put(chat_id, picture, by)


def put(chat_id: int, picture: Picture, by: Callable[[str | bytes], types.Message | None]) -> None:
    """Have `by` send or show the picture, by its file_id where there is one that Telegram knows."""
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
