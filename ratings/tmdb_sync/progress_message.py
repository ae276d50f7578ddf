"""The message in the chat that shows an import of ratings from TMDb: sent once, edited as the import goes on."""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import TypedDict

from django.db import DatabaseError, connection
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _
from telebot.apihelper import ApiException, ApiTelegramException

from config.bot.client import TelegramUnavailable, in_topic, max_retry_wait, retry_after
from config.bot.replies import Keyboard, KeyboardButton, command_button, is_not_modified, is_unreachable, keyboard
from config.bot.router import bot
from movies.cards import display_title, format_rating
from movies.models import Movie
from ratings.models import Import
from ratings.tmdb_sync import limits
from users.models import REACHABLE, SessionUnreadable, User

log = logging.getLogger(__name__)

EDIT_INTERVAL_SECONDS = 3.0  # between two edits of a message; Telegram allows about one a second in a chat
GRACE_SECONDS = 5  # in which the "queued" message of /sync has to reach an import before the import sends one itself
SHUTDOWN_SECONDS = 8.0  # that the end of a run spends on outcomes not yet reported
MAX_NAMED = 15  # movies of a kind that the message names; the others it counts
MAX_TITLE = 80  # characters, or UTF-16 code units


class Named(TypedDict):
    """The movies of one kind that the message names, as Import.names holds them, and how many more there are."""

    films: list[dict[str, str | None]]
    more: int


class ProgressReporter(threading.Thread):
    """Reports imports to their users in a thread of its own; an outcome at once, progress now and then.

    An outcome that could not be reported is found in the table by the next run (Import.objects.unreported).
    """

    def __init__(self) -> None:
        super().__init__(daemon=True, name="import-reporter")
        self.inbox: queue.SimpleQueue[tuple[int, bool] | None] = queue.SimpleQueue()
        self.due: dict[int, float] = {}  # {import: when to report it}; times of time.monotonic()
        self.reported: dict[int, float] = {}  # {import: when it was last reported}
        self.outcomes: set[int] = set()
        self.closing = False

    def notify(self, run_id: int, last: bool = False) -> None:
        """An import has changed; `last`: it is finished."""
        self.inbox.put((run_id, last))

    def close(self) -> None:
        """Report the outcomes that are still unreported, for SHUTDOWN_SECONDS at most, and stop."""
        self.inbox.put(None)
        self.join(SHUTDOWN_SECONDS + 2)

    def run(self) -> None:
        try:
            while not self.closing:
                self.receive()
                self.report_due()
            deadline = time.monotonic() + SHUTDOWN_SECONDS
            while any(self.due[run_id] < deadline for run_id in self.outcomes) and time.monotonic() < deadline:
                self.report_due(only=self.outcomes)
                time.sleep(0.02)
        finally:
            connection.close()

    def receive(self) -> None:
        now = time.monotonic()
        try:
            received = [self.inbox.get(timeout=max(0.0, min(self.due.values(), default=now + 1) - now))]
        except queue.Empty:
            return
        while not self.inbox.empty():
            received.append(self.inbox.get())
        for item in received:
            if item is None:
                self.closing = True
                continue
            run_id, last = item
            if last:
                self.outcomes.add(run_id)
                self.due[run_id] = now
            else:
                earliest = self.reported.get(run_id, now - EDIT_INTERVAL_SECONDS) + EDIT_INTERVAL_SECONDS
                self.due.setdefault(run_id, max(now, earliest))

    def report_due(self, only: set[int] | None = None) -> None:
        now = time.monotonic()
        for run_id in [run_id for run_id, when in self.due.items() if when <= now]:
            if only is not None and run_id not in only:
                continue
            try:
                wait = report(run_id)
            except DatabaseError:
                log.warning("import %s could not be reported", run_id, exc_info=True)
                wait = EDIT_INTERVAL_SECONDS
            self.reported[run_id] = now
            if wait:
                self.due[run_id] = now + wait
            else:
                del self.due[run_id]
                self.outcomes.discard(run_id)


def report(run_id: int) -> float:
    """Bring the message of an import up to date. Returns the seconds to wait before another attempt, or 0."""
    run = Import.objects.select_related("user").filter(REACHABLE, pk=run_id, reported_at=None).first()
    if run is None or (run.scheduled and not run.finished_at):
        return 0
    if not run.message_id and not run.finished_at and 0 <= time.time() - run.started_at < GRACE_SECONDS:
        return GRACE_SECONDS
    text = render(run)
    message_id = run.message_id
    try:
        with max_retry_wait(0):
            message_id = show(run, text)
    except ApiTelegramException as error:
        if error.error_code == 429:
            return float(retry_after(error.result.content))
        log.warning("import of %s: the user could not be notified: %s", run.user_id, error.description)
        if error.error_code >= 500:
            return EDIT_INTERVAL_SECONDS
        if is_unreachable(error):
            User.objects.filter(pk=run.user_id).update(blocked_at=int(time.time()))
    except (ApiException, TelegramUnavailable) as error:
        log.warning("import of %s: the user could not be notified: %s", run.user_id, error)
        if run.message_id or (isinstance(error, TelegramUnavailable) and not error.sent):
            return EDIT_INTERVAL_SECONDS
        message_id = None  # it may have arrived: rather no second one
    Import.objects.filter(pk=run.pk, message_id=run.message_id).update(message_id=message_id)
    if run.finished_at:
        # another message may have taken this one's place meanwhile: then that one is to be edited, too
        reported = Import.objects.filter(pk=run.pk, message_id=message_id).update(reported_at=int(time.time()))
        return 0 if reported else EDIT_INTERVAL_SECONDS
    return 0


