"""Jobs of the ratings: imports, as soon as they are asked for and by the clock."""

import time

from django.db import transaction
from django.db.models import BigIntegerField, F, Q, Value
from django.db.models.functions import Mod

from config.bot.replies import delete_message
from config.jobs.enqueue import async_task, stop_event
from config.jobs.rate_limiter import BUSY
from ratings.files import importer, report
from ratings.models import Import
from ratings.recommendations import cold_start, training_process
from ratings.tmdb_sync.engine import begin, import_queued, may_be_quick, queued_now
from ratings.tmdb_sync.outbox import write_pending
from users.models import SyncStatus, User

SLICE = 30  # seconds of one run; the rest is done by the next, called at once
FILE_SLICE = 20  # seconds of a run at one file
DAY = 86_400
RECENT = DAY // 2  # seconds for which an import by hand makes the daily one needless


def import_ratings(user_id=None, message_id=None):
    """Import the ratings of everybody who is queued; `message_id`: where this person is to see how it goes.

    Two runs never work beside each other: the one at work sees who was queued meanwhile.
    """
    if user_id is not None:
        show_in(user_id, message_id)
    finished = import_queued(SLICE, stop_event())
    if finished is None:
        return BUSY
    if queued_now().exists():
        async_task("ratings.tasks.import_ratings")
        return f"{finished} imported, more to do"
    return f"{finished} imported"


def show_in(user_id, message_id):
    """Have a person's import seen in this message, and their earlier one out of the way."""
    with transaction.atomic():
        user = User.objects.select_for_update().filter(pk=user_id).first()
        queued = user is not None and user.sync_status == SyncStatus.QUEUED
        run = begin(user) if queued else Import.objects.filter(user_id=user_id).order_by("-pk").first()
        old = run and run.message_id
        if run and run.scheduled and user and user.sync_status == SyncStatus.IMPORTED:
            run.told_at = None  # one by the clock was joined, and ended before it could know that somebody waits
        if run and (queued or run.told_at is None):
            run.message_id, run.scheduled, run.next_try_at = message_id or old, False, 0
            run.save(update_fields=["message_id", "scheduled", "next_try_at", "told_at"])
            needless = old
        else:
            needless = message_id  # all was over, and told, or the link ended, before this message came
    if needless and message_id and old != message_id:
        delete_message(user_id, needless)


def queue_daily_imports():
    """Queue everybody whose hour has come: once a day each, spread over the day by their ids."""
    now = int(time.time())
    second_of_day = Mod(F("pk"), DAY, output_field=BigIntegerField())
    since_their_hour = Mod(Value(now) - second_of_day, DAY, output_field=BigIntegerField())
    due = (
        User.objects.connected()
        .filter(sync_status=SyncStatus.IMPORTED, blocked_at=None)
        .annotate(their_hour=Value(now) - since_their_hour)
        .filter(Q(last_sync_at=None) | Q(last_sync_at__lt=F("their_hour")) & Q(last_sync_at__lt=now - RECENT))
    )
    queued = 0
    for user in due:
        with transaction.atomic():
            if User.objects.filter(pk=user.pk, sync_status=SyncStatus.IMPORTED).queue_import():
                begin(user, scheduled=True, quick=may_be_quick(user.pk))
                queued += 1
    return f"{queued} queued"


def write_ratings(user_id=None):
    """Write to TMDb what was rated here, by this person or by everybody."""
    return f"{write_pending(user_id)} written"


def import_file(file_id):
    """Go on with a file that somebody sent; a long one lets others have their turn now and then."""
    if importer.go_on(file_id, FILE_SLICE, stop_event(), report.Teller()):
        async_task("ratings.tasks.import_file", file_id)
        return "more to do"
    return "done for now"


def import_files():
    """Go on with all files that are due, tell outcomes that could not be told, forget old ones."""
    for file in report.untold():
        report.tell(file)
    importer.forget_old()
    files = list(importer.waiting().values_list("pk", flat=True)[:20])
    for file_id in files:
        import_file(file_id)
    return f"{len(files)} at work"


def build_recommendations():
    """Have the neighbours learned anew, once a night; as soon as there is a rating, the first time."""
    if not training_process.is_due():
        return "not due"
    async_task("ratings.tasks.build_apart", timeout=training_process.SECONDS)
    return "due"


def build_apart(asked_by=""):
    """Learn the neighbours anew in a process of its own; `asked_by` a name of the back office, or the clock."""
    return training_process.build_apart(stop_event(), asked_by)


def ask_tmdb():
    """Ask TMDb what it shows beside the films that people love, while the bot knows few people."""
    return f"{cold_start.ask_tmdb(SLICE, stop_event())} asked"


def fetch_best_known():
    """Fetch the films that most people know, when somebody asks a bot for films that knows hardly any."""
    return f"{cold_start.fetch_best_known()} found"


def fetch_wanted_films():
    """Fetch films that recommendations lead to and that the table lacks; a long list goes on at once."""
    fetched, left = cold_start.fetch_wanted(SLICE, stop_event())
    if fetched and left:
        async_task("ratings.tasks.fetch_wanted_films")
    return f"{fetched} fetched, {left} to do"
