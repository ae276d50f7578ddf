"""A movie's card: its caption, its buttons, and how it is sent so that the user always gets an answer."""

import logging
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache, partial
from html import escape, unescape
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlencode

from django.conf import settings
from django.core.cache import caches
from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from telebot import types
from telebot.apihelper import ApiTelegramException

from config.bot.client import TelegramUnavailable
from config.bot.replies import Editable, Keyboard, KeyboardButton, deep_link, edit, edit_buttons, keyboard, try_edit
from config.bot.router import bot
from config.bot.validation import cleaned
from config.monitoring import metrics
from movies import details
from movies.models import UNFINISHED, Movie, PendingCard
from movies.names import country_names, genre_names
from movies.query import IsSeries, OtherAddress
from movies.tmdb import NotFound, TMDb, TMDbError

log = logging.getLogger(__name__)

Photo = str | types.InputFile  # a file_id, or a picture's bytes
Sent = TypeVar("Sent", types.Message, types.Message | bool)

# In UTF-16 code units
MAX_CAPTION_LENGTH = 1024  # after Telegram has read the tags (Bot API: sendPhoto)
MAX_TITLE_LENGTH = 200
LAST_CARD_SECONDS = 3600  # for which a number may be a rating of the card sent last
MAX_OVERVIEW_LENGTH = 400  # what a phone shows without a tap
MAX_NAME_LENGTH = 40
MAX_DIRECTORS, MAX_ACTORS, MAX_LISTED = 2, 4, 3
MIN_VOTES = 20  # from which on TMDb's score means something
RECENT = timedelta(days=365)  # a newer film's day of release is named
LATIN = re.compile(r"[A-Za-z]")
MIN_OVERVIEW_LENGTH = 40  # with less room there is none
TAG = re.compile(r"<[^<>]*>")  # all other text is escaped
OUT_OF_TEN = r"\s*(?:/|из|out of)\s*10"  # behind a rating
NUMBER = re.compile(rf"([-+]?[0-9]{{1,2}}(?:[.,][0-9]*)?)(?:{OUT_OF_TEN})?", re.ASCII)  # perhaps a rating
# Telegram's words for a file_id it does not know, or that belongs to another bot
INVALID_FILE_ID_ERRORS = (
    "wrong file identifier",
    "wrong file_id",
    "wrong remote file identifier",
    "wrong type of the web page content",
    "file reference",
)
# A button that tells of which movie a message is, be it a card or the message of ratings.chat.carousel
CARD_BUTTON = re.compile(r"(?:rate|unrate|carousel:\w+:show):(\d+)(?::[\d.]+)?", re.ASCII)
MAX_PENDING_SECONDS = 3600  # for which a card waits for its movie's details
NOT_THE_PHOTO_CODES = (401, 403, 429)  # error codes with which a text would fail as well


class LastCard(NamedTuple):
    """The card sent last in a chat, which a bare number may be a rating of."""

    movie_id: int
    message_id: int
    has_photo: bool


