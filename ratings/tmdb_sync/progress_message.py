"""What the person sees of an import: one message in the chat, edited as it goes on."""

import logging
import queue
import threading
import time

from django.db import DatabaseError, connection
from django.template.loader import render_to_string
from django.utils import translation
from telebot.apihelper import ApiException, ApiTelegramException

from config.bot.client import TelegramUnavailable, max_retry_wait, retry_after
from config.bot.replies import is_not_modified, is_unreachable
from config.bot.router import bot
from ratings.models import Import
from users.models import SessionUnreadable, User

log = logging.getLogger(__name__)

EDITS_APART = 3.0  # seconds between two edits of a message; Telegram stands about one a second in a chat
GRACE = 5  # seconds that a person's own "queued" message has to reach an import before it writes one itself
GOODBYE = 8.0  # seconds that the end of a slice spends on outcomes not yet told
NAMED = 15  # films of a kind that the message names; the rest it counts


class Teller(threading.Thread):
    """Tells people how their imports go, beside the engine; an outcome at once, progress now and then.

    What could not be told stays untold in the table, and the next slice finds it there.
    """

    def __init__(self):
        super().__init__(daemon=True, name="import-teller")
        self.inbox = queue.SimpleQueue()
        self.due = {}  # import: when to tell of it
        self.told = {}  # import: when it was last told of
        self.outcomes = set()
        self.closing = False

    def poke(self, run_id, last=False):
        """There is something new to tell of an import; `last`: its outcome."""
        self.inbox.put((run_id, last))

    def close(self):
        """Tell the outcomes that are still to be told, within reason, and stop."""
        self.inbox.put(None)
        self.join(GOODBYE + 2)

    def run(self):
        try:
            while not self.closing:
                self.take_in()
                self.tell_due()
            deadline = time.monotonic() + GOODBYE
            while any(self.due[run_id] < deadline for run_id in self.outcomes) and time.monotonic() < deadline:
                self.tell_due(only=self.outcomes)
                time.sleep(0.02)
        finally:
            connection.close()

    def take_in(self):
        now = time.monotonic()
        try:
            pokes = [self.inbox.get(timeout=max(0.0, min(self.due.values(), default=now + 1) - now))]
        except queue.Empty:
            return
        while not self.inbox.empty():
            pokes.append(self.inbox.get())
        for poke in pokes:
            if poke is None:
                self.closing = True
                continue
            run_id, last = poke
            if last:
                self.outcomes.add(run_id)
                self.due[run_id] = now
            else:
                self.due.setdefault(run_id, max(now, self.told.get(run_id, now - EDITS_APART) + EDITS_APART))

    def tell_due(self, only=None):
        now = time.monotonic()
        for run_id in [run_id for run_id, when in self.due.items() if when <= now]:
            if only is not None and run_id not in only:
                continue
            try:
                wait = tell(run_id)
            except DatabaseError:
                log.warning("import %s could not be told of", run_id, exc_info=True)
                wait = EDITS_APART
            self.told[run_id] = now
            if wait:
                self.due[run_id] = now + wait
            else:
                del self.due[run_id]
                self.outcomes.discard(run_id)


def tell(run_id):
    """Bring the message of an import up to date. Returns the seconds to wait before another try, or 0."""
    run = Import.objects.select_related("user").filter(pk=run_id, told_at=None, user__blocked_at=None).first()
    if run is None or (run.scheduled and not run.finished_at):
        return 0
    if not run.message_id and not run.finished_at and time.time() < run.started_at + GRACE:
        return GRACE
    text = words(run)
    try:
        with max_retry_wait(0):
            message_id = show(run, text)
    except ApiTelegramException as error:
        if error.error_code == 429:
            return retry_after(error.result.content)
        log.warning("import of %s: the person could not be told: %s", run.user_id, error.description)
        if error.error_code >= 500:
            return EDITS_APART
        if is_unreachable(error):
            User.objects.filter(pk=run.user_id).update(blocked_at=int(time.time()))
        message_id = run.message_id
    except (ApiException, TelegramUnavailable) as error:
        log.warning("import of %s: the person could not be told: %s", run.user_id, error)
        if run.message_id or not getattr(error, "sent", True):
            return EDITS_APART
        message_id = None  # it may have arrived: rather no second one
    Import.objects.filter(pk=run.pk, message_id=run.message_id).update(message_id=message_id)
    if run.finished_at:
        # another message may have taken this one's place meanwhile: then that one is to be told, too
        told = Import.objects.filter(pk=run.pk, message_id=message_id).update(told_at=int(time.time()))
        return 0 if told else EDITS_APART
    return 0


def show(run, text):
    """Edit the message, or send one. Returns its id. Raises ApiException, TelegramUnavailable."""
    if run.message_id:
        try:
            bot.edit_message_text(text, run.user_id, run.message_id)
            return run.message_id
        except ApiTelegramException as error:
            if is_not_modified(error):
                return run.message_id
            if error.error_code != 400 or "chat not found" in error.description:
                raise
            if not run.finished_at:
                return run.message_id  # the person has deleted it: they will be told the outcome
    return bot.send_message(run.user_id, text).message_id


def words(run):
    """The text of the message, in the person's language."""
    template = "running" if not run.finished_at else "failed" if run.error else "finished"
    with translation.override(run.user.language):
        context = {"run": run, "user": run.user, "unreadable": run.error == SessionUnreadable.REASON, **lists(run)}
        return render_to_string(f"ratings/{template}.html", context).strip()


def lists(run):
    """The films to be named, by kind: {"failed": {"films": […], "more": 3}}."""
    named = {}
    for kind in ("overridden", "removed", "failed", "left_out"):
        films = list(run.names.get(kind, {}).items())[:NAMED]
        named[kind] = {
            "films": [{**film, "id": movie_id, "title": short(film["title"] or movie_id)} for movie_id, film in films],
            "more": getattr(run, kind) - len(films),
        }
    return named


def short(title):
    return title if len(title) <= 80 else title[:79] + "…"
