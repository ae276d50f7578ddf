"""Files of ratings in the chat: /export sends one, a document is imported."""

import re
from datetime import UTC, datetime
from io import BytesIO

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from telebot import types

from config.bot.replies import answer, edit, require_private_chat
from config.bot.router import UserError, bot, button, command, parse_callback_data
from ratings.files.exporter import LETTERBOXD_MOST, export
from ratings.files.importer import LARGEST, TooManyFiles, receive, replace_kept, ring
from ratings.files.report import TROUBLE
from users.models import User

CSV_NAME = re.compile(r".*\.(csv|tsv|txt)", re.IGNORECASE | re.DOTALL)


@command("export", gettext_lazy("my ratings as a file"))
def send_export(message):
    if not require_private_chat(message):
        return
    content, count = export(message.from_user.id)
    if not count:
        bot.send_message(message.chat.id, _("You have no ratings yet, so there is nothing to save."))
        return
    caption = ngettext("Your %(count)d rating.", "Your %(count)d ratings.", count) % {"count": count}
    caption += " " + _("Letterboxd, programs that read IMDb's lists, spreadsheets and I myself can read this file.")
    if len(content) > LETTERBOXD_MOST:
        caption += " " + _("For Letterboxd, cut it in parts: it takes 1 MB at a time.")
    name = f"kinoteka-{datetime.now(UTC):%Y-%m-%d}.csv"
    bot.send_document(message.chat.id, types.InputFile(BytesIO(content), file_name=name), caption=caption)


@bot.message_handler(content_types=["document"], func=lambda message: message.chat.type == "private")
def take_file(message):
    document = message.document
    text = (document.mime_type or "").startswith("text/") or CSV_NAME.fullmatch(document.file_name or "")
    if not text:
        bot.send_message(
            message.chat.id,
            _("I read ratings from CSV: exports of TMDb, Letterboxd (ratings.csv) and IMDb, and my own (/export)."),
        )
        return
    if (document.file_size or 0) > LARGEST:
        bot.send_message(message.chat.id, str(TROUBLE["too_long"]))
        return
    progress = bot.send_message(message.chat.id, _("Reading your file…"))
    try:
        ring(receive(User.objects.met(message.from_user), document.file_id, progress.message_id))
    except TooManyFiles:
        edit(progress, _("I am still reading the files you sent before. Please send this one after them."))


@button("file")
def take_kept_ratings(query):
    """Import the file once more, this time over the ratings that were kept."""
    (number,) = parse_callback_data(query, r"file:(\d{1,18})")
    file = replace_kept(int(number), query.from_user.id)
    if file is None:
        raise UserError(_("I no longer have this file. Please send it again."))
    edit(query.message, _("Reading your file…"))
    answer(query)
    ring(file)
