"""A film's card: caption, buttons, and how it is sent so that there is never silence."""

import logging
import re
from functools import lru_cache
from html import escape, unescape
from io import BytesIO
from pathlib import Path
from urllib.parse import urlencode

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.formats import date_format
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from telebot import types
from telebot.apihelper import ApiTelegramException

from config.bot.replies import deep_link, edit, edit_buttons, keyboard
from config.bot.router import bot
from config.bot.validation import cleaned
from config.monitoring import metrics
from movies.models import PosterStatus
from movies.tmdb import NotFound, TMDb, TMDbError

log = logging.getLogger(__name__)

LONGEST_CAPTION = 1024  # UTF-16 code units after Telegram has read the tags (Bot API: sendPhoto)
LONGEST_TITLE = 200
TAG = re.compile(r"<[^<>]*>")  # what people wrote is escaped
NUMBER = re.compile(r"[-+]?[0-9]{1,2}(?:[.,][0-9]*)?(?:\s*/\s*10)?", re.ASCII)  # a rating, right or wrong
# Telegram's words for a file_id it does not know, or that belongs to another bot
WRONG_FILE = (
    "wrong file identifier",
    "wrong file_id",
    "wrong remote file identifier",
    "wrong type of the web page content",
    "file reference",
)


def units(text):
    """The length of a text as Telegram counts it: UTF-16 code units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def shortened(text, most):
    """The text within `most` UTF-16 code units, cut at a word where one is near, with an ellipsis."""
    if units(text) <= most:
        return text
    cut = text.encode("utf-16-le", "surrogatepass")[: 2 * max(0, most - 1)].decode("utf-16-le", "ignore")
    head, space, _tail = cut.rpartition(" ")
    return (head if space and len(head) > len(cut) * 0.7 else cut).rstrip(" ,.;:—-") + "…"


def caption(movie):
    """The card's text, HTML: title, facts, the viewer's rating, and as much of the overview as fits."""
    title = name(movie, LONGEST_TITLE)
    original = shortened(cleaned(movie.original_title).strip(), LONGEST_TITLE)
    context = {
        "movie": movie,
        "title": title,
        "original": "" if original == title else original,
        "length": running_time(movie),
        "mine": movie.mine and points(movie.mine),
        "vote": f"{movie.vote_average:.1f}" if movie.vote_count else "",
        "released": movie.release_date and written_out(movie.release_date, get_language()),
    }
    head = render_to_string("movies/card.html", context).strip()
    left = LONGEST_CAPTION - units(visible(head)) - 2
    overview = shortened(cleaned(movie.overview).strip(), left) if left > 40 else ""
    return f"{head}\n\n{escape(overview)}" if overview else head


@lru_cache(10_000)
def written_out(date, language):
    """A date as people write it in this language; kept, since writing one out takes as long as reading a film."""
    return date_format(date, "DATE_FORMAT")


def running_time(movie):
    """How long the film is, in words; empty where that is not known."""
    hours, minutes = divmod(movie.runtime or 0, 60)
    if not hours:
        return _("%(minutes)s min") % {"minutes": minutes} if minutes else ""
    if not minutes:
        return _("%(hours)s h") % {"hours": hours}
    return _("%(hours)s h %(minutes)s min") % {"hours": hours, "minutes": minutes}


def name(movie, most):
    """The film's title, of at most so many UTF-16 code units; never empty."""
    titles = (cleaned(title).strip() for title in (movie.title, movie.original_title))
    return shortened(next(filter(None, titles), str(movie.pk)), most)


def visible(html):
    """The text that remains of our own HTML once Telegram has read the tags."""
    return unescape(TAG.sub("", html))


def points(rating):
    """A rating as people write it: 8, 7.5."""
    return f"{rating:f}".rstrip("0").rstrip(".") if rating % 1 else str(int(rating))


def buttons(movie):
    """Rate 1-10, take the rating back, see similar films, send the card to somebody."""

    def label(value):
        return f"● {value}" if movie.mine == value else str(value)

    rows = [[(label(value), f"rate:{movie.pk}:{value}") for value in part] for part in (range(1, 6), range(6, 11))]
    if movie.mine:
        rows.append([(_("Take my rating back"), f"unrate:{movie.pk}")])
    rows.append([(_("Similar films"), f"similar:{movie.pk}"), share_button(movie)])
    return rows


