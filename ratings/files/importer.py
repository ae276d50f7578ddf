"""Importing ratings from files that users sent: a few rows in a transaction, so that a stop costs only those.

A user's files are worked through one after another. What has been done is in the file's row; each run downloads and
reads the file once more and goes on from there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from telebot.apihelper import ApiTelegramException

from config.bot.client import TelegramUnavailable, download
from config.bot.replies import delete_message
from config.http_client import TooLong
from config.jobs.enqueue import StopEvent, async_task
from config.jobs.locks import lock
from config.lock_order import again_if_lost
from config.moments import ahead, doubled
from movies import details
from movies.models import Movie, PosterPriority
from movies.tmdb import Unavailable
from ratings.files.matching import Match, Matcher
from ratings.files.merge import Merge, candidates_of, row_from, take_back
from ratings.files.parser import read
from ratings.files.rows import ListUnknown, ParseError, Purpose, Scale, ScaleUnknown
from ratings.models import FileChange, FileImport, FileRow
from ratings.tmdb_sync import limits
from users.models import User

if TYPE_CHECKING:
    from django.db.models.query import QuerySet

    from ratings.files.rows import Row

log = logging.getLogger(__name__)

MAX_BYTES = 20 * 2**20  # bytes; Telegram gives bots no larger file (Bot API: getFile)
BATCH_ROWS = 100  # matched and written in one transaction
MAX_FILES_PER_USER = 50  # unfinished at a time
FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 30, 1800  # between two attempts while TMDb or Telegram does not answer
MAX_ATTEMPTS = 50  # about a day
ATTEMPTS_BEFORE_SKIPPING = 3  # failed ones; then movies that TMDb fails at are skipped
RETENTION_SECONDS = 30 * 86_400  # of a file's import, in which it can be undone
PAGES_TOGETHER_SECONDS = 600  # within which saved pages of one list are reported as one

Watch = Callable[[FileImport], None]
Stage = FileImport.Stage


class TooManyFiles(Exception):
    """The user has more unfinished files than MAX_FILES_PER_USER."""


def receive(
    user: User, telegram_file_id: str, message_id: int | None = None, thread_id: int | None = None, name: str = ""
) -> FileImport:
    """Queue a file of this name for import, whose progress a message in a topic shows. Raises TooManyFiles."""
    if user.file_imports.filter(finished_at=None).count() >= MAX_FILES_PER_USER:
        raise TooManyFiles
    return FileImport.objects.create(
        user=user,
        telegram_file_id=telegram_file_id,
        message_id=message_id,
        thread_id=thread_id,
        sent_at=int(time.time()),
        found={"name": name[:100]},
    )


def restart(file_id: int, user_id: int, stage: FileImport.Stage) -> FileImport | None:
    """Have a finished file's ratings taken, or taken back; None where it is not there any more, or undone already."""
    finished = FileImport.objects.filter(pk=file_id, user_id=user_id, error="").exclude(finished_at=None)
    restarted = finished.exclude(stage=Stage.UNDO).update(
        stage=stage, finished_at=None, reported_at=None, next_try_at=0, attempts=0
    )
    return FileImport.objects.get(pk=file_id) if restarted else None


def set_scale(file_id: int, user_id: int, scale: Scale) -> FileImport | None:
    """Import a file that waits for this answer; None where it waits no more."""
    waiting = FileImport.objects.filter(pk=file_id, user_id=user_id, finished_at=None).exclude(question=[])
    return FileImport.objects.get(pk=file_id) if waiting.update(scale=scale, question=[], next_try_at=0) else None


def set_list(file_id: int, user_id: int, purpose: Purpose) -> FileImport | None:
    """Import a list without ratings, of films to see or of films seen; None where nothing waits for this answer."""
    with transaction.atomic():
        waiting = FileImport.objects.filter(pk=file_id, user_id=user_id, finished_at=None).exclude(question=[])
        file = waiting.select_for_update().first()
        if file is None:
            return None
        file.found["list"], file.question, file.next_try_at = purpose.value, [], 0
        file.save(update_fields=["found", "question", "next_try_at"])
    return file


def due() -> QuerySet[FileImport]:
    waiting = ahead("next_try_at", doubled(FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS))
    return FileImport.objects.filter(finished_at=None, question=[]).exclude(waiting).order_by("pk")


