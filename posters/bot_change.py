"""When TELEGRAM_BOT_TOKEN becomes another bot's: the file_ids that the movies hold serve the old bot only."""

import logging

from django.db import transaction

from config.lock_order import lock_rows
from movies.models import RESET_POSTER, Movie, PosterPriority, PosterStatus
from posters.models import PosterBot

log = logging.getLogger(__name__)


def token_is_of_another_bot(token: str) -> bool:
    """Whether a token, which begins with the bot's id, is of another bot than the one whose file_ids we hold."""
    known = PosterBot.objects.first()
    return known is not None and not token.startswith(f"{known.bot_id}:")


def handle_bot_change(bot_id: int) -> int:
    """Queue every poster again if the bot is another than the one whose file_ids the movies hold.

    A file_id serves one bot only (Bot API: Sending files). Rated movies go first. Returns how many were queued.
    """
    known, new = PosterBot.objects.get_or_create(pk=1, defaults={"bot_id": bot_id})
    if new or known.bot_id == bot_id:
        return 0
    with transaction.atomic():
        if not PosterBot.objects.filter(pk=1, bot_id=known.bot_id).update(bot_id=bot_id):
            return 0  # another process has just done it
        useless = Movie.objects.filter(telegram_file_id__gt="")
        lock_rows(useless)
        cleared = {"telegram_file_id": "", "width": None, "height": None}
        rated = useless.filter(pk__in=Movie.objects.filter(ratings__isnull=False).values("pk"))
        rated.filter(poster_priority__lt=PosterPriority.IMPORT).update(poster_priority=PosterPriority.IMPORT)
        useless.exclude(poster_path__gt="").update(poster_status=PosterStatus.NONE, **cleared)
        queued = useless.exclude(poster_status=PosterStatus.TELEGRAM).update(**cleared)
        queued += useless.update(**RESET_POSTER | cleared)
    log.warning("bot %s is another than %s: %s posters go to the channels again", bot_id, known.bot_id, queued)
    return queued
