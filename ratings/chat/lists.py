"""What the user has rated: /rated, a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from django.db.models import F
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from config.bot.replies import answer, command_button, edit, keyboard, require_private_chat
from config.bot.router import UserError, bot, button, command, parse_callback_data
from movies.models import Movie
from movies.movie_list import PAGE_SIZE, movie_list_message
from ratings.chat import Page

if TYPE_CHECKING:
    from django.db.models.expressions import OrderBy
    from django.utils.functional import Promise
    from telebot import types

    from config.bot.replies import KeyboardButton


class Order(NamedTuple):
    """An order of /rated: the text of its button and the arguments of order_by()."""

    title: str | Promise
    columns: tuple[str | OrderBy, ...]


ORDERS = {
    "new": Order(gettext_lazy("newest"), ("-rated_at", "id")),
    "high": Order(gettext_lazy("highest"), ("-user_rating", "-rated_at", "id")),
    "year": Order(gettext_lazy("by year"), (F("year").desc(nulls_last=True), "title", "id")),
}


@command("rated", gettext_lazy("films you have rated"))
def send_rated(message: types.Message) -> None:
    if require_private_chat(message):
        bot.send_message(message.chat.id, **rated_page(message.chat.id, "new", 0))


@button("rated")
def show_rated_page(query: types.CallbackQuery) -> None:
    order, page = parse_callback_data(query, rf"rated:({'|'.join(ORDERS)}):(\d{{1,5}})")
    if query.message is None or query.message.chat.type != "private":
        raise UserError(_("This button is out of date."))
    edit(query.message, **rated_page(query.from_user.id, order, int(page)))
    answer(query)


def first_steps() -> list[list[KeyboardButton]]:
    """Where ratings come from."""
    return [
        [command_button(_("Start rating"), "recommend")],
        [command_button(_("Connect TMDb"), "connect"), (_("I have a file"), "file_help")],
    ]


def rated_page(user_id: int, order: str, page: int) -> Page:
    """Text and keyboard of one page of the movies a user has rated; the last one where there are fewer by now."""
    movies = Movie.objects.rated_by(user_id)
    total = movies.count()
    if not total:
        text = _("You have not rated any film yet. Send me a title, and rate it on its card.")
        return {"text": text, "reply_markup": keyboard(*first_steps())}
    page = min(page, (total - 1) // PAGE_SIZE)
    heading = ngettext("You have rated %(count)d film", "You have rated %(count)d films", total) % {"count": total}
    order_buttons: list[KeyboardButton] = [
        (f"● {each.title}" if key == order else str(each.title), f"rated:{key}:0") for key, each in ORDERS.items()
    ]
    shown = list(movies.order_by(*ORDERS[order].columns)[page * PAGE_SIZE : (page + 1) * PAGE_SIZE])
    return {
        **movie_list_message(heading, shown, page, total, lambda page: f"rated:{order}:{page}", rows=[order_buttons])
    }
