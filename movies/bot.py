"""/movie, plain-text search, the lists that lead to a card, and inline mode."""

import re

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from telebot import types
from telebot.apihelper import ApiTelegramException
from telebot.util import extract_arguments

from config.bot.replies import answer, deep_link, edit, is_unreachable, keyboard, reply_to
from config.bot.router import UserError, bot, button, command, parse_callback_data
from config.bot.validation import cleaned
from movies.cards import caption, excuse, is_wrong_file, name, rates_by_reply, send_card
from movies.catalogue import Ask, find_movies, get_movie, similar_movies, with_details
from movies.models import Movie
from movies.movie_list import film_list, page_of
from movies.tmdb import IMAGE_PATH, NotFound, TMDbError

INLINE_PAGE = 20  # results at a time; Telegram takes 50
SAME_ANSWER_FOR = 60  # seconds for which Telegram may give the same person the same results without us


@command("movie", gettext_lazy("a film's card"))
def movie_card(message):
    if text := (extract_arguments(message.text) or "").strip():
        show(message, text)
    else:
        say(message, _("Which film? For example: /movie 603, /movie The Matrix 1999, or an address of themoviedb.org."))


@bot.message_handler(
    content_types=["text"],
    func=lambda message: (
        message.chat.type == "private"
        and not message.text.startswith("/")
        and not message.via_bot
        and not rates_by_reply(message)
    ),
)
def plain_text(message):
    show(message, message.text)


def say(message, text):
    """Answer a message, under it where other people write too."""
    bot.send_message(message.chat.id, text, reply_parameters=None if private(message) else reply_to(message))


def private(message):
    return message.chat.type == "private"


# --- Search


def show(message, text):
    """Answer what a person typed: one film is its card, several are a list, none is said."""
    viewer = message.from_user.id if private(message) else None
    try:
        found = find_movies(text, viewer)
    except NotFound as error:
        return say(message, excuse(error))
    except TMDbError as error:
        found = find_movies(text, viewer, Ask.NEVER)
        if not found.movies:
            return say(message, excuse(error))
    search = Search(text, None if private(message) else message.from_user.id)
    if not found.movies:
        say(
            message,
            _("No film found. Try the original title, add the year, or send the film's address at themoviedb.org."),
        )
    elif len(found.movies) == 1:
        rows = [[(_("More films called so"), search.data("more", 0))]] if found.hidden and search.fits else []
        movie = with_details(found.movies[0], viewer)
        send_card(message.chat.id, movie, None if private(message) else reply_to(message), rows)
    else:
        # a reply, since a long search does not fit into the buttons: they find it in the message they answer
        bot.send_message(message.chat.id, **found_page(found, search, "found", 0), reply_parameters=reply_to(message))


class Search:
    """What stands in a list's buttons: what was searched for, and in a group by whom."""

    def __init__(self, text, asker=None):
        self.text, self.asker = " ".join(cleaned(text).split()), asker

    @property
    def fits(self):
        return len(f"found:00:{self.asker or ''}:{self.text}".encode()) <= 64  # bytes (Bot API: callback_data)

    def data(self, kind, page):
        return f"{kind}:{page}:{self.asker or ''}:{self.text if self.fits else ''}"


def found_page(found, search, kind, page):
    """One page of the films found. `kind` is found, or more: what TMDb knows besides."""
    total = len(found.movies)
    heading = ngettext("%(count)d film found", "%(count)d films found", total) % {"count": total}
    rows = [[(_("Look further at TMDb"), search.data("more", 0))]] if found.hidden else []
    return film_list(
        heading,
        page_of(found.movies, page),
        page,
        total,
        turn=lambda page: search.data(kind, page),
        asker=search.asker,
        rows=rows,
    )


@button("found")
@button("more")
def turn_page(query):
    """Another page of a list, or all that TMDb knows: then under a card, whose buttons stay, as a new message."""
    kind, page, asker, text = parse_callback_data(query, r"(found|more):(\d{1,3})(?::(\d*):(.*))?")
    check_asker(query, asker)
    search = Search(text or asked_for(query.message), int(asker) if asker else None)
    viewer = None if asker else query.from_user.id
    try:
        found = find_movies(search.text, viewer, Ask.ALWAYS if kind == "more" else Ask.NEVER)
    except TMDbError as error:
        raise UserError(excuse(error)) from error
    page = int(page)
    if not page_of(found.movies, page):
        raise UserError(_("This list is out of date: please search again."))
    contents = found_page(found, search, kind, page)
    if query.message.photo or is_card(query.message):
        bot.send_message(query.message.chat.id, **contents, reply_parameters=reply_to(query.message))
    else:
        edit(query.message, **contents)
    answer(query)


def is_card(message):
    rows = message.reply_markup.keyboard if message.reply_markup else []
    return any((button.callback_data or "").startswith("rate:") for row in rows for button in row)


def asked_for(message):
    """What was searched for, from the message that the list answers."""
    asked = message.reply_to_message
    text = (asked and asked.text) or ""
    return (extract_arguments(text) if text.startswith("/") else text) or ""


