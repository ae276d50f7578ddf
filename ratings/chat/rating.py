"""Rating films in the chat: the buttons of a card, /rate, and a number in reply to a card."""

from __future__ import annotations

import re
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from telebot.types import Message
from telebot.util import extract_arguments

from config.bot.replies import KeyboardButton, answer, edit, keyboard, reply_to
from config.bot.router import UserError, bot, button, command, parse_callback_data
from config.monitoring import metrics
from movies.cards import (
    OUT_OF_TEN,
    display_title,
    error_text,
    format_rating,
    is_rating_reply,
    last_card,
    movie_of_bare_number,
    movie_on_card,
    nothing_found,
    replace_card_buttons,
    send_card,
    show_rating,
    show_rating_on_last_card,
)
from movies.catalogue import Found, find_movies, get_movie
from movies.movie_list import PAGE_SIZE, button_label
from movies.query import Query
from movies.tmdb import TMDbError
from ratings.chat.carousel import SOURCES, carousel_of, rated_elsewhere
from ratings.rate import points_in, rate, take_back
from users.models import User

if TYPE_CHECKING:
    from telebot.types import CallbackQuery

    from movies.models import Movie

MAX_TITLE_LENGTH = 60
MAX_NUMBER_LENGTH = 20  # characters of a typed number that a button carries
RATED_OUT_OF_TEN = re.compile(rf"(?:(?P<movie>.*\S)\s+)?(?P<rating>[0-9][0-9.,]{{0,3}}{OUT_OF_TEN})", re.DOTALL)

# --- The buttons of a card


@button("rate")
def rate_by_button(query: CallbackQuery) -> None:
    """One tap rates. The same tap again asks, in place of the buttons, whether to take the rating back.

    A card in a group is for all its members: it rates for the one who taps, tells only them, and shows no rating.
    """
    movie_id, rating = parse_callback_data(query, r"rate:(\d{1,10}):(10|[1-9](?:\.5)?|0\.5)")
    carousel = carousel_of(query)
    movie, value = movie_of(query, movie_id), Decimal(rating)
    if carousel:
        # a press that comes twice finds the film rated, and gone from the list
        undo = undo_of(movie) if movie.pk in carousel.movie_ids else "rate"
        taken_off = rate(User.objects.get_or_create_from_telegram(query.from_user), movie.pk, value)
        movie.user_rating = value
        metrics.increment(f"carousel.{carousel.source}.rated")
        SOURCES[carousel.source].rated(carousel, movie.pk, undo)
        answer(query, rated_text(taken_off) % texts_of(movie))
        return
    if movie.user_rating == value:
        ask_to_take_back(query, movie)
        return
    undo = undo_of(movie)
    taken_off = rate(User.objects.get_or_create_from_telegram(query.from_user), movie.pk, value)
    movie.user_rating, movie.on_watchlist = value, False
    answer(query, rated_text(taken_off) % texts_of(movie))
    if isinstance(query.message, Message) and movie_on_card(query.message) is None:  # a question, not a card
        if is_question_to(query.from_user.id, query.message):
            edit(query.message, escaped(rated_text(taken_off), movie))
        user_id = query.from_user.id
        if query.message.chat.type == "private" and not rated_elsewhere(last_card(user_id), user_id, movie.pk, undo):
            show_rating_on_last_card(user_id, movie)
    else:
        show_rating(query.message, movie)


def is_question_to(user_id: int, question: Message) -> bool:
    """Whether a press answers the question: in a group others rate by its buttons too, and it stays for who asked."""
    asked = question.reply_to_message
    return question.chat.type == "private" or bool(asked and asked.from_user and asked.from_user.id == user_id)


def undo_of(movie: Movie) -> str:
    """How a carousel may take the coming rating back: not where the movie has one, which would be lost as well."""
    return "rate" if movie.user_rating is None else ""


def rated_text(taken_off: bool) -> str:
    """What is said of a new rating; `taken_off`: the movie was on the user's list of films to see."""
    if taken_off:
        return _("“%(title)s”: your rating is %(rating)s. I took it off your watchlist.")
    return _("“%(title)s”: your rating is %(rating)s.")


def ask_to_take_back(query: CallbackQuery, movie: Movie) -> None:
    asked = query.message and query.message.chat.type == "private"
    if asked and replace_card_buttons(
        query.message,
        [(_("Remove my rating: %(rating)s") % texts_of(movie), f"unrate:{movie.pk}")],
        [(_("Keep it"), f"keep:{movie.pk}")],
    ):
        answer(query, _("Your rating is %(rating)s already. Remove it?") % texts_of(movie))
    else:
        text = _("“%(title)s”: your rating is %(rating)s already. To remove it, send me the title privately.")
        answer(query, text % texts_of(movie), alert=True)


@button("unrate")
def take_back_by_button(query: CallbackQuery) -> None:
    (movie_id,) = parse_callback_data(query, r"unrate:(\d{1,10})")
    movie = movie_of(query, movie_id)
    taken = take_back(User.objects.get_or_create_from_telegram(query.from_user), movie.pk)
    movie.user_rating = None
    answer(query, _("Your rating has been removed.") if taken else _("You have not rated this film."))
    show_rating(query.message, movie)


@button("keep")
def cancel_take_back(query: CallbackQuery) -> None:
    (movie_id,) = parse_callback_data(query, r"keep:(\d{1,10})")
    movie = movie_of(query, movie_id)
    answer(query)
    show_rating(query.message, movie)


