"""The message in the chat that shows a file: sent once, edited as the import and the writing to TMDb go on."""

from __future__ import annotations

import logging
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from django.template.loader import render_to_string
from django.utils import translation
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from telebot.apihelper import ApiException, ApiTelegramException

from config.bot.client import TelegramUnavailable, in_topic, max_retry_wait
from config.bot.replies import KeyboardButton, is_not_modified, is_transient, is_unreachable, keyboard
from config.bot.router import bot
from movies.cards import format_rating, strip_tags, truncate, utf16_length
from movies.models import Movie
from ratings.files.merge import candidates_of, row_from
from ratings.models import FileImport, FileRow, PendingWrite
from users.models import REACHABLE, User

if TYPE_CHECKING:
    from django.db.models.query import QuerySet
    from telebot.types import InlineKeyboardMarkup

log = logging.getLogger(__name__)

EDIT_INTERVAL_SECONDS = 3.0  # between two edits of a message
MAX_MESSAGE_LENGTH = 4096  # UTF-16 code units after Telegram has read the tags (Bot API: sendMessage)
MAX_NAME_LENGTH = 80
MAX_NAMED = 60  # movies of a kind that a report names, if they fit
MAX_MEMBERS = 10  # of an archive that are named
REPORT_WITHIN_SECONDS = 86_400  # of the end of an import; later its outcome is of no use
State = FileRow.State
NAMED = (State.KEPT, State.UNSURE, State.NOT_FOUND, State.UNANSWERED, State.ODD_RATING)
LOST = (State.NOT_FOUND, State.UNANSWERED, State.ODD_RATING)  # rows that nothing was made of

ERROR_TEXTS = {
    "empty": gettext_lazy("The file is empty. Please save it again and send it to me."),
    "archive": gettext_lazy("I cannot open this kind of archive. Send me a zip, or the files from it."),
    "broken_archive": gettext_lazy("This archive is damaged. Please send it again, or send the files from it."),
    "locked": gettext_lazy("This archive has a password. Unpack it and send me the files from it."),
    "no_ratings_inside": gettext_lazy("There are no film ratings in this archive. Send me the file that holds them."),
    "no_text": gettext_lazy("I cannot read this file. Send me a table (CSV or Excel), a saved page or a zip archive."),
    "old_excel": gettext_lazy("This is an old Excel file. Save it as .xlsx or CSV and send it again."),
    "broken_sheet": gettext_lazy("I cannot read this spreadsheet. Save it as CSV and send it again."),
    "broken": gettext_lazy(
        "The file is damaged: a quotation mark is never closed, or a line never ends. "
        "Save it again and send me the new one."
    ),
    "no_ratings": gettext_lazy(
        "I found no ratings in this file. Send me an export of TMDb, Letterboxd, IMDb, Kinopoisk, Kinorium, Trakt, "
        "Simkl or another tracker. In a table of your own, name the columns in the first line: Title, Year, Rating10."
    ),
    "too_long": gettext_lazy("The file is too long: I read up to 100,000 rows and 20 MB. Send it in parts."),
    "gone": gettext_lazy("Telegram no longer has this file. Please send it again."),
    "away": gettext_lazy("TMDb has not answered for a day, so I stopped waiting. Please send the file again later."),
}


class NamedRow(NamedTuple):
    name: str
    here: str  # the rating here, where there is one
    there: str  # the rating in the file


class Written(NamedTuple):
    """How many of a file's ratings TMDb has, as people write numbers: 1,204."""

    done: str
    total: str
    complete: bool


def report(file: FileImport) -> tuple[str, InlineKeyboardMarkup | None]:
    """(text, keyboard) of the message about a file, in the active language."""
    if file.error:
        return str(ERROR_TEXTS.get(file.error, ERROR_TEXTS["gone"])), None
    if file.question:
        examples = [truncate(row, 200) for row in file.question]
        if file.found.get("asked") == "list":
            asked = render_to_string("ratings/file_list.html", {"examples": examples}).strip()
            wanted, seen = (_("To watch"), f"listed:{file.pk}:wanted"), (_("Watched"), f"listed:{file.pk}:seen")
            return asked, keyboard([wanted, seen])
        text: str = render_to_string("ratings/file_scale.html", {"examples": examples})
        choices: list[KeyboardButton] = [(_("Out of %d") % scale, f"scale:{file.pk}:{scale}") for scale in (5, 10)]
        return text.strip(), keyboard(choices)
    if not file.finished_at:
        return render_to_string("ratings/file_running.html", {"file": file}).strip(), None
    if file.stage == FileImport.Stage.UNDO:
        return undone_text(file), None
    rows = {state: list(file.file_rows.filter(state=state).order_by("position")[:MAX_NAMED]) for state in NAMED}
    context: dict[str, Any] = {"file": file, "n": file.outcome, "tmdb": written(file)}
    context["imported"] = file.outcome.get("added", 0) + file.outcome.get("changed", 0)
    context["members"] = [truncate(name, MAX_NAME_LENGTH) for name in file.found.get("members", [])[:MAX_MEMBERS]]
    context["source"] = ", ".join(file.found.get("titles", []))
    for count in range(MAX_NAMED, -1, -5):
        text = render_to_string("ratings/file_done.html", context | {"lists": named_rows(file, rows, count)}).strip()
        if utf16_length(strip_tags(text)) <= MAX_MESSAGE_LENGTH:
            break
    return text, keyboard(*buttons(file))