def check_asker(query, asker):
    """In a group only the asker's buttons act for the asker; a message that is too old to be read acts for nobody."""
    if query.message is None or query.message.date == 0:
        raise UserError(_("This button is out of date."))
    if asker and int(asker) != query.from_user.id:
        raise UserError(_("This list is somebody else's: please search yourself."))


@button("card")
def card(query):
    movie_id, asker = parse_callback_data(query, r"card:(\d{1,10})(?::(\d{1,20}))?")
    check_asker(query, asker)
    try:
        movie = with_details(get_movie(int(movie_id), query.from_user.id), query.from_user.id)
    except TMDbError as error:
        raise UserError(excuse(error)) from error
    send_card(query.message.chat.id, movie)
    answer(query)


@button("similar")
def similar(query):
    """Films like the one on the card, as a new list; its pages by editing it."""
    movie_id, page, asker = parse_callback_data(query, r"similar:(\d{1,10})(?::(\d{1,3})(?::(\d{1,20}))?)?")
    check_asker(query, asker)
    shared = not private(query.message)
    viewer = None if shared else query.from_user.id
    try:
        movie = get_movie(int(movie_id), viewer)
        movies = similar_movies(movie.pk, viewer)
    except TMDbError as error:
        raise UserError(excuse(error)) from error
    if not movies:
        raise UserError(_("TMDb names no similar films."))
    number = int(page or 0)
    if not page_of(movies, number):
        raise UserError(_("This list is out of date: please search again."))
    asker = query.from_user.id if shared else None
    owner = f":{asker}" if asker else ""
    contents = film_list(
        _("Similar to “%(title)s”") % {"title": name(movie, 100)},
        page_of(movies, number),
        number,
        len(movies),
        turn=lambda page: f"similar:{movie.pk}:{page}{owner}",
        asker=asker,
    )
    if page is None:
        bot.send_message(query.message.chat.id, **contents, reply_parameters=reply_to(query.message))
    else:
        edit(query.message, **contents)
    answer(query)


# --- Inline mode


@bot.inline_handler(lambda query: True)
def inline(query):
    """Films for "@bot text" in any chat; for nothing typed yet, the person's own favourites.

    The results are personal: their texts are in the person's language, and the favourites are theirs.
    """
    start = int(query.offset) if re.fullmatch(r"[0-9]{1,4}", query.offset) else 0
    if query.query.strip():
        movies = inline_search(query)
    else:
        movies = Movie.objects.rated_by(query.from_user.id).order_by("-mine", "-rated_at", "id")
    page = list(movies[start : start + INLINE_PAGE + 1])  # one more tells whether there is a next page
    more = str(start + INLINE_PAGE) if len(page) > INLINE_PAGE else ""
    page = page[:INLINE_PAGE]
    hint = None
    if not page and not query.query.strip():
        hint = types.InlineQueryResultsButton(_("Rate films: they appear here"), start_parameter="help")
    try:
        answer_inline(query, [inline_result(movie, movie.telegram_file_id) for movie in page], more, hint)
    except ApiTelegramException as error:
        if not is_wrong_file(error):
            raise
        # one of the photos is no longer known, and Telegram does not say which: its card will find out
        answer_inline(query, [inline_result(movie) for movie in page], more, hint)


def answer_inline(query, results, next_offset, hint):
    """Answer an inline query; one that is too old to be answered is no error."""
    try:
        bot.answer_inline_query(
            query.id, results, SAME_ANSWER_FOR, is_personal=True, next_offset=next_offset, button=hint
        )
    except ApiTelegramException as error:
        if not is_unreachable(error):
            raise


def inline_search(query):
    """Films of the table; TMDb is asked only where there are none and the person has typed more than a beginning."""
    viewer = query.from_user.id
    ask = Ask.IF_NOTHING if len(query.query.strip()) >= 3 and not query.offset else Ask.NEVER
    try:
        return find_movies(query.query, viewer, ask).movies
    except NotFound:
        return []
    except TMDbError:
        return find_movies(query.query, viewer, Ask.NEVER).movies


def inline_result(movie, photo=""):
    """A cached photo; an article for a film whose poster is not in Telegram. Whoever reads it may open the card."""
    movie.mine = None  # it is for others to read
    text = caption(movie)
    markup = keyboard([(_("Rate it in Kinoteka"), deep_link(f"movie_{movie.pk}"))])
    title = name(movie, 100) + (f" ({movie.year})" if movie.year else "")
    if photo:
        return types.InlineQueryResultCachedPhoto(
            str(movie.pk), photo, title, caption=text, parse_mode="HTML", reply_markup=markup
        )
    article = types.InlineQueryResultArticle(
        str(movie.pk), title, types.InputTextMessageContent(text, parse_mode="HTML"), reply_markup=markup
    )
    if movie.vote_count:
        article.description = f"⭐ {movie.vote_average:.1f}"
    if IMAGE_PATH.fullmatch(movie.poster_path):
        article.thumbnail_url = f"{settings.TMDB_IMAGE_URL}/w92{movie.poster_path}"
    return article
