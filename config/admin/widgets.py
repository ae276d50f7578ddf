"""Jobs, requests, signs of life and space in the back office."""

import shutil
import time
from datetime import timedelta

from django.conf import settings
from django.contrib import admin
from django.db import connection
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django_q import admin as queue_admin  # first its pages, then ours in their place
from django_q.models import Failure, OrmQ, Schedule, Success

from config.admin.charts import columns
from config.admin.site import NOTHING, ago, back, failure_sources, failures, moment, page, panel, show, size
from config.jobs.enqueue import clusters
from config.jobs.schedules import CLOCK
from config.models import Count, Heartbeat
from config.monitoring.health import known_queue_depths
from config.monitoring.logs import masked
from config.monitoring.metrics import cluster_of

DAY = 86_400
# seconds without a sign of life that are too many; a webhook is only heard of when somebody writes
SILENT = {"bot": DAY if settings.TELEGRAM_WEBHOOK_URL else 120, "worker": 90}
MANY = 200  # failed jobs of a day that are looked through for their causes
COUNTED = {
    # what a Count's name says
    "tmdb.requests": gettext_lazy("requests to TMDb"),
    "tmdb.images": gettext_lazy("images from TMDb"),
    "tmdb.429": gettext_lazy("429s of TMDb"),
    "telegram.requests": gettext_lazy("requests to Telegram"),
    "telegram.429": gettext_lazy("429s of Telegram"),
    "posters.uploaded": gettext_lazy("posters uploaded"),
}


# --- Jobs: django-q2's pages; what a schedule calls is for superusers, since it can name any callable


def may_resubmit(self, request):
    return request.user.has_perm("django_q.change_failure")


def only_superusers(self, request, obj=None):
    return request.user.is_superuser


@admin.action(description=gettext_lazy("Resubmit selected jobs"), permissions=["resubmit"])
def resubmit(model_admin, request, jobs):
    count = jobs.count()
    queue_admin.resubmit_task(model_admin, request, jobs)
    model_admin.message_user(request, ngettext("%d job resubmitted.", "%d jobs resubmitted.", count) % count)


class JobAdmin(queue_admin.TaskAdmin):
    actions = (resubmit,)
    show_facets = admin.ShowFacets.NEVER
    has_change_permission = has_delete_permission = only_superusers
    has_resubmit_permission = may_resubmit


class FailureAdmin(queue_admin.FailAdmin):
    actions = (resubmit,)
    show_facets = admin.ShowFacets.NEVER
    has_change_permission = has_delete_permission = only_superusers
    has_resubmit_permission = may_resubmit


class ScheduleAdmin(queue_admin.ScheduleAdmin):
    actions = ("run_now",)
    has_add_permission = has_delete_permission = only_superusers

    def has_act_permission(self, request):
        return request.user.has_perm("django_q.change_schedule")

    def get_readonly_fields(self, request, obj=None):
        fixed = super().get_readonly_fields(request, obj)
        if request.user.is_superuser:
            return fixed
        return (*fixed, "name", "func", "hook", "args", "kwargs", "cluster", "intended_date_kwarg")

    def get_form(self, request, obj=None, **kwargs):
        form = super().get_form(request, obj, **kwargs)
        if "next_run" in form.base_fields:  # Django labels the pair, but neither of the two
            for part, label in zip(form.base_fields["next_run"].widget.widgets, (_("Date"), _("Time")), strict=True):
                part.attrs["aria-label"] = label
        return form

    @admin.action(description=gettext_lazy("Run now"), permissions=["act"])
    def run_now(self, request, schedules):
        count = schedules.update(next_run=timezone.now())
        self.message_user(request, ngettext("%d job is due now.", "%d jobs are due now.", count) % count)
        return back(request, "admin:django_q_schedule_change")


class QueueAdmin(queue_admin.QueueAdmin):
    show_facets = admin.ShowFacets.NEVER
    has_change_permission = has_delete_permission = only_superusers


for model, office in ((Success, JobAdmin), (Failure, FailureAdmin), (Schedule, ScheduleAdmin), (OrmQ, QueueAdmin)):
    if admin.site.is_registered(model):
        admin.site.unregister(model)
        admin.site.register(model, office)


# --- Failures of the last day by cause


@panel(50, "users.view_user", "config/failures.html")
def failures_at_a_glance(request):
    rows = []
    for permission, source in failure_sources:
        if request.user.has_perm(permission):
            rows += source()
    rows.sort(key=lambda row: -row[2])
    return {
        "id": "failures",
        "title": _("Failures of the last day"),
        "total": sum(number for _what, _cause, number, _url in rows),
        "rows": rows[:12],
        "more": max(0, len(rows) - 12),
    }


@failures("django_q.view_failure")
def failed_jobs():
    url = reverse("admin:django_q_failure_changelist")
    since = timezone.now() - timedelta(days=1)
    causes = {}
    recent = Failure.objects.filter(stopped__gt=since).order_by("-stopped")
    for func, result in recent.values_list("func", "result")[:MANY]:
        lines = masked(str(result or "")).strip().splitlines() or ["?"]
        cause = f"{func}: {lines[-1][:120]}"
        causes[cause] = causes.get(cause, 0) + 1
    return [(_("job"), cause, number, url) for cause, number in causes.items()]


# --- Requests of the last hour


