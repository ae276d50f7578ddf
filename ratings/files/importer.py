"""Importing ratings from a file that a user sent: a few rows in a transaction, so that a stop costs only those.

A rating from a file is the user's own (`manual`), as if given in the chat, unless TMDb holds just that value: then only
its date is corrected. Where the movie is rated otherwise here, the later rating counts; a file without dates is taken
for older. The report names the ratings that were kept, and offers to take the file's instead.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from telebot.apihelper import ApiTelegramException

from config.bot.client import TelegramUnavailable, download
from config.http_client import TooLong
from config.jobs.enqueue import StopEvent, async_task
from config.jobs.locks import lock
from movies.models import Movie
from movies.tmdb import Unavailable
from ratings.files.matching import Matcher
from ratings.files.parser import ParseError, read
from ratings.models import FileImport, PendingWrite, Rating, Source, normalize
from ratings.recommendations.dismissals import undismiss
from users.models import User

if TYPE_CHECKING:
    from django.db.models.query import QuerySet

    from ratings.files.parser import Row

log = logging.getLogger(__name__)

MAX_BYTES = 20 * 2**20  # bytes; Telegram gives bots no larger file (Bot API: getFile)
BATCH_ROWS = 100  # matched and written in one transaction
MAX_FILES_PER_USER = 3  # unfinished at a time
FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 30, 1800  # between two attempts while TMDb or Telegram does not answer
MAX_ATTEMPTS = 50  # about a day
ATTEMPTS_BEFORE_SKIPPING = 3  # failed ones; then movies that TMDb fails at are skipped
MAX_NAMES = 200  # movies of a kind that the report can name
RETENTION_SECONDS = 7 * 86_400  # of a finished import
DAY_SECONDS = 86_400
RATING_FIELDS = ["tmdb_rating", "manual_rating", "normalized_rating", "rated_at", "source"]
WRITE_FIELDS = ["rating", "base", "attempts", "next_try_at", "error"]


class TooManyFiles(Exception):
    """The user has more unfinished files than MAX_FILES_PER_USER."""


class Outcome(StrEnum):
    """What a row has done; the keys of FileImport.outcome, together with Row.skip_reason and not_found."""

    ADDED = "added"
    CHANGED = "changed"
    DATED = "dated"  # the rating was here already, and now has its true date
    SAME = "same"
    KEPT = "kept"  # the rating here is otherwise, and not earlier


def receive(user: User, telegram_file_id: str, message_id: int | None = None) -> FileImport:
    """Queue a file for import. Raises TooManyFiles."""
    if user.file_imports.filter(finished_at=None).count() >= MAX_FILES_PER_USER:
        raise TooManyFiles
    return FileImport.objects.create(
        user=user, telegram_file_id=telegram_file_id, message_id=message_id, sent_at=int(time.time())
    )


def overwrite_existing(file_id: int, user_id: int) -> FileImport | None:
    """Import a finished file once more, its ratings counting this time; None where it is not there any more."""
    finished = FileImport.objects.filter(pk=file_id, user_id=user_id, error="").exclude(finished_at=None)
    restarted = finished.update(
        overwrite_existing=True,
        rows_done=0,
        outcome={},
        names={},
        finished_at=None,
        reported_at=None,
        next_try_at=0,
        attempts=0,
    )
    return FileImport.objects.get(pk=file_id) if restarted else None


def due() -> QuerySet[FileImport]:
    return FileImport.objects.filter(finished_at=None, next_try_at__lte=int(time.time()))


def delete_old() -> None:
    FileImport.objects.filter(finished_at__lt=int(time.time()) - RETENTION_SECONDS).delete()


def enqueue(file: FileImport) -> None:
    """Wake a worker for the file; the schedule would in a minute."""
    transaction.on_commit(lambda: async_task("ratings.tasks.import_file", file.pk))


# --- One file


def resume(file_id: int, seconds: float, stop: StopEvent, watch: Callable[[FileImport], None]) -> bool:
    """Import a file, for so many seconds at most; True where there is more to do at once.

    `stop` ends the work early; `watch(file)` is called as it gets on and when it is finished. A file that another
    process is importing is left to it.
    """
    with lock(f"ratings.file.{file_id}") as free:
        file = FileImport.objects.filter(pk=file_id, finished_at=None).first()
        if not free or file is None:
            return False
        try:
            if not _import_rows(file, time.monotonic() + seconds, stop, watch):
                return True
        except ParseError as error:
            finish(file, error.reason)
        except TooLong:
            finish(file, "too_long")
        except ApiTelegramException as error:
            log.warning("file import %s: %s", file.pk, error.description)
            finish(file, "gone") if error.error_code == 400 else postpone(file)
        except (Unavailable, TelegramUnavailable) as error:
            log.warning("file import %s waits: %s", file.pk, error)
            postpone(file)
        if current := FileImport.objects.filter(pk=file_id).first():
            watch(current)
        return False


def _import_rows(file: FileImport, deadline: float, stop: StopEvent, watch: Callable[[FileImport], None]) -> bool:
    """Import the rows that are left; False where time is over before the last, or the worker is to stop."""
    rows = read(download(file.telegram_file_id, MAX_BYTES), file.sent_at)
    FileImport.objects.filter(pk=file.pk).update(rows_total=len(rows))
    matcher = Matcher(given_up=file.attempts >= ATTEMPTS_BEFORE_SKIPPING)
    while file.rows_done < len(rows):
        if stop.is_set() or time.monotonic() > deadline:
            return False
        batch = rows[file.rows_done : file.rows_done + BATCH_ROWS]
        written = write_batch(file, batch, matcher.match(batch))
        if written is None:
            return True
        file = written
        watch(file)
    finish(file)
    async_task("ratings.tasks.write_ratings")
    return True


def finish(file: FileImport, error: str = "") -> None:
    FileImport.objects.filter(pk=file.pk).update(finished_at=int(time.time()), error=error)


def postpone(file: FileImport) -> None:
    """Try again after a pause that doubles; give the file up after about a day.

    The row may have got on since `file` was read: its attempts count from the last progress.
    """
    current = FileImport.objects.filter(pk=file.pk).first()
    if current is None:
        return
    if current.attempts >= MAX_ATTEMPTS:
        finish(current, "away")
        return
    pause = min(FIRST_RETRY_SECONDS * 2**current.attempts, MAX_RETRY_SECONDS)
    FileImport.objects.filter(pk=file.pk).update(attempts=current.attempts + 1, next_try_at=int(time.time()) + pause)


def write_batch(file: FileImport, rows: list[Row], movie_ids: dict[int, int]) -> FileImport | None:
    """Write some rows in one transaction; the file as it stands then, or None where the user or the file is gone.

    `movie_ids` are the rows' movies, {id(row): movie id}.
    """
    try:
        with transaction.atomic():
            locked = FileImport.objects.select_for_update().filter(pk=file.pk, rows_done=file.rows_done).first()
            if locked is None or locked.finished_at:
                return None
            Merge(locked, movie_ids).take(rows)
            locked.rows_done += len(rows)
            locked.attempts = 0
            locked.save(update_fields=["rows_done", "attempts", "outcome", "names"])
            return locked
    except IntegrityError:
        if FileImport.objects.filter(pk=file.pk).exists():
            raise
        return None  # the user has deleted their account, and the ratings with it


class Merge:
    """Merges rows into the ratings of the file's user, inside the caller's transaction."""

    def __init__(self, file: FileImport, movie_ids: dict[int, int]) -> None:
        self.file, self.movie_ids = file, movie_ids
        user = User.objects.get(pk=file.user_id)
        self.writes = user.connected and user.writes_ratings
        wanted = set(movie_ids.values())
        ratings = Rating.objects.select_for_update().filter(user_id=user.pk, movie_id__in=wanted)
        pending = PendingWrite.objects.select_for_update().filter(user_id=user.pk, movie_id__in=wanted)
        self.ratings = {rating.movie_id: rating for rating in ratings}
        self.pending = {write.movie_id: write for write in pending}
        self.titles = dict(Movie.objects.filter(pk__in=wanted).values_list("pk", "title"))
        self.changed: dict[int, Rating] = {}
        self.to_write: dict[int, PendingWrite] = {}
        self.obsolete: set[int] = set()  # movies whose pending write is to be deleted

    def take(self, rows: list[Row]) -> None:
        for row in rows:
            movie_id = self.movie_ids.get(id(row))
            if row.skip_reason or movie_id is None or row.value is None:
                self.count(row.skip_reason or "not_found", row.name)
                continue
            before = self.ratings.get(movie_id)
            outcome = self.rate(movie_id, row, row.value)
            if outcome == Outcome.KEPT and before:
                name = self.titles.get(movie_id) or row.name
                self.count(outcome, [name, f"{before.value:f}", f"{row.value:f}"])
            else:
                self.count(outcome)
        Rating.objects.bulk_create(
            self.changed.values(), update_conflicts=True, unique_fields=["user", "movie"], update_fields=RATING_FIELDS
        )
        undismiss(self.file.user_id, *self.changed)
        PendingWrite.objects.filter(user_id=self.file.user_id, movie_id__in=self.obsolete).delete()
        PendingWrite.objects.bulk_create(
            self.to_write.values(), update_conflicts=True, unique_fields=["user", "movie"], update_fields=WRITE_FIELDS
        )

    def count(self, outcome: str, name: str | list[str] | None = None) -> None:
        """Count a row; `name`: the movie, or [movie, rating here, rating in the file], for the report."""
        self.file.outcome[outcome] = self.file.outcome.get(outcome, 0) + 1
        names = self.file.names.setdefault(outcome, [])
        if name and len(names) < MAX_NAMES:
            names.append(name)

    def rate(self, movie_id: int, row: Row, value: Decimal) -> Outcome:
        """Change the rating of the row's movie where the row's counts."""
        rating = self.ratings.get(movie_id)
        if rating is None:
            self.set(movie_id, row, value, self.value_at_tmdb(movie_id))
            return Outcome.ADDED
        if rating.value == value:
            if row.at is None or not is_earlier(row.at, rating.rated_at, row.whole_day):
                return Outcome.SAME
            rating.rated_at = row.at
            self.changed[movie_id] = rating
            return Outcome.DATED
        if self.file.overwrite_existing or (row.at is not None and is_earlier(rating.rated_at, row.at, row.whole_day)):
            self.set(movie_id, row, value, rating.tmdb_rating)
            return Outcome.CHANGED
        return Outcome.KEPT

    def value_at_tmdb(self, movie_id: int) -> Decimal | None:
        """TMDb's value of a movie that is not rated here: of a rating deleted here, but not yet there."""
        pending = self.pending.get(movie_id)
        return pending.base if pending and pending.rating is None else None

    def set(self, movie_id: int, row: Row, value: Decimal, at_tmdb: Decimal | None) -> None:
        same = value == at_tmdb
        self.ratings[movie_id] = self.changed[movie_id] = Rating(
            user_id=self.file.user_id,
            movie_id=movie_id,
            tmdb_rating=at_tmdb,
            manual_rating=None if same else value,
            normalized_rating=normalize(value),
            rated_at=row.at or int(time.time()),
            source=Source.TMDB if same else Source.MANUAL,
        )
        if same or not self.writes:
            self.to_write.pop(movie_id, None)
            self.obsolete.add(movie_id)
        else:
            self.obsolete.discard(movie_id)
            self.to_write[movie_id] = PendingWrite(
                user_id=self.file.user_id, movie_id=movie_id, rating=value, base=at_tmdb
            )


def is_earlier(one: int, other: int, whole_days: bool) -> bool:
    """Whether one time (UNIX seconds) comes before another; where only the days are known, on an earlier day."""
    return one // DAY_SECONDS < other // DAY_SECONDS if whole_days else one < other
