"""/watchlist: the films to see one at a time, in an order, by filters, or one chosen; and all of them as a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from django.db.models import F
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from telebot.types import Message

from config.bot.replies import answer, command_button, edit, edit_buttons, keyboard
from config.bot.router import UserError, bot, button, command, parse_callback_data
from movies.bot import require_original_user
from movies.cards import error_text, send_card
from movies.catalogue import get_movie
from movies.models import Movie
from movies.movie_list import PAGE_SIZE, movie_list_message
from movies.tmdb import TMDbError
from ratings.chat import Page
from ratings.chat.carousel import (
    SEEN,
    Pick,
    Source,
    existing,
    filter_row,
    filters_of,
    prefix,
    register,
    search,
    send,
    show,
    source_of,
)
from ratings.recommendations.dismissals import mark_seen
from ratings.recommendations.recommender import NO_FILTERS
from ratings.watchlist.choice import choose, picked, scores
from ratings.watchlist.entries import set_wanted
from users.models import User

if TYPE_CHECKING:
    from django.db.models.expressions import OrderBy
    from django.utils.functional import Promise
    from telebot.types import CallbackQuery

    from config.bot.replies import KeyboardButton
    from movies.models import MovieQuerySet
    from ratings.models import Carousel

CHUNK = 100  # films that a carousel holds at first; the next ones are found at their end


class Order(NamedTuple):
    """An order of the list: the text of its button and the arguments of order_by(); none: by the recommender."""

    title: str | Promise
    columns: tuple[str | OrderBy, ...]


NEW = "new"
ORDERS = {
    NEW: Order(gettext_lazy("newest"), ("-watchlist__added_at", "-watchlist__place", "id")),
    "short": Order(gettext_lazy("shortest"), (F("runtime").asc(nulls_last=True), "id")),
    "best": Order(gettext_lazy("best for you"), ()),
    "year": Order(gettext_lazy("by year"), (F("year").desc(nulls_last=True), "title", "id")),
}


def in_order(movies: MovieQuerySet, user_id: int, order: str) -> list[int]:
    """The ids of all these movies of the user's list, in the order."""
    if ORDERS[order].columns:
        return list(movies.order_by(*ORDERS[order].columns).values_list("pk", flat=True))
    newest = list(movies.order_by(*ORDERS[NEW].columns).values_list("pk", flat=True))
    by_id = scores(user_id, newest)
    return sorted(newest, key=lambda movie_id: -by_id[movie_id])


def order_rows(chosen: str, data: Callable[[str], str]) -> list[list[KeyboardButton]]:
    """The orders, two in a row: a phone shows no more of their names."""
    row: list[KeyboardButton] = [
        (f"● {order.title}" if key == chosen else str(order.title), data(key)) for key, order in ORDERS.items()
    ]
    return [row[:2], row[2:]]


class Watchlist(Source):
    key = "watchlist"

    def lists_wanted(self, carousel: Carousel) -> bool:
        return True

    def movies(self, carousel: Carousel) -> MovieQuerySet:
        return filters_of(carousel).movies().filter(watchlist__user_id=carousel.user_id)

    def find(self, carousel: Carousel, kept: Sequence[int]) -> list[Pick]:
        known = set(kept)
        ordered = in_order(self.movies(carousel), carousel.user_id, order_of(carousel))
        return [Pick(movie_id) for movie_id in ordered if movie_id not in known][:CHUNK]

    def rows(self, carousel: Carousel, movie: Movie) -> list[list[KeyboardButton]]:
        own = prefix(carousel)
        wanted: KeyboardButton = ("🔖 ✕", f"watch:{movie.pk}:0")
        if not movie.on_watchlist:
            wanted = (_("🔖 Want"), f"watch:{movie.pk}:1")
        decisions: list[KeyboardButton] = [
            (_("👀 Seen it"), f"{own}:watched:{movie.pk}"),
            wanted,
            (_("Card"), f"{own}:open:{movie.pk}"),
        ]
        orders = order_rows(order_of(carousel), lambda key: f"{own}:order:{key}")
        choosing: list[KeyboardButton] = [(_("🎲 Choose for me"), f"{own}:choose")]
        as_list: KeyboardButton = (_("As a list"), list_data(carousel.user_id, order_of(carousel), 0))
        return [decisions, self.paging(carousel), choosing, *orders, [*filter_row(carousel, self), as_list]]

    def paging(self, carousel: Carousel) -> list[KeyboardButton]:
        """[‹] [3 of 250] [›]: of all that fit, though the carousel holds a part of them."""
        own, shown, number = prefix(carousel), carousel.shown, carousel.place + 1
        total = max(self.movies(carousel).count(), len(carousel.films))
        counter = _("%(number)d of %(total)d") % {"number": number, "total": total}
        row: list[KeyboardButton] = [(counter, f"{own}:show:{shown}")]
        if number > 1:
            row.insert(0, ("‹", f"{own}:before:{shown}"))
        if number < total:
            row.append(("›", f"{own}:after:{shown}"))
        return row

    def reason(self, carousel: Carousel, movie: Movie, because: int) -> str:
        return _("🎲 My choice for you") if because == movie.pk else ""

    def nothing(self, carousel: Carousel) -> tuple[str, list[list[KeyboardButton]]]:
        return nothing_wanted(carousel.user_id)

    def press(self, query: CallbackQuery, carousel: Carousel, action: str, argument: str) -> bool:
        if action == "order" and argument in ORDERS:
            carousel.argument = argument
            search(carousel, self)
            show(carousel)
        elif action == "choose":
            choose_for(carousel, self)
        elif action == "open" and argument.isdigit():
            open_card(query, int(argument))
        elif action == "watched" and argument.isdigit():
            watched(query, carousel, int(argument))
        else:
            return False
        answer(query)
        return True