@panel(60, "django_q.view_schedule", "config/requests.html")
def requests_at_a_glance(request):
    now = int(time.time()) // 60 * 60
    first = now - 59 * 60
    found = Count.objects.filter(minute__gte=first, name__in=COUNTED).values_list("name", "minute", "number")
    minutes = {name: [0] * 60 for name in COUNTED}
    for name, minute, number in found:
        if 0 <= (place := (minute - first) // 60) < 60:
            minutes[name][place] += number
    services = []
    for service, title in (("tmdb", "TMDb"), ("telegram", "Telegram")):
        asked = [
            a + b
            for a, b in zip(minutes[f"{service}.requests"], minutes.get(f"{service}.images", [0] * 60), strict=True)
        ]
        refused = sum(minutes[f"{service}.429"])
        label = _("%(service)s: %(asked)d requests in the last hour, %(refused)d refused with 429") % {
            "service": title,
            "asked": sum(asked),
            "refused": refused,
        }
        names = [f"−{59 - place} min: {number}" for place, number in enumerate(asked)]
        services.append(
            {"title": title, "asked": sum(asked), "refused": refused, "chart": columns(asked, label, names)}
        )
    return {
        "id": "requests",
        "title": _("Requests in the last hour"),
        "url": reverse("admin:counts"),
        "services": services,
    }


@page("counts/", "counts", "django_q.view_schedule")
def counts(request):
    """What has been counted in the last two days, hour by hour, newest first."""
    hours = {}
    found = Count.objects.filter(name__in=COUNTED).values_list("name", "minute", "number")
    for name, minute, number in found:
        row = hours.setdefault(minute // 3600 * 3600, dict.fromkeys(COUNTED, 0))
        row[name] += number
    rows = [(moment(hour), list(row.values())) for hour, row in sorted(hours.items(), reverse=True)]
    return show(request, "config/counts.html", _("Requests by the hour"), heads=list(COUNTED.values()), rows=rows)


# --- Signs of life


@panel(70, "django_q.view_schedule", "config/signs.html")
def signs_at_a_glance(request):
    now = time.time()
    beats = {(beat.kind, beat.name): beat for beat in Heartbeat.objects.filter(seen_at__gt=now - 7 * DAY)}
    rows = []
    for kind, title, url in (
        ("bot", _("bot"), reverse("admin:counts")),
        ("worker", _("worker"), queue_url() or reverse("admin:django_q_success_changelist")),
    ):
        of_kind = sorted((beat for beat in beats.values() if beat.kind == kind), key=lambda beat: beat.name)
        for beat in of_kind:
            rows.append(sign(title, beat.name, beat, now - beat.seen_at > SILENT[kind], url))
        if not of_kind:
            rows.append(sign(title, "", None, True, url))
        elif kind == "worker" and settings.Q_CLUSTERS:
            there = {cluster_of(beat.name) for beat in of_kind}
            rows += [sign(title, name, None, True, url) for name in clusters() if name not in there]
    ids = dict(Schedule.objects.values_list("name", "pk"))
    for name, (_func, minutes) in CLOCK.items():
        beat = beats.get(("schedule", name))
        late = beat is None or now - beat.seen_at > minutes * 120 + 600 or beat.doing.startswith("failed")
        url = reverse("admin:django_q_schedule_change", args=[ids[name]]) if name in ids else ""
        rows.append(sign(_("schedule"), _(name), beat, late, url))
    return {"id": "signs", "title": _("Signs of life"), "rows": rows, "late": sum(row["late"] for row in rows)}


def sign(title, name, beat, late, url):
    return {
        "title": title,
        "name": name,
        "ago": ago(beat.seen_at) if beat else _("never"),
        "at": beat and moment(beat.seen_at),
        "doing": beat.doing if beat else "",
        "late": late,
        "url": url,
    }


# --- Queue and space


def queue_url():
    try:
        return reverse("admin:django_q_ormq_changelist")
    except NoReverseMatch:  # the queue is in Redis
        return ""


@panel(80, "django_q.view_schedule", "config/space.html")
def space_at_a_glance(request):
    space = reverse("admin:space")
    depths = known_queue_depths()
    figures = [
        {
            "title": _("jobs in the queue"),
            "figure": sum(depths.values()) if depths else NOTHING,
            "bad": not depths,
            "url": queue_url() or reverse("admin:django_q_success_changelist"),
        },
        {"title": _("database"), "figure": size(database_size()), "url": space},
    ]
    free, total = disk()
    if total:
        low = free < total / 20
        figures.append({"title": _("free for posters"), "figure": size(free), "url": space, "bad": low})
    return {"id": "space", "title": _("Queue and space"), "figures": figures}


def database_size():
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_database_size(current_database())")
        else:
            cursor.execute("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
        return cursor.fetchone()[0]


def disk():
    """(free, total) bytes where POSTER_DIR is or will be."""
    folder = settings.POSTER_DIR.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return 0, 0
    return usage.free, usage.total


@page("space/", "space", "django_q.view_schedule")
def space(request):
    """Which table takes how much room, and the disk where posters wait."""
    free, total = disk()
    return show(
        request,
        "config/space_page.html",
        _("Space"),
        tables=[(name, size(number), rows) for name, number, rows in table_sizes()],
        database=size(database_size()),
        free=size(free),
        total=size(total),
        folder=settings.POSTER_DIR,
    )


def table_sizes():
    """(table, bytes with its indexes, rows by the planner's estimate), largest first; SQLite keeps no such account."""
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, pg_total_relation_size(oid), greatest(reltuples, 0)::bigint FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC LIMIT 40"
        )
        return cursor.fetchall()
