"""Messages about the list that nobody has asked for: each once, silently."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from telebot.apihelper import ApiException, ApiTelegramException

from config.bot.client import TelegramUnavailable
from config.bot.replies import is_unreachable, keyboard
from config.bot.router import bot
from ratings.models import WatchlistEntry
from users.models import User

if TYPE_CHECKING:
    from config.bot.replies import KeyboardButton

log = logging.getLogger(__name__)


def tell(entry: WatchlistEntry, column: str, text: str, rows: list[list[KeyboardButton]]) -> bool:
    """Send the user a message about a movie of their list, unless `column` says that another worker has.

    It is written down before it is sent: rather none than two. One that surely did not go is sent by a later run.
    """
    same = WatchlistEntry.objects.filter(user_id=entry.user_id, movie_id=entry.movie_id)
    if not same.filter(**{column: None}).update(**{column: int(time.time())}):
        return False
    try:
        bot.send_message(entry.user_id, text, reply_markup=keyboard(*rows), disable_notification=True)
    except (ApiException, TelegramUnavailable) as error:
        log.warning("user %s could not be told of a film: %s", entry.user_id, error)
        if is_unreachable(error):
            User.objects.filter(pk=entry.user_id, blocked_at=None).update(blocked_at=int(time.time()))
        elif surely_not_sent(error):
            same.update(**{column: None})
        return False
    return True


def surely_not_sent(error: ApiException | TelegramUnavailable) -> bool:
    if isinstance(error, TelegramUnavailable):
        return not error.sent
    return isinstance(error, ApiTelegramException) and error.error_code == 429
