"""/movie, plain-text search, and the list that leads to a card."""

from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from telebot.apihelper import ApiTelegramException
from telebot.util import extract_arguments

from config.bot import answer, bot, button, command, keyboard, unchanged
from movies.cards import points, send_card, shortened
from movies.catalogue import find_movies, get_movie
from movies.tmdb import NotFound, TMDbError

PAGE = 8  # films on a page of a list


@command("movie", gettext_lazy("a film's card"))
def movie_card(message):
    if text := (extract_arguments(message.text) or "").strip():
        show(message, text)
    else:
        bot.send_message(
            message.chat.id,
            _("Which film? For example: /movie 603, /movie The Matrix 1999, or an address of themoviedb.org."),
        )


@bot.message_handler(
    content_types=["text"], func=lambda message: message.chat.type == "private" and not message.text.startswith("/")
)
def plain_text(message):
    show(message, message.text)


def show(message, text):
    """Answer what a person typed: one film is its card, several are a list, none is said."""
    try:
        movies = find_movies(text, message.from_user.id)
    except NotFound:
        bot.send_message(message.chat.id, _("TMDb has no film with this id."))
        return
    except TMDbError:
        movies = find_movies(text, message.from_user.id, ask_tmdb=False)
        if not movies:
            bot.send_message(message.chat.id, _("TMDb does not answer just now. Please try again in a few minutes."))
            return
    if not movies:
        bot.send_message(
            message.chat.id,
            _("No film found. Try the original title, add the year, or send the film's address at themoviedb.org."),
        )
    elif len(movies) == 1:
        send_card(message.chat.id, movies[0])
    else:
        bot.send_message(message.chat.id, **found_page(movies, 0), reply_to_message_id=message.message_id)


def found_page(movies, page):
    """Text and keyboard of one page of a list of films."""
    first = page * PAGE
    lines = [
        {
            "number": first + n,
            "movie": movie,
            "title": shortened(movie.title, 100),
            "vote": f"{movie.vote_average:.1f}",
            "mine": movie.mine and points(movie.mine),
        }
        for n, movie in enumerate(movies[first : first + PAGE], 1)
    ]
    numbers = [(str(line["number"]), f"card:{line['movie'].pk}") for line in lines]
    turns = [("‹", f"found:{page - 1}")] if page else []
    if first + PAGE < len(movies):
        turns.append(("›", f"found:{page + 1}"))
    text = render_to_string("movies/found.html", {"lines": lines, "total": len(movies)})
    rows = [row for row in (numbers[:4], numbers[4:], turns) if row]
    return {"text": text.strip(), "reply_markup": keyboard(*rows)}


@button("found")
def turn_page(query):
    """Another page of the list; what was searched for stands in the message the list answers."""
    asked = query.message.reply_to_message
    text = (asked and asked.text) or ""
    text = extract_arguments(text) if text.startswith("/") else text
    movies = find_movies(text or "", query.from_user.id, ask_tmdb=False)
    page = int(query.data.split(":")[1])
    if not 0 <= page * PAGE < len(movies):
        answer(query, _("This list is out of date: please search again."))
        return
    try:
        bot.edit_message_text(
            chat_id=query.message.chat.id, message_id=query.message.message_id, **found_page(movies, page)
        )
    except ApiTelegramException as error:
        if not unchanged(error):
            raise
    answer(query)


@button("card")
def card(query):
    try:
        send_card(query.message.chat.id, get_movie(int(query.data.split(":")[1]), query.from_user.id))
    except TMDbError:
        answer(query, _("TMDb does not answer just now. Please try again in a few minutes."), alert=True)
        return
    answer(query)
