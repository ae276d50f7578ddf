"""The message of a carousel at Telegram: edited in place, or sent anew where that cannot be."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from telebot import types
from telebot.apihelper import ApiTelegramException

from config.bot.client import MAX_RETRY_WAIT_SECONDS, TelegramUnavailable, max_retry_wait
from config.bot.replies import (
    answer,
    delete_message,
    is_not_modified,
    is_unreachable,
    keyboard,
    wait_asked,
    wait_text,
)
from config.bot.router import bot
from config.jobs import rate_limiter
from config.jobs.enqueue import async_task
from movies import details
from movies.cards import Photo, is_invalid_file_id, with_photo
from movies.models import Movie, PosterPriority

if TYPE_CHECKING:
    from config.bot.replies import KeyboardButton
    from ratings.models import Carousel

LOOK_AHEAD = 10  # films of which one with a poster in Telegram is shown first
POSTER_WAIT_SECONDS = 1.5  # for one of them, where none has it
POLL_SECONDS = 0.2
BUTTON_WAIT_SECONDS = 3.0  # for Telegram to take an edit, before the user is told that it comes later
WAKE_UP_SECONDS = 10.0  # between two wake-ups of a poster worker, as in posters.tasks
POSTER_TASKS = ("download_posters", "upload_posters")  # of the app beside, by dotted path


@dataclass(frozen=True)
class Contents:
    """What a carousel's message is to show: `movie` None: only a text."""

    text: str  # HTML
    rows: list[list[KeyboardButton]]
    movie: Movie | None


# --- Posters


def want_posters(movie_ids: Sequence[int]) -> None:
    """Have posters and details of films that are shown soon fetched before all others."""
    movies = Movie.objects.filter(pk__in=movie_ids)
    if movies.prioritize_posters():
        for task in POSTER_TASKS:
            if not rate_limiter.try_acquire(f"enqueue:{task}", 1 / WAKE_UP_SECONDS):
                async_task(f"posters.tasks.{task}", save=False)
    if movies.prioritize_details(PosterPriority.ASKED):
        details.wake()


def bring_ready(carousel: Carousel, place: int) -> None:
    """Put at this place the first film from there on whose poster is in Telegram, or that has none.

    Where there is no such film, wait a moment for one; the dispatcher shows that the bot is typing.
    """
    movie_ids = carousel.movie_ids[place : place + LOOK_AHEAD]
    deadline = time.monotonic() + POSTER_WAIT_SECONDS
    while True:
        ready = Movie.objects.filter(pk__in=movie_ids).without_pending_poster().values_list("pk", flat=True)
        found = set(ready)
        if first := next((movie_id for movie_id in movie_ids if movie_id in found), None):
            carousel.films.insert(place, carousel.films.pop(carousel.movie_ids.index(first)))
            return
        if time.monotonic() > deadline:
            return
        time.sleep(POLL_SECONDS)


# --- The message


def place(carousel: Carousel, contents: Contents) -> None:
    """Have the message show the contents; a new one takes the place of one that cannot."""
    old = carousel.message_id
    if old and edit_in_time(carousel, contents):
        return
    carousel.message_id = send(carousel.chat_id, contents).message_id
    if old:
        delete_message(carousel.chat_id, old)


def edit_in_time(carousel: Carousel, contents: Contents) -> bool:
    """Edit the message, and say so at once where Telegram asks to wait longer than a user does for a button."""
    try:
        with max_retry_wait(BUTTON_WAIT_SECONDS):
            return edit(carousel, contents)
    except TelegramUnavailable:
        pass
    except ApiTelegramException as error:
        seconds = wait_asked(error)
        if seconds and carousel.query:
            answer(carousel.query, wait_text(seconds))
        if seconds > MAX_RETRY_WAIT_SECONDS or (not seconds and error.error_code < 500):
            raise
        time.sleep(seconds)
    return edit(carousel, contents)


def edit(carousel: Carousel, contents: Contents) -> bool:
    """Edit the message; False where it is gone, too old, or a photo while the contents are a text.

    Whatever else a Bot API server has against the edit, a new message says more than an error would.
    """
    markup = keyboard(*contents.rows)
    chat_id, message_id = carousel.chat_id, carousel.message_id

    def change(photo: Photo | None) -> types.Message | bool:
        try:
            if photo is None:
                return bot.edit_message_text(contents.text, chat_id=chat_id, message_id=message_id, reply_markup=markup)
            media = types.InputMediaPhoto(photo, contents.text, parse_mode="HTML")
            return bot.edit_message_media(media, chat_id=chat_id, message_id=message_id, reply_markup=markup)
        except ApiTelegramException as error:
            if is_not_modified(error):
                return True
            if is_unreachable(error) or (error.error_code == 400 and not is_invalid_file_id(error)):
                return False
            raise

    return bool(with_photo(contents.movie, change) if contents.movie else change(None))


def send(chat_id: int, contents: Contents) -> types.Message:
    markup = keyboard(*contents.rows)

    def call(photo: Photo | None) -> types.Message:
        if photo is None:
            return bot.send_message(chat_id, contents.text, reply_markup=markup)
        return bot.send_photo(chat_id, photo, contents.text, reply_markup=markup)

    return with_photo(contents.movie, call) if contents.movie else call(None)