def show(run: Import, text: str) -> int:
    """Edit the message, or send one. Returns its id. Raises ApiException, TelegramUnavailable."""
    if run.message_id:
        try:
            bot.edit_message_text(text, run.user_id, run.message_id, reply_markup=buttons(run))
            return run.message_id
        except ApiTelegramException as error:
            if is_not_modified(error):
                return run.message_id
            if error.error_code != 400 or "chat not found" in error.description:
                raise
            if not run.finished_at:
                return run.message_id  # the user has deleted it: they will be sent the outcome
    with in_topic(run.user_id, run.thread_id):
        return bot.send_message(run.user_id, text, reply_markup=buttons(run)).message_id


def buttons(run: Import) -> Keyboard | None:
    """What to do next, and the way to put back what an import removed, where that is more than a few."""
    if not run.finished_at:
        return None
    with translation.override(run.user.language):
        rows: list[list[KeyboardButton]] = []
        if run.removed > limits.MAX_SMALL_REMOVAL:
            rows.append([(_("Put them back"), f"put_back:{run.reader_state['removed_at']}")])
        if not run.scheduled and not run.error:
            rows += next_steps(run.user.ratings_count)
        return keyboard(*rows) if rows else None


def next_steps(ratings: int) -> list[list[KeyboardButton]]:
    """The doors that stand open after an import, of this many ratings."""
    if not ratings:
        return [[command_button(_("Start rating"), "recommend")]]
    return [
        [command_button(_("What to watch"), "recommend")],
        [command_button(_("Statistics"), "stats"), command_button(_("Compare with a friend"), "match")],
    ]


def render(run: Import) -> str:
    """The text of the message, in the user's language."""
    template = "running" if not run.finished_at else "failed" if run.error else "finished"
    with translation.override(run.user.language):
        context = {
            "run": run,
            "user": run.user,
            "unreadable": run.error == SessionUnreadable.REASON,
            "many_removed": run.removed > limits.MAX_SMALL_REMOVAL,
            "unconfirmed": len(run.reader_state.get("unconfirmed", {}).get("movie_ids", ())),
            "extremes": extremes(run.user) if run.added and not run.scheduled else None,
            "watchlist": {kind: watchlist_named(run, kind) for kind in ("removed", "overridden", "rated")},
            **named(run),
        }
        return render_to_string(f"ratings/{template}.html", context).strip()


def extremes(user: User) -> dict[str, str] | None:
    """The titles and ratings of the films that the user rated highest and lowest at TMDb; None where all are equal."""
    ratings = user.ratings.exclude(tmdb_rating=None).select_related("movie")
    best = ratings.order_by("-tmdb_rating", "-movie__vote_count", "movie_id").first()
    worst = ratings.order_by("tmdb_rating", "-movie__vote_count", "movie_id").first()
    if best is None or worst is None:
        return None
    high, low = best.tmdb_rating, worst.tmdb_rating
    if high is None or low is None or high == low:
        return None
    return {
        "best": display_title(best.movie, MAX_TITLE),
        "high": format_rating(high),
        "worst": display_title(worst.movie, MAX_TITLE),
        "low": format_rating(low),
    }


def named(run: Import) -> dict[str, Named]:
    """The movies to be named, by kind: {"failed": {"films": […], "more": 3}}."""
    by_kind: dict[str, Named] = {}
    for kind in ("overridden", "removed", "failed", "left_out"):
        shown = dict(list(run.names.get(kind, {}).items())[:MAX_NAMED])
        movies = {str(movie.pk): display_title(movie, MAX_TITLE) for movie in Movie.objects.filter(pk__in=shown)}
        films = [
            {**facts, "id": movie_id, "title": movies.get(movie_id) or truncate(facts["title"] or movie_id)}
            for movie_id, facts in shown.items()
        ]
        by_kind[kind] = {"films": films, "more": getattr(run, kind) - len(films)}
    return by_kind


def watchlist_named(run: Import, kind: str) -> dict[str, object]:
    """The movies of the watchlist to be named, of one kind, and how many more there are."""
    named = dict(list(run.watchlist.get(f"{kind}_films", {}).items())[:MAX_NAMED])
    known = {str(movie.pk): display_title(movie, MAX_TITLE) for movie in Movie.objects.filter(pk__in=named)}
    titles = [known.get(movie_id) or truncate(title or movie_id) for movie_id, title in named.items()]
    return {"titles": titles, "more": run.watchlist.get(kind, 0) - len(titles)}


def truncate(title: str) -> str:
    return title if len(title) <= MAX_TITLE else title[: MAX_TITLE - 1] + "…"
