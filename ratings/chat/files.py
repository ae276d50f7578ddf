"""Files of ratings in the chat: /export sends one, a document is imported."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from telebot import types

from config.bot.replies import Keyboard, answer, edit, keyboard, require_private_chat, topic_of
from config.bot.router import UserError, bot, button, command, parse_callback_data
from ratings.chat.lists import first_steps
from ratings.files import deck, report
from ratings.files.exporter import export, export_watchlist
from ratings.files.importer import MAX_BYTES, TooManyFiles, enqueue, receive, restart, set_list, set_scale
from ratings.files.rows import Purpose, Scale
from ratings.models import FileImport
from users.models import User

if TYPE_CHECKING:
    from telebot.types import CallbackQuery, Message

EXPORT_HINTS = {
    "own": gettext_lazy("Opens in Excel, imports into Letterboxd, and I can read it back."),
    "letterboxd": gettext_lazy("Upload it at letterboxd.com/import. It accepts whole points only."),
    "tmdb": gettext_lazy("Upload it at themoviedb.org/settings/import-list."),
}


@command("export", gettext_lazy("my ratings as a file"))
def send_export(message: Message) -> None:
    if require_private_chat(message):
        send_layout(message.chat.id, "own")  # of a private chat: the user's id


@button("export")
def send_export_for(query: CallbackQuery) -> None:
    (layout,) = parse_callback_data(query, "export:(letterboxd|tmdb)")
    send_layout(query.from_user.id, layout)
    answer(query)


def send_layout(user_id: int, layout: str) -> None:
    """Send a user's ratings in a layout, in as many files as it takes, and their list of films to see."""
    files, count = export(user_id, layout)
    wanted = export_watchlist(user_id)
    if not count and not wanted.number:
        text = _("You have no ratings yet, so there is nothing to save.")
        bot.send_message(user_id, text, reply_markup=keyboard(*first_steps()))
        return
    caption = ngettext("Your %(count)d rating.", "Your %(count)d ratings.", count) % {"count": count}
    caption += f" {EXPORT_HINTS[layout]}"
    others = keyboard([(_("For Letterboxd"), "export:letterboxd"), (_("For TMDb"), "export:tmdb")])
    name = "kinoteka" if layout == "own" else f"kinoteka-{layout}"
    for number, content in enumerate(files if count else [], 1):
        part = f"-{number}" if len(files) > 1 else ""
        markup = others if layout == "own" else None
        send_file(user_id, content, f"{name}-{datetime.now(UTC):%Y-%m-%d}{part}.csv", caption, markup)
        caption = ""
    if wanted.number and layout != "tmdb":  # which reads ratings alone
        text = ngettext("Your watchlist: %(count)d film.", "Your watchlist: %(count)d films.", wanted.number)
        text = text % {"count": wanted.number} + " " + _("Opens in Excel, and Letterboxd imports it as a watchlist.")
        send_file(user_id, wanted.files[0], "watchlist.csv", text)


def send_file(chat_id: int, content: bytes, name: str, caption: str, markup: Keyboard | None = None) -> None:
    document = types.InputFile(BytesIO(content), file_name=name)
    bot.send_document(chat_id, document, caption=caption, reply_markup=markup)


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
        enqueue(receive(user, document.file_id, progress.message_id, topic_of(progress), document.file_name or ""))
    except TooManyFiles:
        edit(progress, _("I am still reading the files you sent before. Please send this one after them."))


# --- Buttons below a report


@button("scale")
def choose_scale(query: CallbackQuery) -> None:
    number, scale = parse_callback_data(query, r"scale:(\d{1,18}):(5|10)")
    go_on(query, set_scale(int(number), query.from_user.id, Scale(int(scale))))


@button("listed")
def choose_list(query: CallbackQuery) -> None:
    number, purpose = parse_callback_data(query, r"listed:(\d{1,18}):(wanted|seen)")
    go_on(query, set_list(int(number), query.from_user.id, Purpose(purpose)))


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
        raise UserError(_("You have already decided this one."))
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