def utf16_length(text: str) -> int:
    """The length of a text as Telegram counts it: UTF-16 code units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def truncate(text: str, length: int) -> str:
    """The text within `length` UTF-16 code units, cut at a word where one is near, with an ellipsis."""
    if utf16_length(text) <= length:
        return text
    cut = text.encode("utf-16-le", "surrogatepass")[: 2 * max(0, length - 1)].decode("utf-16-le", "ignore")
    head, space, _tail = cut.rpartition(" ")
    return (head if space and len(head) > len(cut) * 0.7 else cut).rstrip(" ,.;:—-") + "…"


def caption(movie: Movie, notes: Sequence[str] = ()) -> str:
    """The card's text, HTML: title, facts, people, the user's rating, and as much of the overview as a phone shows.

    `notes` are further lines, HTML, before the overview.
    """
    title, original = display_title(movie, MAX_TITLE_LENGTH), truncate(movie.original_title.strip(), MAX_TITLE_LENGTH)
    lines = [f"<b>{escape(title)}</b>" + (f" ({movie.year})" if movie.year else "")]
    if original and cleaned(original) != title:
        lines.append(f"<i>{escape(cleaned(original))}</i>")
    if known := facts(movie):
        lines.append(escape(" · ".join(known)))
    if directors := names(movie.directors, MAX_DIRECTORS):
        several = ngettext("Director: %(names)s", "Directors: %(names)s", min(len(movie.directors), MAX_DIRECTORS))
        lines.append(escape(several % {"names": directors}))
    if actors := names(movie.actors, MAX_ACTORS):
        lines.append(escape(_("Cast: %(names)s") % {"names": actors}))
    if movie.user_rating:
        lines.append(_("Your rating: <b>%(mine)s</b>") % {"mine": format_rating(movie.user_rating)})
    head = "\n".join([*lines, *notes])
    room = min(MAX_OVERVIEW_LENGTH, MAX_CAPTION_LENGTH - utf16_length(strip_tags(head)) - 2)
    overview = in_language(movie.overview_en, movie.overview)
    overview = truncate(overview, room) if room > MIN_OVERVIEW_LENGTH else ""
    return f"{head}\n\n{escape(overview)}" if overview else head


def facts(movie: Movie) -> list[str]:
    """The score where it means something, a recent date, countries, genres and the running time."""
    found = [f"★ {movie.vote_average:.1f}"] if movie.vote_count >= MIN_VOTES else []
    today = date.today()
    if movie.release_date and movie.release_date > today:
        found.append(_("in cinemas from %(date)s") % {"date": format_day(movie.release_date, get_language())})
    elif movie.release_date and movie.release_date > today - RECENT:
        found.append(format_day(movie.release_date, get_language()))
    for several in (country_names(movie.countries), genre_names(movie.genres)):
        if several:
            found.append(", ".join(several[:MAX_LISTED]))
    return [*found, *filter(None, [format_runtime(movie)])]


def names(people: object, limit: int) -> str:
    """The first of these people, as `directors` and `actors` hold them, in the reader's language."""
    rows = [person for person in people if isinstance(person, dict)] if isinstance(people, list) else []
    found = []
    for person in rows[:limit]:
        name, original = (str(person.get(key) or "") for key in ("name", "original_name"))
        found.append(in_language(original if LATIN.search(original) else "", name))
    return ", ".join(truncate(name, MAX_NAME_LENGTH) for name in found if name)


def in_language(english: str, own: str) -> str:
    """The text for the reader: the English one for who reads English, where there is one."""
    english, own = cleaned(english or "").strip(), cleaned(own or "").strip()
    return english or own if get_language() == "en" else own or english


@lru_cache(10_000)
def format_day(day: date, language: str | None) -> str:
    """A day of a year that the card has named; cached, since this takes as long as reading a movie from the table."""
    return date_format(day, "j E" if language == "ru" else "F j")


def format_runtime(movie: Movie) -> str:
    """The movie's runtime in words; empty where it is not known."""
    hours, minutes = divmod(movie.runtime or 0, 60)
    if not hours:
        return _("%(minutes)s min") % {"minutes": minutes} if minutes else ""
    if not minutes:
        return _("%(hours)s h") % {"hours": hours}
    return _("%(hours)s h %(minutes)s min") % {"hours": hours, "minutes": minutes}


def display_title(movie: Movie, length: int) -> str:
    """The movie's title in the reader's language, of at most `length` UTF-16 code units; never empty."""
    titles = (in_language(movie.title_en, movie.title), cleaned(movie.original_title).strip())
    return truncate(next(filter(None, titles), str(movie.pk)), length)


def strip_tags(html: str) -> str:
    """The text that Telegram shows of our own HTML."""
    return unescape(TAG.sub("", html))


def format_rating(rating: Decimal) -> str:
    """A rating without trailing zeros: 8, 7.5."""
    return f"{rating:f}".rstrip("0").rstrip(".") if rating % 1 else str(int(rating))


