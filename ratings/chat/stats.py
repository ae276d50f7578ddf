"""/stats: a picture of their films that people post; its buttons share it, show this year's, and more figures."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.conf import settings
from django.core.cache import cache
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from telebot import types
from telebot.apihelper import ApiTelegramException

from config.bot.replies import (
    answer,
    command_button,
    deep_link,
    is_unreachable,
    keyboard,
    require_private_chat,
)
from config.bot.router import UserError, bot, button, command, deep_link_handler, inline_text, parse_callback_data
from ratings.chat.lists import first_steps
from ratings.chat.pictures import PICTURE_TTL_SECONDS, Picture, busy, key_of, send, show
from ratings.insights.drawing import Busy, drawing_slot
from ratings.insights.posters import poster_images
from ratings.insights.stats import Stats, best_movies, rated_movies, stats_of
from ratings.insights.stats_card import Owner, card_text, draw_stats_card, owner_name
from ratings.insights.stats_image import draw_stats, stats_caption

if TYPE_CHECKING:
    from config.bot.replies import Keyboard, KeyboardButton

MIN_RATINGS = 5  # for a picture
SHARED = "#stats"  # the inline query that shares the picture


@command("stats", gettext_lazy("my films in figures"))
def send_stats(message: types.Message) -> None:
    if require_private_chat(message) and message.from_user:
        send_card(message.chat.id, message.from_user)


@deep_link_handler("stats")
def open_stats(message: types.Message, _rest: str) -> None:
    """From the button under somebody's picture, or of inline mode."""
    send_stats(message)


def send_card(chat_id: int, person: types.User) -> None:
    stats = stats_of(person.id)
    if stats.count < MIN_RATINGS:
        bot.send_message(chat_id, invitation(stats.count), reply_markup=keyboard(*first_steps()))
        return
    picture = card(person, stats, None)
    try:
        send(chat_id, picture, buttons(None))
    except Busy:
        bot.send_message(chat_id, busy(), reply_markup=keyboard([command_button(_("Try again"), "stats")]))
        return
    share(person.id, picture)


def invitation(count: int) -> str:
    """Below five ratings there is nothing to draw."""
    if not count:
        return _("You have no ratings yet. Rate five films, or import your ratings, and I will draw your picture.")
    left = MIN_RATINGS - count
    return ngettext(
        "Rate %(count)d more film, and I will draw your picture.",
        "Rate %(count)d more films, and I will draw your picture.",
        left,
    ) % {"count": left}


@button("stats")
def press(query: types.CallbackQuery) -> None:
    (what,) = parse_callback_data(query, "stats:(all|year|more)")
    if query.message is None or query.message.chat.type != "private":
        raise UserError(_("This button is out of date."))
    person, chat_id = query.from_user, query.message.chat.id
    year = picture_year(person.id) if what == "year" else None
    if what == "year" and year is None:
        raise UserError(
            _(
                "This year you have fewer than five ratings with a date. TMDb does not say when a film was rated, "
                "so only those made here count, or imported with their dates."
            )
        )
    stats = stats_of(person.id, year)
    if stats.count < MIN_RATINGS:
        raise UserError(invitation(stats.count))
    try:
        if what == "more":
            send(chat_id, details(person, stats))
        else:
            picture = card(person, stats, year)
            show(query.message, picture, buttons(year))
            share(person.id, picture)
    except Busy:
        raise UserError(busy()) from None
    answer(query)


def picture_year(user_id: int) -> int | None:
    """This year, or in its first days the last one; None where neither has enough ratings with a date."""
    this_year = timezone.localdate().year
    for year in (this_year, this_year - 1):
        if rated_movies(user_id, year)[:MIN_RATINGS].count() == MIN_RATINGS:
            return year
    return None


def buttons(year: int | None) -> Keyboard:
    period = (_("All time"), "stats:all") if year else (_("This year"), "stats:year")
    return keyboard([share_button()], [period, (_("More figures"), "stats:more")])


def share_button() -> KeyboardButton:
    """Share the picture by inline mode; where the bot's owner has not switched that on, a link to the bot."""
    if bot.user.supports_inline_queries:
        return types.InlineKeyboardButton(_("Share"), switch_inline_query=SHARED)
    link = {"url": deep_link("stats"), "text": _("My films in a picture")}
    return (_("Share"), f"{settings.TELEGRAM_WEB_URL}/share/url?{urlencode(link)}")


# --- The pictures


def card(person: types.User, stats: Stats, year: int | None) -> Picture:
    """The portrait that people post."""
    movies = best_movies(person.id, year)
    owner = Owner(owner_name(person.first_name, person.username), bot.user.username or "")
    shown = [(movie.pk, movie.user_rating, movie.telegram_file_id, movie.local_path) for movie in movies]

    def draw() -> tuple[bytes, bool]:
        posters = poster_images(movies)
        missing = [movie for movie in movies if movie.poster_path and movie.pk not in posters]
        with drawing_slot():
            return draw_stats_card(stats, owner, movies, posters, year), not missing

    key = key_of("stats", person.id, stats, owner, shown, year, timezone.localdate().replace(day=1))
    return Picture(key, escape(card_text(stats, year)), draw, "stats.jpg")


def details(person: types.User, stats: Stats) -> Picture:
    """The dashboard: means, ratings, decades, genres, directors."""

    def draw() -> tuple[bytes, bool]:
        with drawing_slot():
            return draw_stats(stats), True

    key = key_of("figures", person.id, stats, timezone.localdate().replace(day=1))
    return Picture(key, stats_caption(stats), draw, "stats.png")


# --- Sharing


def share(user_id: int, picture: Picture) -> None:
    """Have inline mode offer this picture: what they looked at last."""
    cache.set(f"stats-shared:{user_id}", (picture.key, picture.caption), PICTURE_TTL_SECONDS)


@inline_text(SHARED)
def offer_picture(query: types.InlineQuery) -> None:
    """The picture that the person looked at last, for any chat; only they are offered it."""
    key, text = cache.get(f"stats-shared:{query.from_user.id}") or ("", "")
    file_id = cache.get(key) if key and rated_movies(query.from_user.id).exists() else None
    results: list[types.InlineQueryResultBase] = []
    hint = None
    if file_id:
        markup = keyboard([(_("Draw mine"), deep_link("stats"))])
        photo = types.InlineQueryResultCachedPhoto(
            "stats", file_id, caption=text, parse_mode="HTML", reply_markup=markup
        )
        results.append(photo)
    else:
        hint = types.InlineQueryResultsButton(_("Draw my picture"), start_parameter="stats")
    try:
        bot.answer_inline_query(query.id, results, cache_time=0, is_personal=True, button=hint)
    except ApiTelegramException as error:
        if not is_unreachable(error):
            raise
