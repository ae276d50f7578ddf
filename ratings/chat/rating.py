"""Rating films in the chat: the buttons of a card, /rate, and a number in reply to a card."""

from decimal import Decimal
from html import escape

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from telebot.util import extract_arguments

from config.bot.replies import answer, reply_to
from config.bot.router import UserError, bot, button, command, parse_callback_data
from movies.cards import ask_on_card, excuse, movie_on_card, name, points, rates_by_reply, send_card, show_rating
from movies.catalogue import Query, get_movie
from movies.tmdb import TMDbError
from ratings.rate import points_in, rate, take_back
from users.models import User

# --- The buttons of a card


@button("rate")
def rate_by_button(query):
    """One tap rates. The same tap again asks, in the place of the buttons, whether to take the rating back.

    A card in a group is everybody's: it rates for whoever taps, says so to them alone, and shows nobody's rating.
    """
    movie_id, value = parse_callback_data(query, r"rate:(\d{1,10}):(10|[1-9])")
    movie, value = film(query, movie_id), Decimal(value)
    if movie.mine == value:
        ask_to_take_back(query, movie)
        return
    rate(User.objects.met(query.from_user), movie.pk, value)
    movie.mine = value
    answer(query, _("“%(title)s”: your rating is %(rating)s.") % facts(movie))
    show_rating(query.message, movie)


def ask_to_take_back(query, movie):
    asked = query.message and query.message.chat.type == "private"
    if asked and ask_on_card(
        query.message,
        [(_("Take my rating back: %(rating)s") % facts(movie), f"unrate:{movie.pk}")],
        [(_("Keep it"), f"keep:{movie.pk}")],
    ):
        answer(query, _("Your rating is %(rating)s already. Take it back?") % facts(movie))
    else:
        text = _("“%(title)s”: your rating is %(rating)s already. To take it back, send me the title privately.")
        answer(query, text % facts(movie), alert=True)


@button("unrate")
def take_back_by_button(query):
    (movie_id,) = parse_callback_data(query, r"unrate:(\d{1,10})")
    movie = film(query, movie_id)
    taken = take_back(User.objects.met(query.from_user), movie.pk)
    movie.mine = None
    answer(query, _("Your rating has been taken back.") if taken else _("You have not rated this film."))
    show_rating(query.message, movie)


@button("keep")
def keep(query):
    (movie_id,) = parse_callback_data(query, r"keep:(\d{1,10})")
    movie = film(query, movie_id)
    answer(query)
    show_rating(query.message, movie)


def film(query, movie_id):
    try:
        return get_movie(int(movie_id), query.from_user.id)
    except TMDbError as error:
        raise UserError(excuse(error)) from error


def facts(movie):
    return {"title": name(movie, 60), "rating": points(movie.mine)}


# --- Half points


@command("rate", gettext_lazy("rate a film in half points"))
def rate_by_command(message):
    """/rate 603 7.5, or /rate 7.5 in reply to a card."""
    film_text, _space, value_text = (extract_arguments(message.text) or "").strip().rpartition(" ")
    movie_id = Query.parse(film_text).movie_id if film_text else movie_on_card(message.reply_to_message)
    if movie_id is None:
        reply(message, _("Which film, and how much? For example: /rate 603 7.5. The number is the film's TMDb id."))
        return
    rate_in_words(message, movie_id, value_text)


@bot.message_handler(
    content_types=["text"],
    func=lambda message: (
        message.chat.type == "private" and not message.text.startswith("/") and rates_by_reply(message)
    ),
)
def rate_by_reply(message):
    """A number in reply to a card, which then shows it."""
    rate_in_words(message, movie_on_card(message.reply_to_message), message.text, card=message.reply_to_message)


def rate_in_words(message, movie_id, value_text, card=None):
    value = points_in(value_text)
    if value is None:
        reply(message, _("A rating is a number from 0.5 to 10 in half points: 7 or 7.5."))
        return
    try:
        movie = get_movie(movie_id, message.from_user.id)
    except TMDbError as error:
        reply(message, excuse(error))
        return
    rate(User.objects.met(message.from_user), movie.pk, value)
    movie.mine = value
    if message.chat.type == "private" and not card:
        send_card(message.chat.id, movie)
        return
    show_rating(card, movie)
    reply(message, _("“%(title)s”: your rating is %(rating)s.") % {k: escape(v) for k, v in facts(movie).items()})


def reply(message, text):
    bot.send_message(message.chat.id, text, reply_parameters=reply_to(message))