def buttons(movie: Movie) -> list[list[KeyboardButton]]:
    """Rate 1-10, change the rating by half a point or take it back, watchlist, trailer, similar movies, share."""
    rows = rating_buttons(movie)
    if movie.user_rating:
        rows.append(half_point_buttons(movie.pk, movie.user_rating))
    more: list[KeyboardButton] = [(_("Similar films"), f"similar:{movie.pk}"), share_button(movie)]
    if movie.trailer_key:
        more.insert(0, (_("Trailer"), f"https://www.youtube.com/watch?v={movie.trailer_key}"))
    return [*rows, [watch_button(movie)], more]


def watch_button(movie: Movie) -> KeyboardButton:
    """Put the movie on the reader's list of films to see, or take it off."""
    if movie.on_watchlist:
        return (_("🔖 On my watchlist ✕"), f"watch:{movie.pk}:0")
    return (_("🔖 Want to see"), f"watch:{movie.pk}:1")


def shared_buttons(movie: Movie, undo: bool = False) -> list[list[KeyboardButton]]:
    """The buttons of a card sent by inline mode: whoever reads it presses them for themselves.

    `undo`: with a button that takes the movie off their list of films to see, too.
    """
    watch: list[KeyboardButton] = [(_("🔖 Want to see"), f"watch:{movie.pk}:1")]
    if undo:
        watch.append((_("🔖 Take off"), f"watch:{movie.pk}:0"))
    return [[(_("Open in Kinoteka"), deep_link(f"movie_{movie.pk}"))], *rating_buttons(movie), watch]


def rating_buttons(movie: Movie) -> list[list[KeyboardButton]]:
    def label(value: int) -> str:
        return f"● {value}" if movie.user_rating == value else str(value)

    return [[(label(value), f"rate:{movie.pk}:{value}") for value in values] for values in (range(1, 6), range(6, 11))]


def half_point_buttons(movie_id: int, rating: Decimal) -> list[KeyboardButton]:
    """[−½] [★ 7.5 ✕] [+½]: the one in the middle takes the rating back."""
    half = Decimal("0.5")
    row: list[KeyboardButton] = [(f"★ {format_rating(rating)} ✕", f"unrate:{movie_id}")]
    if rating > half:
        row.insert(0, ("−½", f"rate:{movie_id}:{format_rating(rating - half)}"))
    if rating < 10:
        row.append(("+½", f"rate:{movie_id}:{format_rating(rating + half)}"))
    return row


def share_button(movie: Movie) -> KeyboardButton:
    """Share the movie: as a photo by inline mode, or as a link where the bot's owner has not switched that on.

    Telegram refuses a message with a button for inline mode that the bot does not have.
    """
    if bot.user.supports_inline_queries:
        return types.InlineKeyboardButton(_("Share"), switch_inline_query=str(movie.pk))  # it is found by its id
    link = {"url": deep_link(f"movie_{movie.pk}"), "text": display_title(movie, 100)}
    return (_("Share"), f"{settings.TELEGRAM_WEB_URL}/share/url?{urlencode(link)}")


def send_card(
    chat_id: int,
    movie: Movie,
    reply_to: types.ReplyParameters | None = None,
    rows: Sequence[list[KeyboardButton]] = (),
) -> None:
    """Send a card of the movie (one with `user_rating`); `rows` are further buttons.

    In a group the card shows nothing of any user's. Where the movie is known from a list row only, its details are
    asked for and the caption is edited when they come.
    """
    if chat_id < 0:
        movie.user_rating, movie.on_watchlist = None, False
    to_complete = details.request_details(movie)
    markup = keyboard(*buttons(movie), *rows)
    message = _send(chat_id, movie, markup, reply_to)
    remember_card(chat_id, LastCard(movie.pk, message.message_id, bool(message.photo)))
    if to_complete:
        PendingCard.objects.create(
            chat_id=chat_id,
            message_id=message.message_id,
            movie=movie,
            has_photo=bool(message.photo),
            language=get_language() or settings.LANGUAGE_CODE,
            rows=[[button for button in row if isinstance(button, tuple)] for row in rows],
            sent_at=int(time.time()),
        )
        edit_pending(movie.pk)  # they may have come as it was sent


