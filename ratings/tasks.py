"""Background jobs of ratings: imports, sending ratings to TMDb, training of recommendations.

Each ends within the queue's timeout, looks at the stop event between items and leaves the rest to the next run.
"""

from __future__ import annotations

import time

from django.db import transaction
from django.db.models import BigIntegerField, F, Q, Value
from django.db.models.functions import Mod

from config.bot.replies import delete_message
from config.jobs.enqueue import async_task, worker_stop_event
from config.jobs.locks import ALREADY_RUNNING, lock
from config.jobs.time_limit import JOB_SECONDS, time_limit
from config.lock_order import update_rows
from movies import details
from movies.models import Movie
from ratings.evenings import run as evenings
from ratings.files import importer, report
from ratings.insights.taste_match import delete_old_results
from ratings.models import Import
from ratings.recommendations import cold_start, training_process
from ratings.tmdb_sync.active_imports import queued_now
from ratings.tmdb_sync.engine import import_queued
from ratings.tmdb_sync.outbox import write_pending
from ratings.tmdb_sync.removal import delete_expired
from ratings.tmdb_sync.user_import import begin, may_be_incremental
from ratings.watchlist import outbox as watchlist_outbox
from ratings.watchlist.releases import read_release_dates, tell_releases
from ratings.watchlist.seen import ask_whether_seen
from users.models import SyncStatus, User

IMPORT_SECONDS = 30  # of one run; the next, enqueued at once, goes on
FILE_SECONDS = 20  # of a run at one file
MAX_SECONDS = 120  # after which a job begins nothing new; what it has begun ends within the queue's timeout
DAY_SECONDS = 86_400
RECENT_SECONDS = DAY_SECONDS // 2  # for which an import that the user asked for makes the daily one unnecessary


@time_limit(JOB_SECONDS)
def import_ratings(user_id: int | None = None, message_id: int | None = None, thread_id: int | None = None) -> str:
    """Import the ratings of all queued users; `message_id`: the message that shows this user the progress, in a topic.

    Only one run works at a time: it finds the users who are queued meanwhile.
    """
    if user_id is not None:
        show_in(user_id, message_id, thread_id)
    finished = import_queued(IMPORT_SECONDS, worker_stop_event())
    if finished is None:
        return ALREADY_RUNNING
    if Movie.objects.awaiting_details().exists():
        details.wake()
    if queued_now().exists():
        async_task("ratings.tasks.import_ratings")
        return f"{finished} imported, more to do"
    return f"{finished} imported"


def show_in(user_id: int, message_id: int | None, thread_id: int | None = None) -> None:
    """Show a user's import in this message, and delete their earlier one."""
    with transaction.atomic():
        user = User.objects.lock(user_id)
        is_queued = user is not None and user.sync_status == SyncStatus.QUEUED
        latest = Import.objects.filter(user_id=user_id).order_by("-pk")
        run = begin(user) if user and is_queued else latest.first()
        old = run.message_id if run else None
        if run and run.scheduled and user and user.sync_status == SyncStatus.IMPORTED:
            run.reported_at = None  # a daily import ended before it could know that the user asked for one
        if run and (is_queued or run.reported_at is None):
            run.message_id, run.scheduled, run.next_try_at = message_id or old, False, 0
            run.thread_id = thread_id if message_id else run.thread_id
            run.save(update_fields=["message_id", "thread_id", "scheduled", "next_try_at", "reported_at"])
            obsolete = old
        else:
            obsolete = message_id  # the import or the link had ended before this message came
    if obsolete and message_id and old != message_id:
        delete_message(user_id, obsolete)


