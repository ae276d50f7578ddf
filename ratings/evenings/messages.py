"""What a group reads of its evening: who is in, the poll, the winner, and the question of the next day."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from enum import Enum
from html import escape
from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from telebot import apihelper, types
from telebot.apihelper import ApiException, ApiTelegramException

from config.bot.client import TelegramUnavailable, in_topic, max_retry_wait
from config.bot.replies import Keyboard, KeyboardButton, is_transient, is_unreachable, keyboard, try_edit
from config.bot.router import bot
from config.jobs import rate_limiter
from movies.cards import Photo, display_title, rating_buttons, send_card, truncate, with_photo
from movies.cards import names as names_of_people
from movies.models import Movie
from ratings.chat import filters as filter_menus
from ratings.chat.carousel_message import want_posters
from ratings.evenings import steps
from ratings.evenings.models import Evening, EveningGuest
from ratings.recommendations.recommender import Filters
from users import countries
from users.models import User

log = logging.getLogger(__name__)

EDITS_PER_SECOND = 1 / 10  # of each kind: a group takes 20 messages a minute, edits included
POSTER_WAIT_SECONDS = 3.0
MAX_NAMES = 30
MAX_OPTION_LENGTH, MAX_TITLE_LENGTH = 100, 80
MAX_ALBUM, MIN_ALBUM = 10, 2


def prefix(evening: Evening) -> str:
    """What the callback data of its buttons begins with."""
    return f"evening:{evening.pk}"


# --- Who is in


def invitation(evening: Evening) -> str:
    """HTML: what it is about, who is in, the filters."""
    name = evening.asker.first_name if evening.asker else ""
    lines = [
        "🍿 " + (_("%(name)s is planning a film evening.") % {"name": escape(name)} if name else _("A film evening."))
    ]
    if evening.state == Evening.State.GATHERING:
        lines.append(_("Who’s watching? Press “I’m in”. I pick films that none of you has seen, and you vote."))
    elif evening.state == Evening.State.CANCELLED:
        lines.append(_("It has been called off."))
    names = [user.first_name or _("somebody") for user in steps.guests_of(evening)[: MAX_NAMES + 1]]
    if names:
        shown = ", ".join(names[:MAX_NAMES]) + ("…" if len(names) > MAX_NAMES else "")
        lines.append(_("In: %(names)s") % {"names": escape(shown)})
    if chosen := filter_menus.describe(Filters.from_json(evening.filters)):
        lines.append(f"🔎 {escape(chosen)}")
    return "\n".join(lines)


def rows(evening: Evening, page: str = "") -> list[list[KeyboardButton]]:
    """The buttons below it; `page`: "filters", or one of the kinds of filters."""
    if evening.state != Evening.State.GATHERING:
        return []
    own, filters = prefix(evening), Filters.from_json(evening.filters)
    if page:
        menu = filter_menus.menu_rows(filters, own, has_list=False)
        choices = menu if page == "filters" else filter_menus.choice_rows(page, filters, own)
        return [*choices, [(_("Done"), f"{own}:menu:film")]]
    return [
        [(_("🙋 I’m in"), f"{own}:in"), (_("Not me"), f"{own}:out")],
        [(_("Filters"), f"{own}:menu:filters"), (_("Start the poll"), f"{own}:start")],
        [(_("Cancel"), f"{own}:cancel")],
    ]


def send_invitation(evening: Evening, reply_to: types.ReplyParameters) -> None:
    markup = keyboard(*rows(evening))
    sent = bot.send_message(evening.chat_id, invitation(evening), reply_parameters=reply_to, reply_markup=markup)
    Evening.objects.filter(pk=evening.pk).update(message_id=sent.message_id)


class Presses(Enum):
    """Presses that edit the message with who is in and may be many: seconds of burst, so the first show at once."""

    GUESTS = 30.0
    MENU = 40.0


def show_invitation(evening: Evening, page: str = "", presses: Presses | None = None) -> bool:
    """Have its message show the row; False: a job does so later. `presses` None: it is shown anyway."""
    if evening.message_id is None:
        return True
    may_edit = presses is None or not rate_limiter.try_acquire(
        f"evening:{evening.chat_id}:{presses.name.lower()}", EDITS_PER_SECOND, presses.value
    )
    shown = may_edit and _edit_invitation(evening, page)
    Evening.objects.filter(pk=evening.pk).exclude(is_stale=not shown).update(is_stale=not shown)
    return shown


def _edit_invitation(evening: Evening, page: str) -> bool:
    """False where Telegram takes it later."""
    markup = keyboard(*rows(evening, page))
    text, chat_id, message_id = invitation(evening), evening.chat_id, evening.message_id
    try:
        with max_retry_wait(0):
            try_edit(lambda: bot.edit_message_text(text, chat_id=chat_id, message_id=message_id, reply_markup=markup))
    except TelegramUnavailable:
        return False
    except ApiTelegramException as error:
        if not is_transient(error):
            raise
        return False
    return True


# --- The poll


def send_poll(evening: Evening) -> None:
    """Send the poll of a claimed evening, a poster in each option where Telegram takes them, else as an album below.

    Raises ApiException, TelegramUnavailable.
    """
    with translation.override(evening.language), in_topic(evening.chat_id, evening.thread_id):
        movies = films_of(evening)
        sent = _send_poll(evening, movies)
        poll: dict[str, Any] = sent["poll"]
        steps.poll_sent(evening, str(poll["id"]), int(sent["message_id"]))


def films_of(evening: Evening) -> list[Movie]:
    """The films of the poll; waits a moment for posters that are not in Telegram yet."""
    want_posters(evening.films)
    deadline = time.monotonic() + POSTER_WAIT_SECONDS
    while Movie.objects.filter(pk__in=evening.films).without_pending_poster().count() < len(evening.films):
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    movies = Movie.objects.in_bulk(evening.films)
    if len(movies) < len(evening.films):  # one has been deleted since: votes are counted by the options' places
        evening.films = [movie_id for movie_id in evening.films if movie_id in movies]
        Evening.objects.filter(pk=evening.pk).update(films=evening.films)
    return [movies[movie_id] for movie_id in evening.films]


def _send_poll(evening: Evening, movies: Sequence[Movie]) -> dict[str, Any]:
    """Telegram's Message. Plain calls: pyTelegramBotAPI reads no poll of a server older than its options' ids."""
    texts = option_texts(movies)
    with_media: list[dict[str, Any]] = [{"text": text} for text in texts]
    for option, movie in zip(with_media, movies, strict=True):
        if movie.telegram_file_id:
            option["media"] = {"type": "photo", "media": movie.telegram_file_id}
    posters = [movie for movie in movies if movie.telegram_file_id]
    try:
        sent = _call_send_poll(evening, with_media)
    except ApiTelegramException as error:
        if error.error_code != 400 or not posters or is_unreachable(error):
            raise
        # Telegram takes no pictures in options, or no longer knows one of them
        sent = _call_send_poll(evening, [{"text": text} for text in texts])
    if posters and not any(option.get("media") for option in sent["poll"].get("options", ())):
        _send_album(evening, posters)
    return sent


def option_texts(movies: Sequence[Movie]) -> list[str]:
    """Telegram takes no two that read alike: the second has its director, or its id."""
    texts = [option_text(movie) for movie in movies]
    for place, movie in enumerate(movies):
        if texts[place] in texts[:place]:
            telling = names_of_people(movie.directors, 1)
            known = [*texts[:place], *texts[place + 1 :]]
            ways = [f"{truncate(texts[place], 50)} · {more}" for more in (telling, str(movie.pk)) if more]
            texts[place] = next(way for way in ways if way not in known)
    return texts


def option_text(movie: Movie) -> str:
    year = f" ({movie.year})" if movie.year else ""
    return display_title(movie, MAX_OPTION_LENGTH - len(year)) + year


def _call_send_poll(evening: Evening, options: Sequence[dict[str, Any]]) -> dict[str, Any]:
    params = {
        "chat_id": evening.chat_id,
        "question": _("What shall we watch?"),
        "options": json.dumps(options),
        "is_anonymous": False,
        "allows_multiple_answers": True,
        "reply_markup": keyboard([(_("Close the poll"), f"{prefix(evening)}:close")]).to_json(),
    }
    sent: dict[str, Any] = apihelper._make_request(
        settings.TELEGRAM_BOT_TOKEN, "sendPoll", method="post", params=params
    )
    return sent


def _send_album(evening: Evening, movies: Sequence[Movie]) -> None:
    """The posters, below the poll, which stands without them where that fails."""
    media: list[Any] = [
        types.InputMediaPhoto(movie.telegram_file_id, caption=escape(option_text(movie))) for movie in movies
    ]
    if len(media) < MIN_ALBUM:
        return
    try:
        bot.send_media_group(evening.chat_id, media[:MAX_ALBUM])
    except (ApiException, TelegramUnavailable) as error:
        log.warning("evening %s: no album of posters: %s", evening.pk, error)


def stop_poll(evening: Evening) -> None:
    """Stop the poll and count its votes. One that was stopped or deleted before counts as it was last seen."""
    params = {"chat_id": evening.chat_id, "message_id": evening.poll_message_id}
    try:
        poll = apihelper._make_request(settings.TELEGRAM_BOT_TOKEN, "stopPoll", method="post", params=params)
    except ApiTelegramException as error:
        if error.error_code != 400:
            raise
        return
    steps.count_votes(evening, poll.get("options", ()))


# --- What was chosen


def announce(evening: Evening) -> None:
    """Show the winner of a claimed evening: a sentence, and the film's card."""
    movie = steps.winner_of(evening)
    if movie is None:
        return
    title = {"title": escape(display_title(movie, MAX_TITLE_LENGTH)), "count": evening.votes}
    with translation.override(evening.language), in_topic(evening.chat_id, evening.thread_id):
        if evening.votes:
            text = ngettext(
                "🏆 We watch “%(title)s”: %(count)d vote.", "🏆 We watch “%(title)s”: %(count)d votes.", evening.votes
            )
        else:
            text = _("Nobody voted, so I suggest “%(title)s”.")
        reply = types.ReplyParameters(evening.poll_message_id or 0, allow_sending_without_reply=True)
        if evening.winner_message_id is None:  # else only the card was refused
            sent = bot.send_message(evening.chat_id, text % title, reply_parameters=reply)
            Evening.objects.filter(pk=evening.pk).update(winner_message_id=sent.message_id)
        send_card(evening.chat_id, movie)


