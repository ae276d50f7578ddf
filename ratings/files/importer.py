"""Ratings in from a CSV that a person sent: a few rows at a time, so that a stop at any moment costs only those.

A rating from a file is the person's own (`manual`), as if given in the chat, unless TMDb holds just that value: then
only the day it was given becomes true. Where the film is rated otherwise here, the later rating counts; a file that
does not say when is taken for older. The person hears which ratings were kept, and may have the file's instead.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from telebot.apihelper import ApiTelegramException

from config.bot.client import TelegramUnavailable, download
from config.http_client import TooLong
from config.jobs.enqueue import async_task
from config.jobs.locks import lock
from movies.models import Movie
from movies.tmdb import Unavailable
from ratings.files.matching import Matcher
from ratings.files.parser import Unreadable, read
from ratings.models import FileImport, PendingWrite, Rating, Source, normalize
from ratings.recommendations.dismissals import allow
from users.models import User

if TYPE_CHECKING:
    from ratings.files.parser import Row

log = logging.getLogger(__name__)

LARGEST = 20 * 2**20  # bytes; Telegram gives bots no larger file (Bot API: getFile)
ROWS = 100  # matched and written at once
MOST_WAITING = 3  # files of one person
FIRST_PAUSE, LONGEST_PAUSE = 30, 1800  # seconds between two tries while TMDb or Telegram is away
TRIES = 50  # about a day
RESIGNED = 3  # tries after which films that TMDb fails at are left behind
MOST_NAMES = 200  # films of a kind that are kept for the report
KEPT_FOR = 7 * 86_400  # seconds that a finished import can be looked back at
DAY = 86_400
RATING_FIELDS = ["tmdb_rating", "manual_rating", "normalized_rating", "rated_at", "source"]
WRITE_FIELDS = ["rating", "base", "attempts", "next_try_at", "error"]


class TooManyFiles(Exception):
    """The person has sent more files than we take in at a time."""


def receive(user: User, telegram_file_id, message_id: int | None = None):
    """Put a file on the list of what is to be imported. Raises TooManyFiles."""
    if user.file_imports.filter(finished_at=None).count() >= MOST_WAITING:
        raise TooManyFiles
    return FileImport.objects.create(
        user=user, telegram_file_id=telegram_file_id, message_id=message_id, sent_at=int(time.time())
    )


def replace_kept(file_id: str, user_id: int):
    """Import a finished file once more, its ratings counting this time; None where it is not there any more."""
    again = {"replace": True, "rows_done": 0, "outcome": {}, "names": {}, "finished_at": None, "told_at": None}
    finished = FileImport.objects.filter(pk=file_id, user_id=user_id, error="").exclude(finished_at=None)
    if not finished.update(**again, next_try_at=0, attempts=0):
        return None
    return FileImport.objects.get(pk=file_id)


def waiting():
    """Files that are due."""
    return FileImport.objects.filter(finished_at=None, next_try_at__lte=int(time.time()))


def forget_old() -> None:
    FileImport.objects.filter(finished_at__lt=int(time.time()) - KEPT_FOR).delete()


# --- One file


def go_on(file_id: str, seconds: float, stop: threading.Event, watch=lambda file: None) -> bool:
    """Import a file, for so many seconds at most; True where there is more to do at once.

    `stop` is an Event that ends the work early; `watch(file)` is called as it gets on and when it is finished. Another
    process at the same file is left alone.
    """
    with lock(f"ratings.file.{file_id}") as free:
        file = FileImport.objects.filter(pk=file_id, finished_at=None).first()
        if not free or file is None:
            return False
        try:
            rows = read(download(file.telegram_file_id, LARGEST), file.sent_at)
            deadline = time.monotonic() + seconds
            FileImport.objects.filter(pk=file.pk).update(rows_total=len(rows))
            matcher = Matcher(resigned=file.attempts >= RESIGNED)
            while file and file.rows_done < len(rows):
                if stop.is_set() or time.monotonic() > deadline:
                    return True
                some = rows[file.rows_done : file.rows_done + ROWS]
                file = write(file, some, matcher.match(some))
                if file:
                    watch(file)
        except Unreadable as error:
            finish(file, error.why)
        except TooLong:
            finish(file, "too_long")
        except ApiTelegramException as error:
            log.warning("file import %s: %s", file.pk, error.description)
            finish(file, "gone") if error.error_code == 400 else postpone(file)
        except (Unavailable, TelegramUnavailable) as error:
            log.warning("file import %s waits: %s", file.pk, error)
            postpone(file)
        else:
            if file:
                finish(file)
                async_task("ratings.tasks.write_ratings")
        file = file and FileImport.objects.filter(pk=file.pk).first()
        if file:
            watch(file)
        return False


def finish(file, error: str = "") -> None:
    FileImport.objects.filter(pk=file.pk).update(finished_at=int(time.time()), error=error)


def postpone(file) -> None:
    """Try again later, ever more seldom; after a day or so it is given up."""
    if file.attempts >= TRIES:
        finish(file, "away")
        return
    pause = min(FIRST_PAUSE * 2**file.attempts, LONGEST_PAUSE)
    FileImport.objects.filter(pk=file.pk).update(attempts=file.attempts + 1, next_try_at=int(time.time()) + pause)


def write(file: FileImport, rows: list[Row], films: dict[Any, Any]) -> FileImport:
    """Write what some rows say, in one transaction; the file as it stands then, or None where the person is gone.

    `films` are the rows' films, {id(row): film id}.
    """
    try:
        with transaction.atomic():
            fresh = FileImport.objects.select_for_update().filter(pk=file.pk, rows_done=file.rows_done).first()
            if fresh is None or fresh.finished_at:
                return None
            Merge(fresh, films).take(rows)
            fresh.rows_done += len(rows)
            fresh.attempts = 0
            fresh.save(update_fields=["rows_done", "attempts", "outcome", "names"])
            return fresh
    except IntegrityError:
        if FileImport.objects.filter(pk=file.pk).exists():
            raise
        return None  # forgotten just now, and the ratings with the person


class Merge:
    """Rows into the ratings of the file's person."""

    def __init__(self, file: FileImport, films: dict[Any, Any]) -> None:
        self.file, self.films = file, films
        user = User.objects.get(pk=file.user_id)
        self.writes = user.connected and user.writes_ratings
        mine = {"user_id": user.pk, "movie_id__in": set(films.values())}
        self.held = {rating.movie_id: rating for rating in Rating.objects.select_for_update().filter(**mine)}
        self.pending = {write.movie_id: write for write in PendingWrite.objects.select_for_update().filter(**mine)}
        self.titles = dict(Movie.objects.filter(pk__in=mine["movie_id__in"]).values_list("pk", "title"))
        self.changed, self.to_write, self.needless = {}, {}, set()

    def take(self, rows: list[Row]) -> None:
        for row in rows:
            film = self.films.get(id(row))
            if row.flaw or film is None:
                self.count(row.flaw or "not_found", row.name)
            else:
                self.count(*self.rate(film, row))
        Rating.objects.bulk_create(
            self.changed.values(), update_conflicts=True, unique_fields=["user", "movie"], update_fields=RATING_FIELDS
        )
        allow(self.file.user_id, *self.changed)
        PendingWrite.objects.filter(user_id=self.file.user_id, movie_id__in=self.needless).delete()
        PendingWrite.objects.bulk_create(
            self.to_write.values(), update_conflicts=True, unique_fields=["user", "movie"], update_fields=WRITE_FIELDS
        )

    def count(self, what: str, name: str | None = None) -> None:
        self.file.outcome[what] = self.file.outcome.get(what, 0) + 1
        names = self.file.names.setdefault(what, [])
        if name and len(names) < MOST_NAMES:
            names.append(name)

    def rate(self, film, row):
        """What a row means for the film it is about: (added | changed | dated | same | kept, the name to tell)."""
        rating = self.held.get(film)
        if rating is None:
            self.set(film, row, self.at_tmdb(film))
            return ("added",)
        if rating.value == row.value:
            if row.at is None or not earlier(row.at, rating.rated_at, row.whole_day):
                return ("same",)
            rating.rated_at = row.at
            self.changed[film] = rating
            return ("dated",)
        if self.file.replace or (row.at is not None and earlier(rating.rated_at, row.at, row.whole_day)):
            self.set(film, row, rating.tmdb_rating)
            return ("changed",)
        return "kept", [self.titles.get(film) or row.name, f"{rating.value:f}", f"{row.value:f}"]

    def at_tmdb(self, film):
        """TMDb's value of a film that is not rated here: one that was taken back, but not there yet."""
        pending = self.pending.get(film)
        return pending.base if pending and pending.rating is None else None

    def set(self, film, row, at_tmdb) -> None:
        same = row.value == at_tmdb
        self.held[film] = self.changed[film] = Rating(
            user_id=self.file.user_id,
            movie_id=film,
            tmdb_rating=at_tmdb,
            manual_rating=None if same else row.value,
            normalized_rating=normalize(row.value),
            rated_at=row.at or int(time.time()),
            source=Source.TMDB if same else Source.MANUAL,
        )
        if same or not self.writes:
            self.to_write.pop(film, None)
            self.needless.add(film)
        else:
            self.needless.discard(film)
            self.to_write[film] = PendingWrite(user_id=self.file.user_id, movie_id=film, rating=row.value, base=at_tmdb)


def earlier(one, other, whole_days):
    """Whether one time comes before another; where only the days are known, on an earlier day."""
    return one // DAY < other // DAY if whole_days else one < other


def ring(file) -> None:
    """Have a worker look at the file soon; the clock would in a minute."""
    transaction.on_commit(lambda: async_task("ratings.tasks.import_file", file.pk))
