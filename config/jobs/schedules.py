"""Which job runs how often. `migrate` writes the schedules into django-q2's table.

Every job finds by itself what is to be done, tolerates running twice, late or concurrently, and returns a short result.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from config.moments import MAX_DIFFERENCE_SECONDS

if TYPE_CHECKING:
    from django_q.models import Schedule

HALF_MINUTE_SECONDS = 30
PAUSED, FOREVER = 0, -1  # of Schedule.repeats; django-q2 leaves alone what has no repeats left
SCHEDULES = {
    # name: (function, minutes between two runs); see bring_forward() for 1
    _("import ratings"): ("ratings.tasks.import_ratings", 1),
    _("queue daily imports"): ("ratings.tasks.queue_daily_imports", 10),
    _("push ratings to TMDb"): ("ratings.tasks.write_ratings", 1),
    _("push watchlists to TMDb"): ("ratings.tasks.write_watchlist", 1),
    _("send watchlist reminders"): ("ratings.tasks.remind_of_watchlists", 10),
    _("import files"): ("ratings.tasks.import_files", 1),
    _("build recommendations"): ("ratings.tasks.build_recommendations", 30),
    _("fetch TMDb recommendations"): (
        "ratings.tasks.fetch_tmdb_recommendations",
        1440,
    ),  # and when a user asks for recommendations
    _("resume film evenings"): ("ratings.tasks.run_evenings", 1),
    _("read film details"): ("movies.tasks.read_details", 1),
    _("download posters"): ("posters.tasks.download_posters", 1),
    _("upload posters"): ("posters.tasks.upload_posters", 1),
    _("resume interrupted updates"): ("config.jobs.tasks.recover_updates", 1),
    _("check for problems"): ("config.jobs.tasks.look_for_trouble", 1),
    _("resume large actions"): ("config.jobs.tasks.run_bulk_actions", 1),
    _("count daily statistics"): ("config.jobs.tasks.update_daily_figures", 10),
    _("delete old records"): ("config.jobs.tasks.delete_old_records", 60),
    _("send broadcasts"): ("users.tasks.send_broadcasts", 1),
    _("revoke sessions"): ("users.tasks.revoke_sessions", 5),
}


def sync_schedules(**signal: Any) -> None:
    """Make django-q2's schedules those of SCHEDULES.

    A function's schedule keeps its next run, and whether it is paused, also where its name is another now.
    """
    from django_q.models import Schedule

    from config.jobs.enqueue import cluster_for

    functions = [func for func, _minutes in SCHEDULES.values()]
    Schedule.objects.exclude(func__in=functions).delete()  # operators add jobs by code, not by hand
    for name, (func, minutes) in SCHEDULES.items():
        row = {"name": name, "schedule_type": Schedule.MINUTES, "minutes": minutes, "cluster": cluster_for(func)}
        new = {**row, "repeats": FOREVER}
        Schedule.objects.update_or_create(func=func, defaults=row, create_defaults=new)


def is_paused(schedule: "Schedule") -> bool:
    """Whether an operator has paused it."""
    return bool(schedule.repeats == PAUSED)


def bring_forward(cluster: str) -> None:
    """Have what this cluster does every minute, django-q2's shortest interval, be due every half minute.

    What is due later than its interval allows is due now: the clock was set back. So is a job that waits in the table.
    """
    from django_q.models import OrmQ, Schedule

    of_cluster = Q(cluster=cluster)
    if cluster == settings.Q_CLUSTER["name"]:
        of_cluster |= Q(cluster=None)
    schedules, now = Schedule.objects.filter(of_cluster, name__in=SCHEDULES), timezone.now()
    soon, too_late = now + timedelta(seconds=HALF_MINUTE_SECONDS), Q()
    for minutes in {minutes for _func, minutes in SCHEDULES.values()}:
        too_late |= Q(minutes=minutes, next_run__gt=now + timedelta(minutes=minutes, seconds=MAX_DIFFERENCE_SECONDS))
    schedules.filter(too_late).update(next_run=now)
    schedules.filter(minutes=1, next_run__gt=soon).update(next_run=soon)
    latest = now + timedelta(seconds=settings.Q_CLUSTER["retry"] + MAX_DIFFERENCE_SECONDS)
    OrmQ.objects.filter(lock__gt=latest).update(lock=now)
