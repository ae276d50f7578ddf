"""Files of ratings in the chat: /export sends one, a document is imported."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from telebot import types

from config.bot.replies import answer, edit, require_private_chat
from config.bot.router import UserError, bot, button, command, parse_callback_data
from ratings.files import deck, report
from ratings.files.exporter import LETTERBOXD_MAX_BYTES, export
from ratings.files.importer import MAX_BYTES, TooManyFiles, enqueue, receive, restart, set_scale
from ratings.files.rows import Scale
from ratings.models import FileImport
from users.models import User

if TYPE_CHECKING:
    from telebot.types import CallbackQuery, Message


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
    send_file(message.chat.id, content, f"kinoteka-{datetime.now(UTC):%Y-%m-%d}.csv", caption)


def send_file(chat_id: int, content: bytes, name: str, caption: str) -> None:
    bot.send_document(chat_id, types.InputFile(BytesIO(content), file_name=name), caption=caption)


@bot.message_handler(content_types=["document"], func=lambda message: message.chat.type == "private")
def import_document(message: Message) -> None:
    document = message.document
    assert document is not None  # by the handler's content type
    if (document.file_size or 0) > MAX_BYTES:
        bot.send_message(message.chat.id, str(report.ERROR_TEXTS["too_long"]))
        return
    progress = bot.send_message(message.chat.id, _("Reading your file…"))
    user = User.objects.get_or_create_from_telegram(message.from_user)
    try:
        enqueue(receive(user, document.file_id, progress.message_id))
    except TooManyFiles:
        edit(progress, _("I am still reading the files you sent before. Please send this one after them."))


# --- Buttons below a report


@button("scale")
def choose_scale(query: CallbackQuery) -> None:
    number, scale = parse_callback_data(query, r"scale:(\d{1,18}):(5|10)")
    go_on(query, set_scale(int(number), query.from_user.id, Scale(int(scale))))


@button("file")
def overwrite_ratings(query: CallbackQuery) -> None:
    """Take the file's ratings where those here were newer."""
    (number,) = parse_callback_data(query, r"file:(\d{1,18})")
    go_on(query, restart(int(number), query.from_user.id, FileImport.Stage.OVERWRITE))


@button("undo")
def undo_import(query: CallbackQuery) -> None:
    """Give the ratings that the file set the values they had."""
    (number,) = parse_callback_data(query, r"undo:(\d{1,18})")
    go_on(query, restart(int(number), query.from_user.id, FileImport.Stage.UNDO))


def go_on(query: CallbackQuery, file: FileImport | None) -> None:
    """Have a worker go on with a file, and say so in its message."""
    if file is None:
        raise UserError(_("I no longer have this file. Please send it again."))
    edit(query.message, report.report(file)[0])
    answer(query)
    enqueue(file)


@button("lost")
def send_not_found(query: CallbackQuery) -> None:
    (number,) = parse_callback_data(query, r"lost:(\d{1,18})")
    caption = _("What I did not find. Correct the titles or years and send me the file again.")
    send_file(query.from_user.id, deck.not_found_csv(own_file(query, number)), "not-found.csv", caption)
    answer(query)


# --- The deck of rows that are not certain


@button("deck")
def open_deck(query: CallbackQuery) -> None:
    (number,) = parse_callback_data(query, r"deck:(\d{1,18})")
    text, markup = deck.page(own_file(query, number))
    bot.send_message(query.from_user.id, text, reply_markup=markup)
    answer(query)


@button("pick")
def choose_movie(query: CallbackQuery) -> None:
    row_id, movie_id = parse_callback_data(query, r"pick:(\d{1,18}):(\d{1,10})")
    turn_page(query, deck.choose(int(row_id), query.from_user.id, int(movie_id)))


@button("skip")
def skip_rows(query: CallbackQuery) -> None:
    (number,) = parse_callback_data(query, r"skip:(\d{1,18})")
    turn_page(query, deck.skip_all(int(number), query.from_user.id))


def turn_page(query: CallbackQuery, file: FileImport | None) -> None:
    """Show the next undecided row in place of this one, and what has become of the file in its report."""
    if file is None:
        raise UserError(_("This one is decided already."))
    text, markup = deck.page(file)
    if not edit(query.message, text, markup):
        bot.send_message(query.from_user.id, text, reply_markup=markup)
    answer(query)
    report.notify(file)


def own_file(query: CallbackQuery, number: str) -> FileImport:
    """A file of the user's own that was not undone. Raises UserError."""
    file = FileImport.objects.filter(pk=int(number), user_id=query.from_user.id).first()
    if file is None:
        raise UserError(_("I no longer have this file. Please send it again."))
    return file
