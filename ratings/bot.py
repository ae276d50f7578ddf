"""Rating films: a card's buttons, /rate, a number in reply to a card; /rated, /stats; files of ratings, in and out."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from io import BytesIO

from django.db.models import F
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from telebot import types
from telebot.util import extract_arguments

from config.bot.router import (
    Refusal,
    answer,
    bot,
    button,
    command,
    edit,
    in_reply,
    only_in_private,
    read_button,
)
from movies.cards import ask_on_card, excuse, movie_on_card, name, points, rates_by_reply, send_card, show_rating
from movies.catalogue import Query, get_movie
from movies.models import Movie
from movies.movie_list import PAGE, film_list
from movies.tmdb import TMDbError
from ratings.chat import (
    recommendations,  # noqa: F401  their handlers are this app's too
    taste_match,
)
from ratings.files.exporter import LETTERBOXD_MOST, export
from ratings.files.importer import LARGEST, TooManyFiles, receive, replace_kept, ring
from ratings.files.report import TROUBLE
from ratings.insights.stats import stats_of
from ratings.insights.stats_image import in_words, picture
from ratings.rate import points_in, rate, take_back
from users.models import User

# --- The buttons of a card


@button("rate")
def rate_by_button(query):
    """One tap rates. The same tap again asks, in the place of the buttons, whether to take the rating back.

    A card in a group is everybody's: it rates for whoever taps, says so to them alone, and shows nobody's rating.
    """
    movie_id, value = read_button(query, r"rate:(\d{1,10}):(10|[1-9])")
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
    (movie_id,) = read_button(query, r"unrate:(\d{1,10})")
    movie = film(query, movie_id)
    taken = take_back(User.objects.met(query.from_user), movie.pk)
    movie.mine = None
    answer(query, _("Your rating has been taken back.") if taken else _("You have not rated this film."))
    show_rating(query.message, movie)


@button("keep")
def keep(query):
    (movie_id,) = read_button(query, r"keep:(\d{1,10})")
    movie = film(query, movie_id)
    answer(query)
    show_rating(query.message, movie)


def film(query, movie_id):
    try:
        return get_movie(int(movie_id), query.from_user.id)
    except TMDbError as error:
        raise Refusal(excuse(error)) from error


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
    bot.send_message(message.chat.id, text, reply_parameters=in_reply(message))


# --- What they have rated

ORDERS = {
    "new": (gettext_lazy("newest"), ["-rated_at", "id"]),
    "high": (gettext_lazy("highest"), ["-mine", "-rated_at", "id"]),
    "year": (gettext_lazy("by year"), [F("year").desc(nulls_last=True), "title", "id"]),
}


@command("rated", gettext_lazy("films you have rated"))
def rated(message):
    if only_in_private(message):
        bot.send_message(message.chat.id, **rated_page(message.from_user.id, "new", 0))


@button("rated")
def turn_rated(query):
    order, page = read_button(query, rf"rated:({'|'.join(ORDERS)}):(\d{{1,5}})")
    if query.message is None or query.message.chat.type != "private":
        raise Refusal(_("This button is out of date."))
    edit(query.message, **rated_page(query.from_user.id, order, int(page)))
    answer(query)


def rated_page(user_id, order, page):
    """Text and keyboard of one page of the films a person has rated; the last one where there are no longer so many."""
    films = Movie.objects.rated_by(user_id)
    total = films.count()
    if not total:
        return {
            "text": _("You have not rated any film yet. Send me a title, and rate it on its card."),
            "reply_markup": None,
        }
    page = min(page, (total - 1) // PAGE)
    heading = ngettext("You have rated %(count)d film", "You have rated %(count)d films", total) % {"count": total}
    sorting = [(f"● {title}" if key == order else str(title), f"rated:{key}:0") for key, (title, _by) in ORDERS.items()]
    return film_list(
        heading,
        films.order_by(*ORDERS[order][1])[page * PAGE : (page + 1) * PAGE],
        page,
        total,
        turn=lambda page: f"rated:{order}:{page}",
        rows=[sorting],
    )


# --- Figures


@command("stats", gettext_lazy("my films in figures"))
def send_stats(message):
    if not only_in_private(message):
        return
    stats = stats_of(message.from_user.id)
    if not stats.count:
        text = _("You have no ratings yet. Rate a film on its card, /connect TMDb, or send me a CSV with your ratings.")
        bot.send_message(message.chat.id, text)
        return
    photo = types.InputFile(BytesIO(picture(stats)), file_name="stats.png")
    bot.send_photo(message.chat.id, photo, in_words(stats))


# --- Files of ratings, in and out

CSV_NAME = re.compile(r".*\.(csv|tsv|txt)", re.IGNORECASE | re.DOTALL)


@command("export", gettext_lazy("my ratings as a file"))
def send_export(message):
    if not only_in_private(message):
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
    (number,) = read_button(query, r"file:(\d{1,18})")
    file = replace_kept(int(number), query.from_user.id)
    if file is None:
        raise Refusal(_("I no longer have this file. Please send it again."))
    edit(query.message, _("Reading your file…"))
    answer(query)
    ring(file)