def _send(
    chat_id: int,
    movie: Movie,
    markup: types.InlineKeyboardMarkup | None,
    reply_to: types.ReplyParameters | None,
) -> types.Message:
    text = caption(movie)

    def send(photo: Photo | None) -> types.Message:
        if photo is None:
            return bot.send_message(chat_id, text, reply_markup=markup, reply_parameters=reply_to)
        return bot.send_photo(chat_id, photo, text, reply_markup=markup, reply_parameters=reply_to)

    return with_photo(movie, send)


def with_photo(movie: Movie, call: Callable[[Photo | None], Sent]) -> Sent:
    """Send or edit with the file_id, else with the poster's bytes, else, whatever Telegram has against them, as text.

    `call` gets the photo, None for a text. A file_id that Telegram does not know has the poster fetched again; one that
    comes back with the bytes is saved, which spares the pipeline its upload.
    """
    if movie.telegram_file_id:
        try:
            sent = call(movie.telegram_file_id)
        except ApiTelegramException as error:
            _note_photo_error(movie, error)
        else:
            metrics.increment("cards.by_file_id")
            return sent
    if movie.poster_status in UNFINISHED and (poster := poster_bytes(movie)):
        try:
            sent = call(types.InputFile(BytesIO(poster), file_name=f"{movie.pk}.jpg"))
        except ApiTelegramException as error:
            _note_photo_error(movie, error)
        else:
            if isinstance(sent, types.Message) and sent.photo:
                largest = max(sent.photo, key=lambda size: size.width * size.height)
                movie.poster_uploaded(largest.file_id, largest.width, largest.height)
            metrics.increment("cards.by_bytes")
            return sent
    movie.prioritize_poster()
    sent = call(None)
    metrics.increment("cards.as_text")
    return sent


def edit_pending(movie_id: int | None = None) -> int:
    """Complete the cards, of one movie or of all, whose details have come; returns how many. Old ones are let go."""
    cards = PendingCard.objects.all() if movie_id is None else PendingCard.objects.filter(movie_id=movie_id)
    cards.filter(sent_at__lt=int(time.time()) - MAX_PENDING_SECONDS).delete()
    edited = 0
    for card in cards.exclude(movie__details_at=None).order_by("pk"):
        if not PendingCard.objects.filter(pk=card.pk).delete()[0]:
            continue  # another process edits it
        movie = Movie.objects.with_user_rating(card.chat_id if card.chat_id > 0 else None).get(pk=card.movie_id)
        with translation.override(card.language), suppress(ApiTelegramException, TelegramUnavailable):
            rows: list[list[KeyboardButton]] = [[(str(text), str(data)) for text, data in row] for row in card.rows]
            markup = keyboard(*buttons(movie), *rows)
            change_card(card.has_photo, caption(movie), card.chat_id, card.message_id, markup)
            edited += 1
    return edited


def _note_photo_error(movie: Movie, error: ApiTelegramException) -> None:
    """Log why a photo was not sent, and mend a lost file_id. Raises the error where a text would fail as well."""
    if error.error_code in NOT_THE_PHOTO_CODES:
        raise error
    log.warning("movie %s: Telegram refuses its poster: %s", movie.pk, error.description)
    if movie.telegram_file_id and is_invalid_file_id(error):
        movie.refetch_poster()
        movie.refresh_from_db(fields=["poster_status", "telegram_file_id", "local_path"])


def show_rating(message: Editable, movie: Movie) -> bool:
    """Update a card in a private chat with its reader's rating. False where that cannot be done."""
    if not isinstance(message, types.Message) or message.chat.type != "private":
        return False
    return edit(message, caption(movie), keyboard(*buttons(movie)))


