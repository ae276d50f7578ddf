"""/movie, plain-text search, the lists that lead to a card, and inline mode."""

import re
from collections.abc import Sequence

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from telebot import types
from telebot.apihelper import ApiTelegramException
from telebot.util import extract_arguments

from config.bot.replies import KeyboardButton, answer, edit, is_unreachable, keyboard, reply_to
from config.bot.router import UserError, bot, button, command, inline_texts, parse_callback_data
from config.bot.validation import cleaned
from movies.cards import (
    caption,
    display_title,
    error_text,
    facts,
    is_invalid_file_id,
    is_rating_reply,
    movie_of_bare_number,
    movie_on_card,
    nothing_found,
    send_card,
    shared_buttons,
)
from movies.catalogue import (
    Found,
    TmdbPolicy,
    find_movies,
    get_movie,
    movies_of_person,
    similar_movies,
)
from movies.models import Movie, MovieQuerySet
from movies.movie_list import MessageContents, movie_list_message, movies_on_page
from movies.people import Person, known_person
from movies.query import Query
from movies.tmdb import IMAGE_PATH, NotFound, TMDbError

INLINE_PAGE_SIZE = 20  # results at a time; Telegram takes 50
INLINE_CACHE_SECONDS = 60  # within which Telegram may give the same user the same results without asking the bot
MIN_INLINE_QUERY_LENGTH = 3  # characters; TMDb is not asked for less
MAX_CALLBACK_DATA_BYTES = 64  # Bot API: InlineKeyboardButton

# Not titles, unless after /movie
GREETING = re.compile(
    r"(?:(?:привет(?:ик|ствую)?|здравствуй(?:те)?|здрас(?:ь)?те|добр(?:ый|ое|ой|ого) (?:день|дня|вечер|утро|ночи)"
    r"|доброго времени суток|хай|салют|хелло|хеллоу|hi|hello|hey|good (?:morning|evening|afternoon))"
    r"(?:,? (?:всем|бот|bot|there))?[,!.]*\s*)?(?:как (?:дела|ты|жизнь)|how are you(?: doing)?)?[^\w]*",
    re.IGNORECASE,
)
THANKS = re.compile(
    r"(?:большое )?(?:спасибо|пасибо?|спс|благодарю|thanks|thank you|thx|ty)"
    r"(?:,? (?:большое|огромное|тебе|вам|a lot|so much|very much|бот|bot))*"
    r"[^\w]*",
    re.IGNORECASE,
)

InlineResult = types.InlineQueryResultCachedPhoto | types.InlineQueryResultArticle


@command("movie", gettext_lazy("a film's card"))
def movie_card(message: types.Message) -> None:
    if text := (extract_arguments(message.text or "") or "").strip():
        answer_search(message, text)
    else:
        send_reply(message, _("Which film? For example: /movie 603, /movie The Matrix 1999, or a themoviedb.org link."))


@bot.message_handler(
    content_types=["text"],
    func=lambda message: (
        message.chat.type == "private"
        and not message.text.startswith("/")
        and not message.via_bot
        and not is_rating_reply(message)
        and movie_of_bare_number(message) is None
    ),
)
def plain_text(message: types.Message) -> None:
    text = message.text or ""
    if re.search(r"\w", text) and GREETING.fullmatch(text.strip()):
        send_reply(message, _("Hello! Send me a film's title, and I will show its poster and keep your rating."))
    elif THANKS.fullmatch(text.strip()):
        send_reply(message, _("You are welcome! Send me the next title whenever you like."))
    else:
        answer_search(message, text)


@button("find")
def find_anyway(query: types.CallbackQuery) -> None:
    """A number that the bot took for a rating is a title or an id."""
    (text,) = parse_callback_data(query, r"find:(.+)")
    message = require_original_user(query, None)
    answer(query)
    message.from_user = query.from_user
    answer_search(message, text)


def send_reply(message: types.Message, text: str) -> None:
    """Answer a message, as a reply to it outside of private chats."""
    bot.send_message(message.chat.id, text, reply_parameters=None if is_private(message) else reply_to(message))


