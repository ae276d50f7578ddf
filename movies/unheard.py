"""Cards that rode in the answer to a webhook: whether Telegram knew their photos, since it tells nobody when not.

Each photo is asked for once a day (Bot API: getFile), after the card has gone. Who was to get one that is not known
gets the card again, by a request whose refusal we hear, which also sends the poster through the pipeline again.
"""

import json
import logging
import re
import time

from django.apps import apps
from django.conf import settings
from django.core.cache import cache
from django.db.models.functions import Substr
from django.utils import translation
from telebot import apihelper
from telebot.apihelper import ApiException, ApiTelegramException

from config.bot.client import TelegramUnavailable, max_retry_wait
from config.models import Update
from movies.cards import is_invalid_file_id, send_card
from movies.models import Movie

log = logging.getLogger(__name__)

BACK = 300  # seconds; the clock rings every minute
KNOWN_FOR = 24 * 3600  # seconds for which a photo is not asked for again
MOST = 500  # photos asked for in one run
PHOTO = re.compile(r'\{"method": "sendPhoto", "chat_id": -?\d+, "photo": "([^"]+)"')
FILM = re.compile(r"rate:(\d+):")


def check_answers():
    """(photos asked for, cards sent again) of the answers of the last minutes."""
    answers = Update.objects.filter(received_at__gte=time.time() - BACK).exclude(reply="")
    beginnings = answers.annotate(beginning=Substr("reply", 1, 300)).values_list("beginning", flat=True)
    photos = {found[1] for beginning in beginnings if (found := PHOTO.match(beginning))}
    new = sorted(photos - {key.removeprefix("photo:") for key in cache.get_many([f"photo:{it}" for it in photos])})
    again = 0
    for asked, photo in enumerate(new[:MOST]):
        try:
            with max_retry_wait(0):
                apihelper.get_file(settings.TELEGRAM_BOT_TOKEN, photo)
        except ApiTelegramException as error:
            if error.error_code == 429:
                return asked, again
            if is_invalid_file_id(error):
                unseen = answers.filter(reply__contains=f'"{photo}"').values_list("reply", flat=True)
                again += sum(map(send_again, unseen))
        except (ApiException, TelegramUnavailable):
            continue  # asked for again when the clock rings next
        cache.set(f"photo:{photo}", True, KNOWN_FOR)
    return len(new[:MOST]), again


def send_again(answer):
    """Send the card of an answer by itself; whether that was done."""
    call = json.loads(answer)
    chat_id, film = int(call["chat_id"]), FILM.search(call.get("reply_markup", ""))
    movie = film and Movie.objects.with_user_rating(chat_id).filter(pk=film[1]).first()
    if not movie:
        return False
    reader = apps.get_model("users.User").objects.filter(pk=chat_id).first()
    with translation.override(reader.language if reader else settings.LANGUAGE_CODE):
        try:
            send_card(chat_id, movie)
        except (ApiException, TelegramUnavailable) as error:
            log.warning("film %s: its card could not be sent again: %s", movie.pk, error)
            return False
    return True
