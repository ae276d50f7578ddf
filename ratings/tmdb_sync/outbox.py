"""Ratings made here, written to TMDb: tried until TMDb has them, or refuses for good."""

import logging
import time
from html import escape

from django.db import transaction
from django.db.models import F
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from telebot.apihelper import ApiException

from config.bot.client import TelegramUnavailable
from config.bot.replies import is_unreachable
from config.bot.router import bot
from config.jobs.rate_limiter import only_one
from movies.cards import name
from movies.tmdb import NotFound, Refused, SessionRefused, TMDb, TMDbError, Unavailable
from ratings.models import PendingWrite, Rating
from users.models import SessionUnreadable, SyncStatus, User

log = logging.getLogger(__name__)

FIRST_DELAY = 30  # seconds to the second attempt
LONGEST_DELAY = 6 * 3600
GIVES_UP = gettext_noop("TMDb does not take your rating of “%(title)s”. It stays here.")
SHUT_OUT = gettext_noop(
    "TMDb no longer lets me write your ratings. They stay here; please link your account again: /connect"
)
CLOSED = gettext_noop(
    "The link with your TMDb account cannot be used just now: that is a fault on our side, and we know of it. Your "
    "ratings are safe and will be written to TMDb once it is mended; /connect makes a new link."
)
KEEPS = gettext_noop("TMDb does not let me take your rating of “%(title)s” back there. Here it is gone.")


def write_pending(user_id=None):
    """Write what waits for TMDb, of one person or of all; returns how much TMDb has taken.

    Nobody else writes the same person's ratings meanwhile, and none is written while an import reads them: it would
    take a value that it has just read for TMDb's newest.
    """
    waiting = due() if user_id is None else due().filter(user_id=user_id)
    written = 0
    for person in waiting.values_list("user_id", flat=True).order_by("user_id").distinct():
        with only_one(f"ratings.write.{person}") as free:
            if not free:
                continue
            try:
                written += write_all_of(person)
            except SessionRefused as error:
                session_is_over(person, error, SHUT_OUT)
            except SessionUnreadable as error:
                session_is_over(person, error, CLOSED)
            except Unavailable as error:
                log.warning("ratings wait for TMDb: %s", error)
                break  # the next tick; the row that failed waits longer
    return written


def due():
    """What is to be written now."""
    ready = PendingWrite.objects.filter(next_try_at__lte=int(time.time()), user__writes_ratings=True)
    return ready.filter(user__tmdb_session_id__gt="").exclude(user__sync_status=SyncStatus.QUEUED)


def write_all_of(user_id):
    written = 0
    while write := due().filter(user_id=user_id).select_related("user", "movie").order_by("next_try_at", "pk").first():
        if claim(write):
            written += attempt(write)
    return written


def claim(write):
    """Count the attempt and set the time of the next before it is made: what is killed in mid-attempt is not lost."""
    delay = min(FIRST_DELAY * 2**write.attempts, LONGEST_DELAY)
    same = PendingWrite.objects.filter(pk=write.pk, attempts=write.attempts, next_try_at=write.next_try_at)
    return bool(same.update(attempts=F("attempts") + 1, next_try_at=int(time.time()) + delay))


def attempt(write):
    """Write one rating to TMDb, or take it back there. Raises SessionRefused, SessionUnreadable, Unavailable."""
    try:
        session = write.user.session_id
        if write.rating is None:
            TMDb().unrate(write.movie_id, session)
        else:
            TMDb().rate(write.movie_id, write.rating, session)
    except (NotFound, Refused) as error:
        give_up(write, error)
        return False
    except TMDbError as error:
        PendingWrite.objects.filter(pk=write.pk).update(error=str(error)[:500])
        raise
    written(write)
    return True


@transaction.atomic
def written(write):
    """TMDb holds the value now: it is the base of the next merge, and nothing is left to be written.

    Where the person has rated anew meanwhile, that waits; where an import has begun, it has perhaps read the old value,
    so this is written once more when it is over.
    """
    Rating.objects.select_for_update().filter(user=write.user, movie=write.movie).first()
    if User.objects.filter(pk=write.user_id, sync_status=SyncStatus.QUEUED).exists():
        return
    Rating.objects.filter(user=write.user, movie=write.movie).update(tmdb_rating=write.rating)
    waiting = PendingWrite.objects.filter(pk=write.pk)
    if not waiting.filter(rating=write.rating).delete()[0]:
        waiting.update(base=write.rating)


def give_up(write, error):
    """TMDb will never take it: say so once, and leave the rating as it is here."""
    log.warning("rating of film %s: TMDb refuses it for good: %s", write.movie_id, error)
    if PendingWrite.objects.filter(pk=write.pk, rating=write.rating).delete()[0]:
        tell(write.user, KEEPS if write.rating is None else GIVES_UP, title=escape(name(write.movie, 100)))


def session_is_over(user_id, error, sentence):
    """The session that we hold is good for nothing: say so once; what waits is written when there is one again."""
    log.warning("ratings of %s: %s", user_id, error)
    fresh = User.objects.filter(pk=user_id).exclude(sync_status__in=[SyncStatus.FAILED, SyncStatus.QUEUED])
    if fresh.update(sync_status=SyncStatus.FAILED, sync_error=str(error)[:500]):
        tell(User.objects.get(pk=user_id), sentence)


def tell(user, sentence, **values):
    """Write to a person in their language, unless they have blocked us; who has is remembered."""
    if user.blocked_at:
        return
    with translation.override(user.language):
        text = _(sentence) % values
    try:
        bot.send_message(user.pk, text)
    except (ApiException, TelegramUnavailable) as error:
        log.warning("%s could not be told: %s", user.pk, error)
        if is_unreachable(error):
            User.objects.filter(pk=user.pk).update(blocked_at=int(time.time()))
