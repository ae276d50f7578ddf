"""What runs how often: the whole clock. `migrate` writes it into django-q2's table.

Every task here finds by itself what is to be done, may run twice, late or beside itself, and returns a short result.
"""

from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_noop as _

SOON = 30  # seconds
CLOCK = {
    # name: (function, minutes between two runs); what is done every minute is done twice: see bring_forward()
    _("import ratings"): ("ratings.tasks.import_ratings", 1),
    _("queue daily imports"): ("ratings.tasks.queue_daily_imports", 10),
    _("write ratings"): ("ratings.tasks.write_ratings", 1),
    _("import files"): ("ratings.tasks.import_files", 1),
    _("build recommendations"): ("ratings.tasks.build_recommendations", 30),
    _("ask TMDb for neighbours"): ("ratings.tasks.ask_tmdb", 1440),  # and whenever somebody asks for recommendations
    _("fetch wanted films"): ("ratings.tasks.fetch_wanted_films", 5),
    _("download posters"): ("posters.tasks.download_posters", 1),
    _("upload posters"): ("posters.tasks.upload_posters", 1),
    _("refresh films"): ("movies.tasks.refresh_movies", 60),
    _("recover updates"): ("config.jobs.tasks.recover_updates", 1),
    _("count figures"): ("config.jobs.tasks.count_figures", 1),
    _("end old sessions"): ("users.tasks.end_sessions", 5),
}


def write_schedules(**signal):
    """Make django-q2's schedules those of CLOCK; what is listed keeps its next run, what is not goes."""
    from django_q.models import Schedule

    from config.jobs.enqueue import queue_of

    Schedule.objects.exclude(name__in=CLOCK).delete()  # operators add jobs by code, not by hand
    for name, (func, minutes) in CLOCK.items():
        row = {"func": func, "schedule_type": Schedule.MINUTES, "minutes": minutes, "repeats": -1}
        Schedule.objects.update_or_create(name=name, defaults=row | {"cluster": queue_of(func)})


def bring_forward(cluster):
    """Have what this cluster does every minute, django-q2's shortest time, be due every half minute."""
    from django_q.models import Schedule

    mine = Q(cluster=cluster)
    if cluster == settings.Q_CLUSTER["name"]:
        mine |= Q(cluster=None)
    soon = timezone.now() + timedelta(seconds=SOON)
    Schedule.objects.filter(mine, name__in=CLOCK, minutes=1, next_run__gt=soon).update(next_run=soon)