def share_button(movie):
    """Send the film to somebody: as a photo by inline mode, or as a link where the bot's owner has not switched it on.

    Telegram refuses a message with a button for inline mode that the bot does not have.
    """
    if bot.user.supports_inline_queries:
        return types.InlineKeyboardButton(_("Share"), switch_inline_query=str(movie.pk))  # it is found by its id
    link = {"url": deep_link(f"movie_{movie.pk}"), "text": name(movie, 100)}
    return (_("Share"), f"{settings.TELEGRAM_WEB_URL}/share/url?{urlencode(link)}")


NO_FAULT_OF_THE_PHOTO = (401, 403, 429)  # a text would fare no better


def send_card(chat_id, movie, reply_to=None, rows=()):
    """Send a card of the film (one with `mine`, see MovieQuerySet.seen_by). Never silence.

    By file_id at once, else with the poster's bytes, else, whatever Telegram has against the photo, as text. A file_id
    that it does not know sends the poster through the pipeline again; one that comes back with the bytes is kept, so
    that the sweep has nothing to do.
    In a group everybody sees the card, so nobody's rating is on it; `rows` are further buttons.
    """
    if chat_id < 0:
        movie.mine = None
    text = caption(movie)
    more = {"reply_markup": keyboard(*buttons(movie), *rows), "reply_parameters": reply_to}
    if movie.telegram_file_id:
        try:
            bot.send_photo(chat_id, movie.telegram_file_id, text, **more)
            metrics.count("cards.by_file_id")
            return
        except ApiTelegramException as error:
            if error.error_code in NO_FAULT_OF_THE_PHOTO:
                raise
            log.warning("film %s: Telegram refuses its poster: %s", movie.pk, error.description)
            if is_wrong_file(error):
                movie.poster_lost()
                movie.refresh_from_db(fields=["poster_status", "telegram_file_id", "local_path"])
    if movie.poster_status in (PosterStatus.WAITING, PosterStatus.LOCAL) and (poster := poster_bytes(movie)):
        try:
            photo = types.InputFile(BytesIO(poster), file_name=f"{movie.pk}.jpg")
            message = bot.send_photo(chat_id, photo, text, **more)
        except ApiTelegramException as error:
            if error.error_code in NO_FAULT_OF_THE_PHOTO:
                raise
            log.warning("film %s: Telegram refuses its poster: %s", movie.pk, error.description)
        else:
            largest = max(message.photo, key=lambda size: size.width * size.height)
            movie.poster_uploaded(largest.file_id, largest.width, largest.height)
            metrics.count("cards.by_bytes")
            return
    movie.poster_wanted()
    bot.send_message(chat_id, text, **more)
    metrics.count("cards.as_text")


def show_rating(message, movie):
    """Bring a card up to date with its reader's rating; one that many read shows none. False where that cannot be."""
    if message is None or message.chat.type != "private":
        return False
    return edit(message, caption(movie), keyboard(*buttons(movie)))


def ask_on_card(message, *rows):
    """Put a question in the place of the card's buttons. False where it cannot be done."""
    return edit_buttons(message, keyboard(*rows))


def movie_on_card(message):
    """The TMDb id of the film whose card the message is, by its buttons; None for any other message."""
    if message is None or not message.reply_markup or not message.from_user or message.from_user.id != bot.user.id:
        return None
    data = [button.callback_data or "" for row in message.reply_markup.keyboard for button in row]
    ids = {found[1] for text in data if (found := re.fullmatch(r"(?:rate|unrate):(\d+)(?::\d+)?", text))}
    return int(ids.pop()) if len(ids) == 1 else None


def rates_by_reply(message):
    """Whether a message is a number in reply to a card: a rating, and no search."""
    return bool(NUMBER.fullmatch(message.text.strip())) and movie_on_card(message.reply_to_message) is not None


def excuse(error):
    """What to tell a person where TMDb gave us no film."""
    if isinstance(error, NotFound):
        return _("TMDb has no film with this id.")
    return _("TMDb does not answer just now. Please try again in a few minutes.")


def poster_bytes(movie):
    """The poster's bytes, from the disk where the worker has put them, else from TMDb; None where neither has them."""
    if movie.local_path:
        try:
            return (settings.POSTER_DIR / Path(movie.local_path).name).read_bytes()
        except OSError:
            pass  # another worker has just sent it
    try:
        return TMDb(patient=False).image(movie.poster_path)
    except TMDbError as error:
        log.warning("film %s: no poster for its card: %s", movie.pk, error)
        return None


def is_wrong_file(error):
    description = error.description.lower()
    return error.error_code == 400 and any(words in description for words in WRONG_FILE)