def movie_of(query: CallbackQuery, movie_id: str) -> Movie:
    """The movie of a button. Raises UserError."""
    try:
        return get_movie(int(movie_id), query.from_user.id)
    except TMDbError as error:
        raise UserError(error_text(error)) from error


def texts_of(movie: Movie) -> dict[str, str]:
    """What messages name: the title, and the rating, '' where there is none."""
    rating = format_rating(movie.user_rating) if movie.user_rating is not None else ""
    return {"title": display_title(movie, MAX_TITLE_LENGTH), "rating": rating}


# --- Half points


@command("rate", gettext_lazy("rate a film in half points"))
def rate_by_command(message: Message) -> None:
    """/rate 603 7.5, /rate The Matrix 7.5, or /rate 7.5 in reply to a card."""
    sender_id = message.from_user.id if message.from_user else None
    movie_text, rating_text = movie_and_rating((extract_arguments(message.text or "") or "").strip())
    movie_id = movie_on_card(message.reply_to_message)
    if movie_text:
        try:
            query = Query.parse(movie_text)
            movie_id = query.movie_id
            is_search = bool(query.title or movie_id is None)  # 1917 may be an id and a title
            found = find_movies(movie_text, sender_id) if is_search and points_in(rating_text) else Found([])
        except TMDbError as error:
            reply(message, error_text(error))
            return
        movies = found.movies
        if len(movies) > 1 or (found.is_guess and movies):
            ask_which(message, movies, rating_text)
            return
        if not movies and movie_id is None and points_in(rating_text):
            reply(message, nothing_found())
            return
        movie_id = movies[0].pk if movies else movie_id
    if movie_id is None:
        reply(message, _("Which film and what rating? For example: /rate The Matrix 7.5"))
        return
    rate_by_text(message, movie_id, rating_text)


def movie_and_rating(text: str) -> tuple[str, str]:
    """What /rate is given: the last word is the rating, or the last words, as in "8 из 10"."""
    if found := RATED_OUT_OF_TEN.fullmatch(text):
        return found["movie"] or "", found["rating"]
    movie, _space, rating = text.rpartition(" ")
    return movie, rating


def ask_which(message: Message, movies: list[Movie], rating_text: str) -> None:
    """A button for each film that may be meant, which rates it."""
    rating = format_rating(points_in(rating_text) or Decimal(0))
    rows: list[list[KeyboardButton]] = [[(button_label(one), f"rate:{one.pk}:{rating}")] for one in movies[:PAGE_SIZE]]
    question = _("Which film gets %(rating)s?") % {"rating": rating}
    bot.send_message(message.chat.id, question, reply_parameters=reply_to(message), reply_markup=keyboard(*rows))


@bot.message_handler(
    content_types=["text"],
    func=lambda message: (
        not message.text.startswith("/") and not is_rating_reply(message) and movie_of_bare_number(message) is not None
    ),
)
def ask_about_number(message: Message) -> None:
    """A number after a card, without Telegram's gesture of a reply: is it a rating, or a title?"""
    movie_id, value = movie_of_bare_number(message), points_in(message.text or "")
    movie = get_movie(movie_id, message.chat.id) if movie_id else None
    if movie is None or value is None:
        return
    typed, rating = " ".join((message.text or "").split())[:MAX_NUMBER_LENGTH], format_rating(value)
    title = display_title(movie, MAX_TITLE_LENGTH)
    rows: list[list[KeyboardButton]] = [
        [(_("Rate it %(rating)s") % {"rating": rating}, f"rate:{movie.pk}:{rating}")],
        [(_("Search for “%(text)s”") % {"text": typed}, f"find:{typed}")],
    ]
    text = _("Rate “%(title)s” %(rating)s?") % {"title": escape(title), "rating": rating}
    bot.send_message(message.chat.id, text, reply_markup=keyboard(*rows))


@bot.message_handler(
    content_types=["text"],
    func=lambda message: (
        message.chat.type == "private" and not message.text.startswith("/") and is_rating_reply(message)
    ),
)
def rate_by_reply(message: Message) -> None:
    """A number in reply to a card, which then shows it."""
    card = message.reply_to_message
    movie_id = movie_on_card(card)
    assert movie_id is not None  # is_rating_reply() has seen it
    rate_by_text(message, movie_id, message.text or "", card=card)


def rate_by_text(message: Message, movie_id: int, rating_text: str, card: Message | None = None) -> None:
    """Rate by what the user typed; the result is shown on `card`, else on a new card, in a group as a text."""
    value = points_in(rating_text)
    if value is None:
        reply(message, _("A rating is a number from 0.5 to 10 in half points: 7 or 7.5."))
        return
    try:
        movie = get_movie(movie_id, message.from_user.id if message.from_user else None)
    except TMDbError as error:
        reply(message, error_text(error))
        return
    undo = undo_of(movie)
    taken_off = rate(User.objects.get_or_create_from_telegram(message.from_user), movie.pk, value)
    movie.user_rating, movie.on_watchlist = value, False
    if message.chat.type == "private" and not card:
        send_card(message.chat.id, movie)
        if taken_off:
            reply(message, _("I took it off your watchlist."))
        return
    if not rated_elsewhere(card, message.chat.id, movie.pk, undo):
        show_rating(card, movie)
    reply(message, escaped(rated_text(taken_off), movie))


def escaped(text: str, movie: Movie) -> str:
    return text % {name: escape(value) for name, value in texts_of(movie).items()}


def reply(message: Message, text: str) -> None:
    bot.send_message(message.chat.id, text, reply_parameters=reply_to(message))
