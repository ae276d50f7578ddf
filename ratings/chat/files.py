"""Files of ratings in the chat: /export sends one, a document is imported."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from telebot import types

from config.bot.replies import answer, edit, require_private_chat
from config.bot.router import UserError, bot, button, command, parse_callback_data
from ratings.files.exporter import LETTERBOXD_MAX_BYTES, export
from ratings.files.importer import MAX_BYTES, TooManyFiles, enqueue, overwrite_existing, receive
from ratings.files.report import ERROR_TEXTS
from users.models import User

if TYPE_CHECKING:
    from telebot.types import CallbackQuery, Message

CSV_NAME = re.compile(r".*\.(csv|tsv|txt)", re.IGNORECASE | re.DOTALL)


@command("export", gettext_lazy("my ratings as a file"))
def send_export(message: Message) -> None:
    if not require_private_chat(message):
        return
    content, count = export(message.chat.id)  # of a private chat: the user's id
    if not count:
        bot.send_message(message.chat.id, _("You have no ratings yet, so there is nothing to save."))
        return
    caption = ngettext("Your %(count)d rating.", "Your %(count)d ratings.", count) % {"count": count}
    caption += " " + _("Letterboxd, programs that read IMDb's lists, spreadsheets and I myself can read this file.")
    if len(content) > LETTERBOXD_MAX_BYTES:
        caption += " " + _("For Letterboxd, cut it in parts: it takes 1 MB at a time.")
    name = f"kinoteka-{datetime.now(UTC):%Y-%m-%d}.csv"
    bot.send_document(message.chat.id, types.InputFile(BytesIO(content), file_name=name), caption=caption)


@bot.message_handler(content_types=["document"], func=lambda message: message.chat.type == "private")
def import_document(message: Message) -> None:
    document = message.document
    assert document is not None  # by the handler's content type
    if not (document.mime_type or "").startswith("text/") and not CSV_NAME.fullmatch(document.file_name or ""):
        bot.send_message(
            message.chat.id,
            _("I read ratings from CSV: exports of TMDb, Letterboxd (ratings.csv) and IMDb, and my own (/export)."),
        )
        return
    if (document.file_size or 0) > MAX_BYTES:
        bot.send_message(message.chat.id, str(ERROR_TEXTS["too_long"]))
        return
    progress = bot.send_message(message.chat.id, _("Reading your file…"))
    user = User.objects.get_or_create_from_telegram(message.from_user)
    try:
        enqueue(receive(user, document.file_id, progress.message_id))
    except TooManyFiles:
        edit(progress, _("I am still reading the files you sent before. Please send this one after them."))


@button("file")
def overwrite_ratings(query: CallbackQuery) -> None:
    """Import the file again, this time over the ratings that were newer here."""
    (number,) = parse_callback_data(query, r"file:(\d{1,18})")
    file = overwrite_existing(int(number), query.from_user.id)
    if file is None:
        raise UserError(_("I no longer have this file. Please send it again."))
    edit(query.message, _("Reading your file…"))
    answer(query)
    enqueue(file)
