"""“Have you seen it?”: asked once, some days after a film was picked or opened from the list."""

from __future__ import annotations

import time
from html import escape
from typing import TYPE_CHECKING

from django.db.models import Exists, OuterRef
from django.utils import translation
from django.utils.translation import gettext as _

from config.jobs.enqueue import StopEvent
from movies.cards import display_title, rating_buttons
from ratings.models import WatchlistEntry
from ratings.watchlist.unasked import tell
from users import countries
from users.models import User

if TYPE_CHECKING:
    from django.db.models.query import QuerySet

    from config.bot.replies import KeyboardButton

DAY_SECONDS = 86_400
ASK_AFTER_SECONDS = 3 * DAY_SECONDS
FORGET_AFTER_SECONDS = 14 * DAY_SECONDS  # a question that could not be asked so long is not asked any more
PAUSE_SECONDS = 20 * 3600  # between two questions to one user


def to_ask() -> QuerySet[WatchlistEntry]:
    """What was picked three days ago, the latest of each user first."""
    now = int(time.time())
    asked = WatchlistEntry.objects.filter(user_id=OuterRef("user_id"), asked_at__gt=now - PAUSE_SECONDS)
    picked = WatchlistEntry.objects.filter(
        ~Exists(asked),
        asked_at=None,
        picked_at__gt=now - FORGET_AFTER_SECONDS,
        picked_at__lte=now - ASK_AFTER_SECONDS,
        user__in=User.objects.reachable().filter(asks_seen=True),
    )
    return picked.select_related("user", "movie").order_by("user_id", "-picked_at")


def ask_whether_seen(deadline: float, stop: StopEvent) -> int:
    """Ask one question of each user whose time has come; returns how many were asked."""
    asked: set[int] = set()
    for entry in to_ask().iterator():
        if stop.is_set() or time.monotonic() > deadline:
            break
        if entry.user_id not in asked and countries.is_daytime(entry.user.home, time.time()) and ask(entry):
            asked.add(entry.user_id)
    return len(asked)


def ask(entry: WatchlistEntry) -> bool:
    movie = entry.movie
    movie.user_rating = None
    with translation.override(entry.user.language):
        text = _("Have you seen “%(title)s”? How was it?") % {"title": escape(display_title(movie, 100))}
        rows: list[list[KeyboardButton]] = [
            *rating_buttons(movie),
            [(_("Not yet"), f"notyet:{movie.pk}"), (_("🔖 Take off"), f"watch:{movie.pk}:0")],
            [(_("Do not ask me"), "asks:off")],
        ]
    return tell(entry, "asked_at", text, rows)