def replace_card_buttons(message: Editable, *rows: list[KeyboardButton]) -> bool:
    """Put a question in the place of the card's buttons. False where it cannot be done."""
    return edit_buttons(message, keyboard(*rows))


def movie_on_card(message: types.Message | None) -> int | None:
    """The TMDb id of the movie whose card the message is, by its buttons; None for any other message."""
    if message is None or not message.reply_markup or not message.from_user or message.from_user.id != bot.user.id:
        return None
    data = [button.callback_data or "" for row in message.reply_markup.keyboard for button in row]
    if any(text.startswith("find:") for text in data):  # a question about a number
        return None
    ids = {found[1] for text in data if (found := CARD_BUTTON.fullmatch(text))}
    return int(ids.pop()) if len(ids) == 1 else None


def is_rating_reply(message: types.Message) -> bool:
    """Whether a text message is a number in reply to a card: a rating, not a search."""
    text = (message.text or "").strip()
    return bool(NUMBER.fullmatch(text)) and movie_on_card(message.reply_to_message) is not None


def movie_of_bare_number(message: types.Message) -> int | None:
    """The TMDb id of the movie that a number may be a rating of: the one whose card was sent last in a private chat."""
    found = NUMBER.fullmatch((message.text or "").strip())
    if message.chat.type != "private" or not found or found[1].startswith("+"):
        return None
    value = float(found[1].replace(",", "."))
    if not 0.5 <= value <= 10 or value * 2 % 1:
        return None
    card = last_card(message.chat.id)
    return card.movie_id if card else None


def remember_card(chat_id: int, card: LastCard) -> None:
    """What a bare number that comes next may be a rating of."""
    caches["cards"].set(f"last-card:{chat_id}", tuple(card), LAST_CARD_SECONDS)


def last_card(chat_id: int) -> LastCard | None:
    found = caches["cards"].get(f"last-card:{chat_id}")
    return LastCard(*found) if found else None


def show_rating_on_last_card(chat_id: int, movie: Movie) -> None:
    """Update the card sent last in a private chat with its reader's rating, if it is this movie's."""
    card = last_card(chat_id)
    if card and card.movie_id == movie.pk:
        change_card(card.has_photo, caption(movie), chat_id, card.message_id, keyboard(*buttons(movie)))


def change_card(has_photo: bool, text: str, chat_id: int, message_id: int, markup: Keyboard) -> None:
    change = bot.edit_message_caption if has_photo else bot.edit_message_text
    try_edit(partial(change, text, chat_id=chat_id, message_id=message_id, reply_markup=markup))


def error_text(error: TMDbError) -> str:
    """What to tell the user where TMDb gave no movie."""
    if isinstance(error, IsSeries):
        return _("This is a series. I only know films so far.")
    if isinstance(error, OtherAddress):
        return _(
            "I cannot tell the film from this link. "
            "Send its title instead, with the year if you like: “The Matrix 1999”."
        )
    if isinstance(error, NotFound):
        return _("TMDb has no film with this id.")
    return _("TMDb is not answering right now. Please try again in a few minutes.")


def nothing_found() -> str:
    """What to tell the user where a search found no movie."""
    return _("No film found. Try the original title, add the year, or send a themoviedb.org or IMDb link.")


def poster_bytes(movie: Movie) -> bytes | None:
    """The poster's bytes, from the local disk where a worker has saved them, else from TMDb, else None."""
    if movie.local_path:
        with suppress(OSError):  # another worker has just uploaded it
            return Path(settings.POSTER_DIR, Path(movie.local_path).name).read_bytes()
    try:
        return TMDb(background=False).image(movie.poster_path)
    except TMDbError as error:
        log.warning("movie %s: no poster for its card: %s", movie.pk, error)
        return None


def is_invalid_file_id(error: ApiTelegramException) -> bool:
    description = error.description.lower()
    return error.error_code == 400 and any(words in description for words in INVALID_FILE_ID_ERRORS)
