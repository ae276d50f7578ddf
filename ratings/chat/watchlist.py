"""The list of films to see: the button 🔖 on whatever message shows a film."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from telebot.apihelper import ApiTelegramException
from telebot.types import InlineKeyboardButton, Message

from config.bot.replies import Keyboard, answer, edit_buttons, is_not_modified, is_unreachable, keyboard
from config.bot.router import UserError, bot, button, parse_callback_data
from config.monitoring import metrics
from movies.cards import error_text, shared_buttons, watch_button
from movies.catalogue import get_movie
from movies.movie_list import numbered_mark
from movies.tmdb import TMDbError
from ratings.chat.carousel import SOURCES, carousel_of, go_on, show, standing
from ratings.watchlist.entries import set_wanted
from users.models import User

if TYPE_CHECKING:
    from telebot.types import CallbackQuery

    from movies.models import Movie


@button("watch")
def watch(query: CallbackQuery) -> None:
    """Put the film on the list of the user who presses, or take it off; the button then does the opposite.

    The data says which, so that a press that comes twice does no more than one.
    """
    movie_id, wanted = parse_callback_data(query, r"watch:(\d{1,10}):([01])")
    carousel = carousel_of(query)
    try:
        movie = get_movie(int(movie_id), query.from_user.id)
    except TMDbError as error:
        raise UserError(error_text(error)) from error
    user = User.objects.get_or_create_from_telegram(query.from_user)
    stood = standing(user.pk, movie.pk)
    changed = set_wanted(user, movie.pk, wanted == "1")
    movie.on_watchlist = wanted == "1"
    if carousel:
        if changed and movie.on_watchlist:
            metrics.increment(f"carousel.{carousel.source}.wanted")
        if movie.on_watchlist and SOURCES[carousel.source].lists_wanted(carousel):
            show(carousel)  # it belongs there
        else:
            go_on(carousel, movie.pk, "watch" if movie.on_watchlist else f"unwatch{stood}")
    else:
        show_mark(query, movie)
    answer(query, toggled_text(movie, changed))


def toggled_text(movie: Movie, changed: bool) -> str:
    if movie.on_watchlist:
        return _("Added") if changed else _("Already on your watchlist")
    return _("Removed") if changed else _("Not on your watchlist")


def show_mark(query: CallbackQuery, movie: Movie) -> None:
    """Change the button in place. What several people read keeps a button for each way instead."""
    if query.inline_message_id:
        edit_inline(query.inline_message_id, keyboard(*shared_buttons(movie, undo=True)))
    elif isinstance(query.message, Message) and query.message.reply_markup:
        edit_buttons(query.message, with_mark(query.message, movie))


def with_mark(message: Message, movie: Movie) -> Keyboard:
    """The message's own buttons with the new 🔖, whatever else they are."""
    mark = watch_button(movie)
    assert isinstance(mark, tuple)
    rows: list[list[InlineKeyboardButton]] = []
    for row in message.reply_markup.keyboard if message.reply_markup else []:
        if not any(is_mark(one, movie.pk) for one in row):
            rows.append(row)
        elif message.chat.type == "private":
            changed = [InlineKeyboardButton(label_like(one.text, mark[0], movie), callback_data=mark[1]) for one in row]
            rows.append([new if is_mark(one, movie.pk) else one for one, new in zip(row, changed, strict=True)])
        else:
            shared = shared_buttons(movie, undo=True)[-1]
            both = [InlineKeyboardButton(text, callback_data=data) for text, data in shared]  # type: ignore[misc]
            rows.append([*both, *(one for one in row if not is_mark(one, movie.pk))])
    return keyboard(*rows)  # type: ignore[arg-type]  # a list of buttons is a list of what may be one


def label_like(text: str, label: str, movie: Movie) -> str:
    """In a list the button keeps the movie's number."""
    numbered = re.fullmatch(r"🔖 (\d+)( ✕)?", text)
    return numbered_mark(numbered[1], movie.on_watchlist) if numbered else label


def is_mark(one: InlineKeyboardButton, movie_id: int) -> bool:
    return (one.callback_data or "") in (f"watch:{movie_id}:0", f"watch:{movie_id}:1")


def edit_inline(inline_message_id: str, markup: Keyboard) -> None:
    """Change the buttons of a message sent by inline mode; one that is gone is no error."""
    try:
        bot.edit_message_reply_markup(inline_message_id=inline_message_id, reply_markup=markup)
    except ApiTelegramException as error:
        if not is_not_modified(error) and not is_unreachable(error):
            raise