def is_private(message: types.Message) -> bool:
    return message.chat.type == "private"


# --- Search


def answer_search(message: types.Message, text: str) -> None:
    """Answer what a user typed: one movie with its card, several with a list, none with a text."""
    asker = message.from_user.id if message.from_user else None
    user_id = asker if is_private(message) else None
    try:
        found = find_movies(text, user_id)
    except NotFound as error:
        send_reply(message, error_text(error))
        return
    except TMDbError as error:
        found = find_movies(text, user_id, TmdbPolicy.NEVER)
        if not found.movies:
            send_reply(message, error_text(error))
            return
    search = Search(text, None if is_private(message) else asker)
    if not found.movies and movie_on_card(message.reply_to_message):
        send_reply(message, _("To rate this film, reply to its card with a number: 7.5. I keep no other notes."))
    elif not found.movies:
        send_reply(message, nothing_found())
    elif found.person:
        rows = further(found, search, _("Films with this title"))
        contents = person_page(found.person, found.movies, search.asker, 0, rows)
        bot.send_message(message.chat.id, **contents, reply_parameters=reply_to(message))
    elif len(found.movies) == 1:
        by_id = found.movies[0].pk == Query.parse(text).movie_id  # perhaps no film is called so
        label = _("Search for “%(text)s”") % {"text": search.text} if by_id else _("More with this title")
        rows = further(found, search, label) if search.fits else []
        send_card(message.chat.id, found.movies[0], None if is_private(message) else reply_to(message), rows)
    else:
        # a reply, since a long search does not fit into the buttons' data: it is read from the replied-to message
        bot.send_message(message.chat.id, **search_page(found, search, "found", 0), reply_parameters=reply_to(message))


class Search:
    """A search as a list's buttons carry it: its text, and in a group the user who asked."""

    def __init__(self, text: str, asker: int | None = None) -> None:
        self.text, self.asker = " ".join(cleaned(text).split()), asker

    @property
    def fits(self) -> bool:
        return len(f"found:00:{self.asker or ''}:{self.text}".encode()) <= MAX_CALLBACK_DATA_BYTES

    def data(self, kind: str, page: int) -> str:
        return f"{kind}:{page}:{self.asker or ''}:{self.text if self.fits else ''}"


def search_page(found: Found, search: Search, kind: str, page: int) -> MessageContents:
    """One page of the movies found. `kind`: "found", or "more" for those of TMDb as well."""
    total = len(found.movies)
    if found.is_guess:
        heading = _("Did you mean…")
    else:
        heading = ngettext("%(count)d film found", "%(count)d films found", total) % {"count": total}
    return movie_list_message(
        heading,
        movies_on_page(found.movies, page),
        page,
        total,
        page_data=lambda page: search.data(kind, page),
        asker=search.asker,
        rows=further(found, search, _("Search further on TMDb")),
    )


def further(found: Found, search: Search, label: str) -> list[list[KeyboardButton]]:
    """The row with a button to what TMDb has beyond these movies: for a guess, by the words that may be meant."""
    if found.is_guess:
        search = Search(found.corrected, search.asker)
        label = _("Search for “%(text)s”") % {"text": search.text}
    if not found.more_available or (found.is_guess and not search.fits):
        return []
    return [[(label, search.data("more", 0))]]


def person_page(
    person: Person, movies: list[Movie], asker: int | None, page: int, rows: Sequence[list[KeyboardButton]] = ()
) -> MessageContents:
    """One page of a person's movies."""
    owner = f":{asker}" if asker else ""
    return movie_list_message(
        _("Films: %(name)s") % {"name": person.name},
        movies_on_page(movies, page),
        page,
        len(movies),
        page_data=lambda page: f"person:{person.id}:{page}{owner}",
        asker=asker,
        rows=rows,
    )


