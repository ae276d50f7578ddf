"""Sending one message of an operator's, and what Telegram's answer means for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from html import escape
from typing import NamedTuple

from django.utils import translation
from telebot import types
from telebot.apihelper import ApiTelegramException

from config.bot.client import TelegramUnavailable, max_retry_wait, retry_after
from config.bot.replies import KeyboardButton, is_unreachable, keyboard
from config.bot.router import bot
from movies.cards import buttons, display_title
from movies.models import Movie
from users.mailing.models import Broadcast, Button, Delivery
from users.models import User

MAX_TEXT_LENGTH = 4096  # UTF-16 code units (Bot API: sendMessage)
MAX_CAPTION_LENGTH = 1024  # the same of a photo's caption
MAX_TITLE_LENGTH = 100


class Outcome(NamedTuple):
    """What became of one message. WAITING: it certainly was not sent, and may be sent later."""

    state: Delivery
    error: str = ""
    retry_after_seconds: int = 0  # 429: for all that the bot sends
    message: types.Message | None = None


def deliver(send: Callable[[], types.Message]) -> Outcome:
    """Make one call that sends a message; it is never made twice, so that nobody gets the message twice."""
    try:
        with max_retry_wait(0):
            return Outcome(Delivery.SENT, message=send())
    except ApiTelegramException as error:
        if error.error_code == 429:
            return Outcome(Delivery.WAITING, error.description, retry_after(error.result.content))
        if is_unreachable(error):
            return Outcome(Delivery.BLOCKED, error.description)
        if error.error_code == 400 or error.error_code == 413:
            return Outcome(Delivery.FAILED, error.description)
        return Outcome(Delivery.WAITING, f"{error.error_code}: {error.description}")
    except TelegramUnavailable as error:
        return Outcome(Delivery.UNKNOWN if error.sent else Delivery.WAITING, str(error))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return Outcome(Delivery.UNKNOWN, f"an answer that cannot be read ({type(error).__name__})")


def send_text(user_id: int, text: str) -> Outcome:
    """Send a plain text."""
    return deliver(lambda: bot.send_message(user_id, escape(text, quote=False)))


def send_broadcast(broadcast: Broadcast, user_id: int, language: str) -> Outcome:
    """Send a broadcast to one person, in the language they read."""
    with translation.override(language):
        movie = film_of(broadcast, user_id)
        text = broadcast_text(broadcast, language, movie)
        markup = keyboard(*rows(broadcast, language, movie))
        photo = photo_of(broadcast, movie)
        if photo is None:
            return deliver(lambda: bot.send_message(user_id, text, reply_markup=markup))
        outcome = deliver(lambda: bot.send_photo(user_id, photo, text, reply_markup=markup))
    if outcome.message and outcome.message.photo and broadcast.picture and not broadcast.picture_file_id:
        broadcast.picture_file_id = max(outcome.message.photo, key=lambda size: size.width * size.height).file_id
        Broadcast.objects.filter(pk=broadcast.pk).update(picture_file_id=broadcast.picture_file_id)
    return outcome


def film_of(broadcast: Broadcast, user_id: int) -> Movie | None:
    """The film of a broadcast, with this person's rating."""
    if broadcast.movie_id is None:
        return None
    return Movie.objects.with_user_rating(user_id).filter(pk=broadcast.movie_id).first()


def broadcast_text(broadcast: Broadcast, language: str, movie: Movie | None) -> str:
    """The text as HTML, with the film's title below."""
    text = escape(broadcast.text_for(language), quote=False)
    if movie is None:
        return text
    title = escape(display_title(movie, MAX_TITLE_LENGTH)) + (f" ({movie.year})" if movie.year else "")
    return f"{text}\n\n<b>{title}</b>"


def photo_of(broadcast: Broadcast, movie: Movie | None) -> str | bytes | None:
    if broadcast.picture:
        return broadcast.picture_file_id or bytes(broadcast.picture)
    return (movie.telegram_file_id or None) if movie else None


def rows(broadcast: Broadcast, language: str, movie: Movie | None) -> list[list[KeyboardButton]]:
    """The buttons: those that the operator wrote, then the film's own."""
    own: list[list[KeyboardButton]] = []
    for button in (Button(*parts) for parts in broadcast.buttons):
        text = (button.en or button.ru) if language == "en" else (button.ru or button.en)
        target = f"do:{button.target[1:]}" if button.target.startswith("/") else button.target
        own.append([(text, target)])
    return [*own, *(buttons(movie) if movie else [])]


def mark_blocked(user_id: int) -> None:
    User.objects.filter(pk=user_id, blocked_at=None).update(blocked_at=int(time.time()))