@time_limit(JOB_SECONDS)
def queue_daily_imports() -> str:
    """Queue the users whose hour has come, once a day each, spread over the day by id; delete what is too old."""
    delete_old_results()
    delete_expired()
    now, deadline, stop = int(time.time()), time.monotonic() + MAX_SECONDS, worker_stop_event()
    # the clock was set back since
    early = User.objects.filter(sync_status=SyncStatus.IMPORTED, last_sync_at__gt=now + 60)
    update_rows(early, last_sync_at=now)
    second_of_day = Mod(F("pk"), DAY_SECONDS, output_field=BigIntegerField())
    since_their_hour = Mod(Value(now) - second_of_day, DAY_SECONDS, output_field=BigIntegerField())
    due = (
        User.objects.connected()
        .reachable()
        .filter(sync_status=SyncStatus.IMPORTED)
        .annotate(their_hour=Value(now) - since_their_hour)
        .filter(Q(last_sync_at=None) | Q(last_sync_at__lt=F("their_hour")) & Q(last_sync_at__lt=now - RECENT_SECONDS))
    )
    queued = 0
    for user in due:
        if stop.is_set() or time.monotonic() > deadline:
            break
        with transaction.atomic():
            if User.objects.filter(pk=user.pk, sync_status=SyncStatus.IMPORTED).queue_import():
                begin(user, scheduled=True, incremental=may_be_incremental(user.pk))
                queued += 1
    return f"{queued} queued"


@time_limit(JOB_SECONDS)
def write_ratings(user_id: int | None = None) -> str:
    """Send pending ratings to TMDb, of this user or of all."""
    return f"{write_pending(user_id, MAX_SECONDS, worker_stop_event(), report.OutboxReporter())} written"


@time_limit(JOB_SECONDS)
def write_watchlist(user_id: int | None = None) -> str:
    """Send pending changes of watchlists to TMDb, of this user or of all."""
    return f"{watchlist_outbox.write_pending(user_id, MAX_SECONDS, worker_stop_event())} written"


@time_limit(JOB_SECONDS)
def remind_of_watchlists() -> str:
    """Ask whether picked films have been seen, read when films come out, and tell who waits for one."""
    with lock("watchlist.remind") as free:
        if not free:
            return ALREADY_RUNNING
        deadline, stop = time.monotonic() + MAX_SECONDS, worker_stop_event()
        asked = ask_whether_seen(deadline, stop)
        read = read_release_dates(deadline, stop)
        return f"{asked} asked, {read} release dates read, {tell_releases(deadline, stop)} told"


@time_limit(JOB_SECONDS)
def import_file(file_id: int) -> str:
    """Continue the import of a file; a long one lets other jobs run in between."""
    if importer.resume(file_id, FILE_SECONDS, worker_stop_event(), report.ProgressReporter()):
        async_task("ratings.tasks.import_file", file_id)
        return "more to do"
    return "done for now"


@time_limit(JOB_SECONDS)
def import_files() -> str:
    """Continue the import of all files that are due, report outcomes that could not be reported, delete old ones."""
    deadline, stop = time.monotonic() + MAX_SECONDS, worker_stop_event()
    importer.delete_old()
    for file in report.unreported():
        if stop.is_set() or time.monotonic() > deadline:
            break
        report.notify(file)
    done = 0
    for file_id in importer.due().values_list("pk", flat=True)[:20]:
        if stop.is_set() or time.monotonic() > deadline:
            break
        import_file(file_id)
        done += 1
    return f"{done} in progress"


def build_recommendations() -> str:
    """Have the recommendations trained, once a night; the first time as soon as there is a rating."""
    if not training_process.is_due():
        return "nothing due"
    async_task("ratings.tasks.train_recommendations", timeout=training_process.TIMEOUT_SECONDS)
    return "due"


def train_recommendations(triggered_by: str = "") -> str:
    """Train in a process of its own; `triggered_by`: a user name of the admin, or empty for the scheduler."""
    return training_process.train_in_subprocess(worker_stop_event(), triggered_by)


@time_limit(JOB_SECONDS)
def fetch_tmdb_recommendations(user_id: int | None = None) -> str:
    """Fetch what TMDb recommends to who likes the movies that a user, or most users, rate best."""
    return f"{cold_start.fetch_recommendations(IMPORT_SECONDS, worker_stop_event(), user_id)} asked"


@time_limit(JOB_SECONDS)
def fetch_most_voted_movies() -> str:
    """Fetch the most voted movies while the table has hardly any."""
    return f"{cold_start.fetch_most_voted(worker_stop_event())} found"


@time_limit(JOB_SECONDS)
def run_evenings() -> str:
    """Go on with the evenings of groups: polls whose time is over, winners to show, ratings to ask for."""
    return f"{evenings.run(worker_stop_event(), MAX_SECONDS)} steps"