@button("person")
def show_person_page(query: types.CallbackQuery) -> None:
    person_id, page, asker = parse_callback_data(query, r"person:(\d{1,10}):(\d{1,3})(?::(\d{1,20}))?")
    message = require_original_user(query, asker)
    person = known_person(int(person_id))
    movies = movies_of_person(person, None if asker else query.from_user.id) if person else []
    if person is None or not movies_on_page(movies, int(page)):
        raise UserError(_("This list is out of date. Please search again."))
    edit(message, **person_page(person, movies, int(asker) if asker else None, int(page)))
    answer(query)


@button("found")
@button("more")
def show_page(query: types.CallbackQuery) -> None:
    """Another page of a list, or with TMDb's movies; under a card, which stays, as a new message."""
    kind, number, asker, text = parse_callback_data(query, r"(found|more):(\d{1,3})(?::(\d*):(.*))?")
    message = require_original_user(query, asker)
    search = Search(text or search_text_of(message), int(asker) if asker else None)
    user_id = None if asker else query.from_user.id
    try:
        found = find_movies(search.text, user_id, TmdbPolicy.ALWAYS if kind == "more" else TmdbPolicy.NEVER)
    except TMDbError as error:
        raise UserError(error_text(error)) from error
    page = int(number or 0)
    if not movies_on_page(found.movies, page):
        raise UserError(_("This list is out of date. Please search again."))
    contents = search_page(found, search, kind or "found", page)
    if message.photo or is_card(message):
        bot.send_message(message.chat.id, **contents, reply_parameters=reply_to(message))
    else:
        edit(message, **contents)
    answer(query)


def is_card(message: types.Message) -> bool:
    rows = message.reply_markup.keyboard if message.reply_markup else []
    return any((button.callback_data or "").startswith("rate:") for row in rows for button in row)


def search_text_of(message: types.Message) -> str:
    """The text of a search, from the message that the list replies to."""
    asked = message.reply_to_message
    text = (asked and asked.text) or ""
    return (extract_arguments(text) if text.startswith("/") else text) or ""


def require_original_user(query: types.CallbackQuery, asker: str | None) -> types.Message:
    """The button's message, where the user may press it: in a group only who asked for the list.

    Raises UserError, also for a message that is too old to be read (Bot API: InaccessibleMessage).
    """
    if not isinstance(query.message, types.Message) or query.message.date == 0:
        raise UserError(_("This button is out of date."))
    if asker and int(asker) != query.from_user.id:
        raise UserError(_("This is somebody else's list. Please search yourself."))
    return query.message


@button("card")
def card(query: types.CallbackQuery) -> None:
    movie_id, asker = parse_callback_data(query, r"card:(\d{1,10})(?::(\d{1,20}))?")
    message, user_id = require_original_user(query, asker), query.from_user.id
    try:
        movie = get_movie(int(movie_id), user_id)
    except TMDbError as error:
        raise UserError(error_text(error)) from error
    send_card(message.chat.id, movie)
    answer(query)


@button("similar")
def similar(query: types.CallbackQuery) -> None:
    """Movies like the one on the card, as a new list; its pages by editing it."""
    movie_id, page, asker = parse_callback_data(query, r"similar:(\d{1,10})(?::(\d{1,3})(?::(\d{1,20}))?)?")
    message = require_original_user(query, asker)
    owner_id = None if is_private(message) else query.from_user.id  # of a list that others see
    user_id = query.from_user.id if is_private(message) else None
    try:
        movie = get_movie(int(movie_id), user_id)
        movies = similar_movies(movie.pk, user_id)
    except TMDbError as error:
        raise UserError(error_text(error)) from error
    if not movies:
        raise UserError(_("No similar films found."))
    number = int(page or 0)
    if not movies_on_page(movies, number):
        raise UserError(_("This list is out of date. Please search again."))
    owner = f":{owner_id}" if owner_id else ""
    contents = movie_list_message(
        _("Similar to “%(title)s”") % {"title": display_title(movie, 100)},
        movies_on_page(movies, number),
        number,
        len(movies),
        page_data=lambda page: f"similar:{movie.pk}:{page}{owner}",
        asker=owner_id,
    )
    if page is None:
        bot.send_message(message.chat.id, **contents, reply_parameters=reply_to(message))
    else:
        edit(message, **contents)
    answer(query)