def buttons(file: FileImport) -> list[list[KeyboardButton]]:
    unsure, lost = file.outcome.get(State.UNSURE, 0), sum(file.outcome.get(state, 0) for state in LOST)
    rows: list[list[KeyboardButton]] = []
    if unsure:
        text = ngettext("Choose %(count)d film", "Choose %(count)d films", unsure) % {"count": unsure}
        rows.append([(text, f"deck:{file.pk}")])
    if file.outcome.get(State.KEPT):
        rows.append([(_("Take the file's ratings"), f"file:{file.pk}")])
    if lost:
        rows.append([(_("What was not found, as a file"), f"lost:{file.pk}")])
    if file.changes.exists():
        rows.append([(_("Undo this import"), f"undo:{file.pk}")])
    return rows


def undone_text(file: FileImport) -> str:
    count, listed = file.outcome.get("undone", 0), file.outcome.get("undone_list", 0)
    on_list = ngettext(
        "Undone: %(count)d film of your watchlist is as it was before this file.",
        "Undone: %(count)d films of your watchlist are as they were before this file.",
        listed,
    )
    if listed and not count:
        return on_list % {"count": listed}
    text = ngettext(
        "Undone: %(count)d rating is as it was before this file.",
        "Undone: %(count)d ratings are as they were before this file.",
        count,
    )
    return f"{text % {'count': count}}\n{on_list % {'count': listed}}" if listed else text % {"count": count}


def named_rows(file: FileImport, rows: dict[State, list[FileRow]], count: int) -> dict[str, Any]:
    """{state: the first `count` rows, and how many more there are} of the states whose rows are named."""
    return {
        state.value: {"rows": [named(row) for row in rows[state][:count]], "more": file.outcome.get(state, 0) - count}
        for state in NAMED
    }


def named(file_row: FileRow) -> NamedRow:
    row, here = row_from(file_row.data), file_row.data.get("here")
    name = row.name
    if file_row.state == State.KEPT and (movie := Movie.objects.filter(pk__in=candidates_of(file_row)).first()):
        name = movie.title or name
    return NamedRow(
        truncate(name, MAX_NAME_LENGTH),
        format_rating(Decimal(here)) if here else "",
        format_rating(row.value) if row.value else "",
    )


def written(file: FileImport) -> Written | None:
    """How many of a file's ratings TMDb has, of how many; None where none was to be written."""
    total = file.found.get("written", 0)
    if not total:
        return None
    waiting = PendingWrite.objects.filter(user_id=file.user_id, movie__in=file.changes.values("movie_id")).count()
    done, all_ = (number_format(number, force_grouping=True) for number in (max(0, total - waiting), total))
    return Written(done, all_, not waiting)


class ProgressReporter:
    """Shows a file's import in its message: progress now and then, the outcome at once."""

    def __init__(self) -> None:
        self.reported_at = 0.0

    def __call__(self, file: FileImport) -> None:
        if file.finished_at or file.question:
            notify(file)
        elif time.monotonic() - self.reported_at >= EDIT_INTERVAL_SECONDS:
            self.reported_at = time.monotonic()
            with max_retry_wait(0):
                notify(file)


class OutboxReporter:
    """Shows in the messages of files how many of their ratings TMDb has: now and then, and the last at once."""

    def __init__(self) -> None:
        self.reported_at = 0.0
        self.movie_ids: set[int] = set()  # written since then

    def __call__(self, write: PendingWrite) -> None:
        self.movie_ids.add(write.movie_id)
        is_last = not PendingWrite.objects.filter(user_id=write.user_id).exists()
        if not is_last and time.monotonic() - self.reported_at < EDIT_INTERVAL_SECONDS:
            return
        files = FileImport.objects.filter(user_id=write.user_id, changes__movie_id__in=self.movie_ids)
        for file in files.filter(reported_at__isnull=False, finished_at__isnull=False).distinct():
            with max_retry_wait(0):
                notify(file)
        self.reported_at, self.movie_ids = time.monotonic(), set()


def unreported() -> QuerySet[FileImport]:
    """Finished imports whose outcome the user has not been sent."""
    since = int(time.time()) - REPORT_WITHIN_SECONDS
    return FileImport.objects.filter(REACHABLE, reported_at=None, finished_at__gt=since)


def notify(file: FileImport) -> None:
    """Bring the file's message up to date; an outcome that could not be sent stays unreported in the table."""
    user = User.objects.reachable().filter(pk=file.user_id).first()
    if user is None:
        return
    with translation.override(user.language):
        text, markup = report(file)
    try:
        show(file, text, markup)
    except ApiTelegramException as error:
        log.info("file import %s could not be reported: %s", file.pk, error.description)
        if error.error_code == 403 and is_unreachable(error):
            User.objects.filter(pk=user.pk).update(blocked_at=int(time.time()))
        if is_transient(error):
            return
    except (ApiException, TelegramUnavailable) as error:
        log.info("file import %s could not be reported: %s", file.pk, error)
        return
    if file.finished_at:
        FileImport.objects.filter(pk=file.pk, finished_at=file.finished_at).update(reported_at=int(time.time()))


def show(file: FileImport, text: str, markup: InlineKeyboardMarkup | None) -> None:
    """Edit the message, or send one where there is none to edit any more and the user is to read it."""
    if file.message_id:
        try:
            bot.edit_message_text(text, file.user_id, file.message_id, reply_markup=markup)
            return
        except ApiTelegramException as error:
            if is_not_modified(error):
                return
            if error.error_code != 400 or not (file.finished_at or file.question) or file.reported_at:
                raise
    with in_topic(file.user_id, file.thread_id):
        sent = bot.send_message(file.user_id, text, reply_markup=markup)
    FileImport.objects.filter(pk=file.pk).update(message_id=sent.message_id)
