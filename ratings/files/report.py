"""What the person sees of a file they sent: one message in the chat, edited as it goes on."""

import logging
import time
from functools import partial

from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from telebot.apihelper import ApiException, ApiTelegramException

from config.bot.client import TelegramUnavailable, max_retry_wait
from config.bot.replies import is_not_modified, is_unreachable, keyboard
from config.bot.router import bot
from movies.cards import shortened, units, visible
from ratings.models import FileImport
from users.models import User

log = logging.getLogger(__name__)

EDITS_APART = 3.0  # seconds between two edits of a message
LONGEST_MESSAGE = 4096  # UTF-16 code units after Telegram has read the tags (Bot API: sendMessage)
LONGEST_NAME = 80
NAMED = 60  # films of a kind that a report names, if they fit
TOLD_WITHIN = 86_400  # seconds after which an outcome would only puzzle
KINDS = ("kept", "not_found", "unanswered", "odd_rating")

TROUBLE = {
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


def report(file):
    """(text, keyboard) that tell how the import of a file stands, in the language now active."""
    if file.error:
        return str(TROUBLE.get(file.error, TROUBLE["gone"])), None
    template = "ratings/file_done.html" if file.finished_at else "ratings/file_running.html"
    for named in range(NAMED, -1, -5):
        text = render_to_string(template, {"file": file, "n": file.outcome, "lists": lists(file, named)}).strip()
        if units(visible(text)) <= LONGEST_MESSAGE:
            break
    replaceable = file.finished_at and file.outcome.get("kept") and not file.replace
    return text, keyboard([(_("Take the file's ratings"), f"file:{file.pk}")]) if replaceable else None


def lists(file, named):
    """{kind: {"films": the first few, "more": how many more}} of what is told by name."""
    made = {}
    for kind in KINDS:
        films = file.names.get(kind, [])[:named]
        if kind == "kept":
            films = [(shortened(title, LONGEST_NAME), points(here), points(there)) for title, here, there in films]
        else:
            films = [shortened(name, LONGEST_NAME) for name in films]
        made[kind] = {"films": films, "more": file.outcome.get(kind, 0) - len(films)}
    return made


def points(rating):
    return rating.removesuffix(".0")


class Teller:
    """Shows a file's import in its message: progress now and then, the outcome at once."""

    def __init__(self):
        self.told_at = 0.0

    def __call__(self, file):
        if file.finished_at:
            tell(file)
        elif time.monotonic() - self.told_at >= EDITS_APART:
            self.told_at = time.monotonic()
            with max_retry_wait(0):
                tell(file)


def untold():
    """Finished imports whose outcome the person has still to hear."""
    now = int(time.time())
    return FileImport.objects.filter(told_at=None, finished_at__gt=now - TOLD_WITHIN, user__blocked_at=None)


def tell(file):
    """Bring the file's message up to date; an outcome that could not be told stays untold in the table."""
    user = User.objects.filter(pk=file.user_id, blocked_at=None).first()
    if user is None:
        return
    with translation.override(user.language):
        text, markup = report(file)
    try:
        show(file, text, markup)
    except ApiTelegramException as error:
        log.info("file import %s could not be told of: %s", file.pk, error.description)
        if error.error_code == 403 and is_unreachable(error):
            User.objects.filter(pk=user.pk).update(blocked_at=int(time.time()))
        if error.error_code == 429 or error.error_code >= 500:
            return
    except (ApiException, TelegramUnavailable) as error:
        log.info("file import %s could not be told of: %s", file.pk, error)
        return
    if file.finished_at:
        FileImport.objects.filter(pk=file.pk, finished_at=file.finished_at).update(told_at=int(time.time()))


def show(file, text, markup):
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