WATCHLIST = register(Watchlist())


def order_of(carousel: Carousel) -> str:
    return carousel.argument if carousel.argument in ORDERS else NEW


@command("watchlist", gettext_lazy("films I want to see"))
def send_watchlist(message: Message) -> None:
    """In a group for whoever asked."""
    user = User.objects.get_or_create_from_telegram(message.from_user)
    send(WATCHLIST, user, message.chat.id, argument=NEW, filters=NO_FILTERS)


def nothing_wanted(user_id: int) -> tuple[str, list[list[KeyboardButton]]]:
    """What is said of an empty list, HTML, and the ways to fill it."""
    text = _("Your watchlist is empty. Press 🔖 on a film's card, and it waits for you here.")
    user = User.objects.filter(pk=user_id).first()
    rows: list[list[KeyboardButton]] = [[command_button(_("Find something to watch"), "recommend")]]
    if user and not user.connected:
        link = command_button(_("Bring my list from TMDb"), "connect")
        rows.append([link, (_("I have a file"), "file_help")])
    return escape(text), rows


def choose_for(carousel: Carousel, source: Watchlist) -> None:
    """Show one film that the recommender thinks well of, and not the one it chose before."""
    fitting = list(source.movies(carousel).values_list("pk", flat=True))
    movie_id = choose(carousel.user_id, fitting, shown=carousel.shown)
    if movie_id is not None:
        carousel.films = [film for film in carousel.films if film[0] != movie_id]
        carousel.films.insert(0, [movie_id, movie_id])  # its own reason
        carousel.shown = movie_id
    show(carousel)


def watched(query: CallbackQuery, carousel: Carousel, movie_id: int) -> None:
    """Take the film off, and ask how it was."""
    movie_id = existing(movie_id).pk
    user = User.objects.get_or_create_from_telegram(query.from_user)
    if set_wanted(user, movie_id, False):
        mark_seen(user, movie_id)
    if movie_id in carousel.movie_ids:
        carousel.shown = movie_id
        show(carousel, SEEN)
    else:
        show(carousel)


def open_card(query: CallbackQuery, movie_id: int) -> None:
    """Send the film's card; the user may be asked in some days whether they have seen it."""
    assert query.message is not None  # a button of ours
    try:
        movie = get_movie(movie_id, query.from_user.id)
    except TMDbError as error:
        raise UserError(error_text(error)) from error
    picked(query.from_user.id, movie.pk)
    send_card(query.message.chat.id, movie)


# --- As a list


def list_data(user_id: int, order: str, page: int) -> str:
    return f"watchlist:{order}:{page}:{user_id}"


def list_page(user_id: int, order: str, page: int, marks: bool) -> Page:
    """One page of the whole list, with 🔖 for each film or without; the last one where it is shorter by now."""
    movies = Movie.objects.filter(watchlist__user_id=user_id)
    ids = in_order(movies, user_id, order)
    total = len(ids)
    if not total:
        text, rows = nothing_wanted(user_id)
        return {"text": text, "reply_markup": keyboard(*rows)}
    page = min(page, (total - 1) // PAGE_SIZE)
    shown_ids = ids[page * PAGE_SIZE : (page + 1) * PAGE_SIZE]
    found = Movie.objects.with_user_rating(None).in_bulk(shown_ids)
    heading = ngettext("%(count)d film on your watchlist", "%(count)d films on your watchlist", total) % {
        "count": total
    }
    contents = movie_list_message(
        heading,
        [found[movie_id] for movie_id in shown_ids if movie_id in found],
        page,
        total,
        page_data=lambda page: list_data(user_id, order, page),
        rows=order_rows(order, lambda key: list_data(user_id, key, 0)),
        card_data=lambda movie_id: f"wanted:{movie_id}:{user_id}",
        marks=marks,
    )
    return {**contents}


@button("watchlist")
def show_list(query: CallbackQuery) -> None:
    """A page of the list: from the carousel as a new message, else in place."""
    order, page, owner = parse_callback_data(query, rf"watchlist:({'|'.join(ORDERS)}):(\d{{1,5}}):(\d{{1,20}})")
    message = require_original_user(query, owner)
    marks = message.chat.type == "private"  # in a group others press, too, and mean their own lists
    contents = list_page(query.from_user.id, order, int(page), marks)
    if source_of(message) or not edit(message, **contents):
        bot.send_message(message.chat.id, **contents)
    answer(query)


@button("wanted")
def open_from_list(query: CallbackQuery) -> None:
    movie_id, owner = parse_callback_data(query, r"wanted:(\d{1,10}):(\d{1,20})")
    require_original_user(query, owner)
    open_card(query, int(movie_id))
    answer(query)


@button("notyet")
def not_yet(query: CallbackQuery) -> None:
    """The film stays on the list, and is not asked about again."""
    parse_callback_data(query, r"notyet:(\d{1,10})")
    edit_buttons(query.message)
    answer(query, _("It stays on your watchlist."))
