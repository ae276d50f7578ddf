"""The message in the chat that shows the import of a file: sent once, edited as the import goes on."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict

from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from telebot.apihelper import ApiException, ApiTelegramException

from config.bot.client import TelegramUnavailable, max_retry_wait
from config.bot.replies import is_not_modified, is_unreachable, keyboard
from config.bot.router import bot
from movies.cards import strip_tags, truncate, utf16_length
from ratings.models import FileImport
from users.models import User

if TYPE_CHECKING:
    from django.db.models.query import QuerySet
    from telebot.types import InlineKeyboardMarkup

log = logging.getLogger(__name__)

EDIT_INTERVAL_SECONDS = 3.0  # between two edits of a message
MAX_MESSAGE_LENGTH = 4096  # UTF-16 code units after Telegram has read the tags (Bot API: sendMessage)
MAX_NAME_LENGTH = 80
MAX_NAMED = 60  # movies of a kind that a report names, if they fit
REPORT_WITHIN_SECONDS = 86_400  # of the end of an import; later its outcome is of no use
KINDS = ("kept", "not_found", "unanswered", "odd_rating")

ERROR_TEXTS = {
    "empty": gettext_lazy("The file is empty."),
    "archive": gettext_lazy("This is an archive. Unpack it and send me the file ratings.csv from it."),
    "no_text": gettext_lazy("This is no CSV: there is no text in it."),
    "broken": gettext_lazy(
        "I cannot read this CSV: a quotation mark is opened and never closed, or a line never ends."
    ),
    "no_ratings": gettext_lazy(
        "I find no ratings in this file. I know the ratings exports of TMDb, Letterboxd (ratings.csv) and IMDb, and my "
        "own (/export). The first line has to name the columns, for example: Title, Year, Rating10."
    ),
    "scale": gettext_lazy(
        "I cannot tell the scale of this file: the column Rating goes up to five, as Letterboxd's stars do, but there "
        "are larger numbers in it. Name the column Rating10 if it goes up to ten."
    ),
    "too_long": gettext_lazy("The file is too long: I read up to 100,000 rows and 20 MB. Send it in parts."),
    "gone": gettext_lazy("Telegram no longer has this file. Please send it again."),
    "away": gettext_lazy("TMDb has not answered for a day, so I have given up. Please send the file again later."),
}


class NamedRows(TypedDict):
    films: list[Any]  # titles; of kept ones (title, rating here, rating in the file)
    more: int


def report(file: FileImport) -> tuple[str, InlineKeyboardMarkup | None]:
    """(text, keyboard) of the message about a file, in the active language."""
    if file.error:
        return str(ERROR_TEXTS.get(file.error, ERROR_TEXTS["gone"])), None
    template = "ratings/file_done.html" if file.finished_at else "ratings/file_running.html"
    for count in range(MAX_NAMED, -1, -5):
        context = {"file": file, "n": file.outcome, "lists": named_rows(file, count)}
        text = render_to_string(template, context).strip()
        if utf16_length(strip_tags(text)) <= MAX_MESSAGE_LENGTH:
            break
    can_overwrite = file.finished_at and file.outcome.get("kept") and not file.overwrite_existing
    return text, keyboard([(_("Take the file's ratings"), f"file:{file.pk}")]) if can_overwrite else None


def named_rows(file: FileImport, count: int) -> dict[str, NamedRows]:
    """{kind: the first `count` movies, and how many more there are} of the kinds whose movies are named."""
    by_kind: dict[str, NamedRows] = {}
    for kind in KINDS:
        named = file.names.get(kind, [])[:count]
        films: list[Any]
        if kind == "kept":
            films = [
                (truncate(title, MAX_NAME_LENGTH), format_points(here), format_points(there))
                for title, here, there in named
            ]
        else:
            films = [truncate(name, MAX_NAME_LENGTH) for name in named]
        by_kind[kind] = {"films": films, "more": file.outcome.get(kind, 0) - len(films)}
    return by_kind


def format_points(rating: str) -> str:
    return rating.removesuffix(".0")


class ProgressReporter:
    """Shows a file's import in its message: progress now and then, the outcome at once."""

    def __init__(self) -> None:
        self.reported_at = 0.0

    def __call__(self, file: FileImport) -> None:
        if file.finished_at:
            notify(file)
        elif time.monotonic() - self.reported_at >= EDIT_INTERVAL_SECONDS:
            self.reported_at = time.monotonic()
            with max_retry_wait(0):
                notify(file)


def unreported() -> QuerySet[FileImport]:
    """Finished imports whose outcome the user has not been sent."""
    since = int(time.time()) - REPORT_WITHIN_SECONDS
    return FileImport.objects.filter(reported_at=None, finished_at__gt=since, user__blocked_at=None)


def notify(file: FileImport) -> None:
    """Bring the file's message up to date; an outcome that could not be sent stays unreported in the table."""
    user = User.objects.filter(pk=file.user_id, blocked_at=None).first()
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
        if error.error_code == 429 or error.error_code >= 500:
            return
    except (ApiException, TelegramUnavailable) as error:
        log.info("file import %s could not be reported: %s", file.pk, error)
        return
    if file.finished_at:
        FileImport.objects.filter(pk=file.pk, finished_at=file.finished_at).update(reported_at=int(time.time()))


def show(file: FileImport, text: str, markup: InlineKeyboardMarkup | None) -> None:
    """Edit the message, or send one where there is none to edit any more and the work is done."""
    send = partial(bot.send_message, file.user_id, text, reply_markup=markup)
    if not file.message_id:
        send()
        return
    try:
        bot.edit_message_text(text, file.user_id, file.message_id, reply_markup=markup)
    except ApiTelegramException as error:
        if is_not_modified(error):
            return
        if error.error_code != 400 or not file.finished_at:
            raise
        send()