def delete_old() -> None:
    old = int(time.time()) - RETENTION_SECONDS
    FileImport.objects.filter(finished_at__lt=old).delete()
    FileImport.objects.filter(finished_at=None, sent_at__lt=old).exclude(question=[]).delete()


def enqueue(file: FileImport) -> None:
    """Wake a worker for the file; the schedule would in a minute."""
    transaction.on_commit(lambda: async_task("ratings.tasks.import_file", file.pk))


# --- One file


def resume(file_id: int, seconds: float, stop: StopEvent, watch: Watch) -> bool:
    """Go on with a file, or with an earlier one of its user's, for so many seconds at most; True: more to do at once.

    `stop` ends the work early; `watch(file)` is called as it gets on and when it is finished. A user's files are worked
    at by one process at a time, the earliest first, whichever of them woke it.
    """
    woken = FileImport.objects.filter(pk=file_id).first()
    if woken is None:
        return False
    user_id = woken.user_id
    with lock(f"ratings.files.{user_id}") as free:
        waiting = FileImport.objects.filter(user_id=user_id, finished_at=None, question=[]).order_by("pk")
        file = waiting.first()
        if not free or file is None or (file.pk != file_id and not due().filter(pk=file.pk).exists()):
            return False
        try:
            work = {Stage.IMPORT: _import_rows, Stage.OVERWRITE: _overwrite, Stage.UNDO: _undo}[Stage(file.stage)]
            if not work(file, time.monotonic() + seconds, stop, watch):
                return True
        except (ScaleUnknown, ListUnknown) as question:
            file.found["asked"] = str(question)
            FileImport.objects.filter(pk=file.pk).update(question=question.examples, found=file.found)
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
        if current := FileImport.objects.filter(pk=file.pk).first():
            watch(current)
        if following := due().filter(user_id=user_id).first():
            enqueue(following)
        return False


def _import_rows(file: FileImport, deadline: float, stop: StopEvent, watch: Watch) -> bool:
    """Import the rows that are left; False where time is over before the last, or the worker is to stop."""
    started = time.monotonic()
    content = download(file.telegram_file_id, MAX_BYTES)
    listed = Purpose(file.found.get("list", Purpose.LISTED))
    parsed = read(content, file.sent_at, Scale(file.scale), file.found.get("name", ""), listed)
    rows = parsed.rows
    deadline += time.monotonic() - started  # however long it takes to read a file, each run gets on with its rows
    if file.rows_total is None:
        file.rows_total = len(rows)
        file.found |= {
            "titles": parsed.titles,
            "members": parsed.members,
            "undated": parsed.undated,
            "page": parsed.is_page,
        }
        FileImport.objects.filter(pk=file.pk).update(rows_total=file.rows_total, found=file.found)
    matcher = Matcher(given_up=file.attempts >= ATTEMPTS_BEFORE_SKIPPING)
    while file.rows_done < len(rows):
        if stop.is_set() or time.monotonic() > deadline:
            return False
        batch = rows[file.rows_done : file.rows_done + BATCH_ROWS]
        matches = matcher.match(batch)
        written = again_if_lost(partial(write_batch, file, batch, matches))
        if written is None:
            return True
        request_details(file.rows_done, len(rows), matches)
        file = written
        watch(file)
    join_previous_page(file)
    finish(file)
    return True


def request_details(done: int, total: int, matches: Mapping[int, Match]) -> None:
    """Have the details of the films found read, in turns with those of imports (see tmdb_sync.user_import)."""
    place = done // limits.FILMS_IN_TURN * limits.FILMS_IN_TURN + min(total, limits.FILMS_IN_TURN - 1)
    found = Movie.objects.filter(pk__in={match.movie_id for match in matches.values() if match.movie_id})
    if found.prioritize_details(PosterPriority.IMPORT, place):
        details.wake()


def _overwrite(file: FileImport, deadline: float, stop: StopEvent, watch: Watch) -> bool:
    """Take the file's ratings where those here had been kept."""
    while kept := list(file.file_rows.filter(state=FileRow.State.KEPT).order_by("position")[:BATCH_ROWS]):
        if stop.is_set() or time.monotonic() > deadline:
            return False
        with transaction.atomic():
            locked = lock_rows(file)
            if locked is None:
                return True
            current, user = locked
            rate_rows(current, user, [(row, candidates_of(row)[0]) for row in kept], overwrite=True)
            current.save(update_fields=["outcome", "found"])
    finish(file)
    return True