# --- Inline mode


@bot.inline_handler(lambda query: query.query.strip() not in inline_texts)
def inline(query: types.InlineQuery) -> None:
    """Movies for "@bot text" in any chat; for an empty text, those the user rated highest.

    The results are personal: they are in the user's language, and the ratings are the user's.
    """
    start = int(query.offset) if re.fullmatch(r"[0-9]{1,4}", query.offset) else 0
    movies: Sequence[Movie] | MovieQuerySet
    if query.query.strip():
        movies = inline_search(query)
    else:
        # the plugin sees no annotation of rated_by
        movies = Movie.objects.rated_by(query.from_user.id).order_by("-user_rating", "-rated_at", "id")  # type: ignore[misc]
    page = list(movies[start : start + INLINE_PAGE_SIZE + 1])  # one more shows whether there is a next page
    more = str(start + INLINE_PAGE_SIZE) if len(page) > INLINE_PAGE_SIZE else ""
    page = page[:INLINE_PAGE_SIZE]
    hint = None
    if not page and not query.query.strip():
        hint = types.InlineQueryResultsButton(_("Rate films to see them here"), start_parameter="help")
    try:
        answer_inline(query, [inline_result(movie, movie.telegram_file_id) for movie in page], more, hint)
    except ApiTelegramException as error:
        if not is_invalid_file_id(error):
            raise
        # Telegram no longer knows one of the photos, and does not say which: its card will find out
        answer_inline(query, [inline_result(movie) for movie in page], more, hint)


def answer_inline(
    query: types.InlineQuery,
    results: list[InlineResult],
    next_offset: str,
    hint: types.InlineQueryResultsButton | None,
) -> None:
    """Answer an inline query; one that is too old to be answered is no error."""
    try:
        bot.answer_inline_query(
            query.id, results, INLINE_CACHE_SECONDS, is_personal=True, next_offset=next_offset, button=hint
        )
    except ApiTelegramException as error:
        if not is_unreachable(error):
            raise


def inline_search(query: types.InlineQuery) -> list[Movie]:
    """Movies of the table; TMDb is asked only where there are none and the text is no mere beginning."""
    user_id = query.from_user.id
    may_ask = len(query.query.strip()) >= MIN_INLINE_QUERY_LENGTH and not query.offset
    policy = TmdbPolicy.IF_NONE if may_ask else TmdbPolicy.NEVER
    try:
        return find_movies(query.query, user_id, policy).movies
    except NotFound:
        return []
    except TMDbError:
        return find_movies(query.query, user_id, TmdbPolicy.NEVER).movies


def inline_result(movie: Movie, photo: str = "") -> InlineResult:
    """A cached photo; an article for a movie whose poster is not in Telegram. A button opens the card."""
    movie.user_rating = None  # others read it
    text = caption(movie)
    markup = keyboard(*shared_buttons(movie))
    title = display_title(movie, 100) + (f" ({movie.year})" if movie.year else "")
    if photo:
        return types.InlineQueryResultCachedPhoto(
            str(movie.pk), photo, title, caption=text, parse_mode="HTML", reply_markup=markup
        )
    content = types.InputTextMessageContent(text, parse_mode="HTML")
    article = types.InlineQueryResultArticle(str(movie.pk), title, content, reply_markup=markup)
    article.description = " · ".join(facts(movie))
    if IMAGE_PATH.fullmatch(movie.poster_path):
        article.thumbnail_url = f"{settings.TMDB_IMAGE_URL}/w92{movie.poster_path}"
        picture = f"{settings.TMDB_IMAGE_URL}/w500{movie.poster_path}"
        content.link_preview_options = types.LinkPreviewOptions(
            url=picture, prefer_large_media=True, show_above_text=True
        )
    return article