def ask(evening: Evening, guest: EveningGuest) -> bool:
    """Ask one who was in, privately, how it was; False where the bot may not write to them. Silently at night."""
    user = guest.user
    movie = steps.winner_of(evening, user.pk)
    if movie is None or movie.user_rating or user.banned_at:
        return True
    if user.blocked_at:
        return False
    with translation.override(user.language):
        question = _("Yesterday you chose “%(title)s”. How was it?")
        text = question % {"title": escape(display_title(movie, MAX_TITLE_LENGTH))}
        skip: list[KeyboardButton] = [(_("Have not watched it"), f"{prefix(evening)}:skip")]
        markup = keyboard(*rating_buttons(movie), skip)
        try:
            _send_with_photo(user.pk, movie, text, markup, silent=not countries.is_daytime(user.home, time.time()))
        except ApiTelegramException as error:
            if not is_unreachable(error) and error.error_code != 400:
                raise
            return False
    return True


def ask_in_group(evening: Evening, users: Sequence[User]) -> None:
    """Ask those to whom the bot may not write."""
    movie = steps.winner_of(evening)
    if movie is None:
        return
    movie.user_rating = None
    with translation.override(evening.language), in_topic(evening.chat_id, evening.thread_id):
        names = ", ".join(user.first_name for user in users if user.first_name)
        question = _("How was “%(title)s”? Each of you can rate it here.")
        text = question % {"title": escape(display_title(movie, MAX_TITLE_LENGTH))}
        text = f"{escape(names)}\n{text}" if names else text
        _send_with_photo(evening.chat_id, movie, text, keyboard(*rating_buttons(movie)))


def _send_with_photo(chat_id: int, movie: Movie, text: str, markup: Keyboard, silent: bool = False) -> None:
    def call(photo: Photo | None) -> types.Message:
        if photo is None:
            return bot.send_message(chat_id, text, reply_markup=markup, disable_notification=silent)
        return bot.send_photo(chat_id, photo, text, reply_markup=markup, disable_notification=silent)

    with_photo(movie, call)