def _undo(file: FileImport, deadline: float, stop: StopEvent, watch: Watch) -> bool:
    """Give the ratings that the file set back the values they had."""
    while changes := list(file.changes.order_by("movie_id")[:BATCH_ROWS]):
        if stop.is_set() or time.monotonic() > deadline:
            return False
        with transaction.atomic():
            locked = lock_rows(file)
            if locked is None:
                return True
            current, user = locked
            ratings, listed = take_back(user, changes)
            current.count("undone", ratings)
            current.count("undone_list", listed)
            current.save(update_fields=["outcome"])
            FileChange.objects.filter(pk__in=[change.pk for change in changes]).delete()
    file.file_rows.all().delete()
    finish(file)
    return True


def finish(file: FileImport, error: str = "") -> None:
    log.info("file of %s ratings for %s: %s", file.rows_total, file.user_id, error or "done")
    FileImport.objects.filter(pk=file.pk).update(finished_at=int(time.time()), error=error)
    async_task("ratings.tasks.write_ratings")
    async_task("ratings.tasks.fetch_tmdb_recommendations", file.user_id)


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


def write_batch(file: FileImport, rows: list[Row], matches: Mapping[int, Match]) -> FileImport | None:
    """Write some rows in one transaction; the file as it stands then, or None where the user or the file is gone."""
    try:
        with transaction.atomic():
            locked = lock_rows(file)
            if locked is None or locked[0].rows_done != file.rows_done:
                return None
            current, user = locked
            Merge(current, user, matches).take(rows)
            current.rows_done += len(rows)
            current.attempts = 0
            current.save(update_fields=["rows_done", "attempts", "outcome", "found"])
            return current
    except IntegrityError:
        if FileImport.objects.filter(pk=file.pk).exists():
            raise
        return None  # the user has deleted their account, and the ratings with it


def lock_rows(file: FileImport) -> tuple[FileImport, User] | None:
    """The file and its user, locked in the order of all writers of ratings; None where one is gone."""
    user = User.objects.lock(file.user_id)
    current = FileImport.objects.select_for_update().filter(pk=file.pk).first()
    return (current, user) if user and current else None


def rate_rows(file: FileImport, user: User, chosen: list[tuple[FileRow, int]], overwrite: bool = False) -> None:
    """Rate the movies chosen for rows about which the user was asked; they count as what becomes of them."""
    rows = [row_from(file_row.data) for file_row, _movie_id in chosen]
    for file_row, _movie_id in chosen:
        file.count(file_row.state, -1)
    FileRow.objects.filter(pk__in=[file_row.pk for file_row, _movie_id in chosen]).delete()
    matches = {id(row): Match(movie_id) for row, (_file_row, movie_id) in zip(rows, chosen, strict=True)}
    Merge(file, user, matches).take(rows, overwrite)


def join_previous_page(file: FileImport) -> None:
    """Report saved pages of one list together: the counts of the page before become this one's."""
    earlier = FileImport.objects.filter(user_id=file.user_id, pk__lt=file.pk, error="").exclude(finished_at=None)
    previous = earlier.filter(finished_at__gt=int(time.time()) - PAGES_TOGETHER_SECONDS).order_by("-pk").first()
    if not (file.found.get("page") and previous and previous.found.get("page") and previous.stage == Stage.IMPORT):
        return
    with transaction.atomic():
        current = FileImport.objects.select_for_update().get(pk=file.pk)
        for change in previous.changes.all():
            if not current.changes.filter(movie_id=change.movie_id).update(before=change.before):
                current.changes.add(change, bulk=False)
        first = current.rows_done
        for row in previous.file_rows.all():
            row.file, row.position = current, first + row.position
            row.save(update_fields=["file", "position"])
        for outcome, number in previous.outcome.items():
            current.count(outcome, number)
        for name in ("undated", "written"):
            current.found[name] = current.found.get(name, 0) + previous.found.get(name, 0)
        current.rows_total = current.rows_done = current.rows_done + previous.rows_done
        current.save(update_fields=["outcome", "found", "rows_total", "rows_done"])
        previous.delete()
    if previous.message_id:
        delete_message(file.user_id, previous.message_id)
