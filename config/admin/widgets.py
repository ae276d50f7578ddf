"""Dashboard widgets on the whole installation: failures, requests, heartbeats, queue and storage; and their pages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlencode

from django.conf import settings
from django.db import connection
from django.db.models import Count
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_q.models import Failure as FailedJob
from django_q.models import Schedule

from config.admin.charts import columns
from config.admin.formatting import DAY_SECONDS, EMPTY, time_since, to_datetime
from config.admin.jobs import activity, job_title, last_line
from config.admin.site import Failure, Widget, dashboard_widget, failure_sources, failures, page, render_page
from config.jobs.enqueue import cluster_names
from config.jobs.schedules import SCHEDULES, is_paused
from config.models import Heartbeat, MetricCount
from config.monitoring import disk
from config.monitoring.health import queue_depths_if_known
from config.monitoring.heartbeats import cluster_of_worker

# After so many seconds without a heartbeat a component is late. A webhook's comes with each update, so rarely.
STALE_AFTER_SECONDS = {"bot": DAY_SECONDS if settings.TELEGRAM_WEBHOOK_URL else 120, "worker": 90}
MAX_FAILURES_SHOWN = 12
COUNTERS = {  # MetricCount.name: its column
    "tmdb.requests": gettext_lazy("requests to TMDb"),
    "tmdb.images": gettext_lazy("images from TMDb"),
    "tmdb.429": gettext_lazy("429s of TMDb"),
    "telegram.requests": gettext_lazy("requests to Telegram"),
    "telegram.429": gettext_lazy("429s of Telegram"),
    "posters.uploaded": gettext_lazy("posters uploaded"),
}

# --- Failures of the last day by cause


@dataclass(kw_only=True)
class FailuresWidget(Widget):
    template = "config/failures.html"
    total: int
    rows: list[Failure]
    more: int


@dashboard_widget(50, "users.view_user")
def failures_widget(request: HttpRequest) -> FailuresWidget:
    rows: list[Failure] = []
    for permission, source in failure_sources:
        if request.user.has_perm(permission):
            rows += source()
    rows.sort(key=lambda row: -row.number)
    return FailuresWidget(
        id="failures",
        title=_("Failures of the last day"),
        total=sum(row.number for row in rows),
        rows=rows[:MAX_FAILURES_SHOWN],
        more=max(0, len(rows) - MAX_FAILURES_SHOWN),
    )


@failures("django_q.view_failure")
def failed_jobs() -> Iterator[Failure]:
    """Failed jobs by function, each with the cause of the latest: results are pickled, so SQL cannot tell causes."""
    url = reverse("admin:django_q_failure_changelist")
    since = timezone.now() - timedelta(days=1)
    recent = FailedJob.objects.filter(stopped__gt=since)
    for func, number in recent.order_by().values_list("func").annotate(Count("pk")):
        latest = recent.filter(func=func).order_by("-stopped").values_list("result", flat=True).first()
        query = urlencode({"func__exact": func, "stopped__gte": since.isoformat()})
        cause = last_line(latest) if number == 1 else _("the latest with %s") % last_line(latest)
        yield Failure(_("job"), f"{job_title(func)}: {cause}", number, f"{url}?{query}")


# --- Requests of the last hour


class ServiceRequests(NamedTuple):
    title: str
    total: int
    refused: int
    chart: SafeString


@dataclass(kw_only=True)
class RequestsWidget(Widget):
    template = "config/requests.html"
    services: list[ServiceRequests]


@dashboard_widget(60, "django_q.view_schedule")
def requests_widget(request: HttpRequest) -> RequestsWidget:
    first = int(time.time()) // 60 * 60 - 59 * 60
    found = MetricCount.objects.filter(minute__gte=first, name__in=COUNTERS).values_list("name", "minute", "number")
    minutes = {name: [0] * 60 for name in COUNTERS}
    for name, minute, number in found:
        if 0 <= (index := (minute - first) // 60) < 60:
            minutes[name][index] += number
    return RequestsWidget(
        id="requests",
        title=_("Requests in the last hour"),
        url=reverse("admin:counters"),
        services=[
            service_requests("TMDb", [minutes["tmdb.requests"], minutes["tmdb.images"]], minutes["tmdb.429"]),
            service_requests("Telegram", [minutes["telegram.requests"]], minutes["telegram.429"]),
        ],
    )


def service_requests(title: str, counted: list[list[int]], refused: list[int]) -> ServiceRequests:
    """The requests to a service, given as lists of 60 numbers, one a minute, oldest first."""
    by_minute = [sum(numbers) for numbers in zip(*counted, strict=True)]
    label = _("%(service)s: %(asked)d requests in the last hour, %(refused)d refused with 429") % {
        "service": title,
        "asked": sum(by_minute),
        "refused": sum(refused),
    }
    names = [f"−{_('%d min') % (59 - index)}: {number}" for index, number in enumerate(by_minute)]
    return ServiceRequests(title, sum(by_minute), sum(refused), columns(by_minute, label, names))


@page("counters/", "counters", "django_q.view_schedule")
def counters(request: HttpRequest) -> TemplateResponse:
    """What has been counted in the last two days, hour by hour, newest first."""
    hours: dict[int, dict[str, int]] = {}
    found = MetricCount.objects.filter(name__in=COUNTERS).values_list("name", "minute", "number")
    for name, minute, number in found:
        hours.setdefault(minute // 3600 * 3600, dict.fromkeys(COUNTERS, 0))[name] += number
    rows = [(to_datetime(hour), list(row.values())) for hour, row in sorted(hours.items(), reverse=True)]
    return render_page(
        request, "config/request_counts.html", _("Requests by the hour"), heads=list(COUNTERS.values()), rows=rows
    )


# --- Heartbeats


@dataclass
class HeartbeatRow:
    """One line of the heartbeats: a bot, a worker or a schedule; `seen` is in words, "never" where `at` is None."""

    kind: str
    name: str
    seen: str
    at: datetime | None
    activity: str
    late: bool
    url: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}" if self.name else self.kind


@dataclass(kw_only=True)
class HeartbeatsWidget(Widget):
    template = "config/heartbeats.html"
    rows: list[HeartbeatRow]

    @property
    def late(self) -> int:
        return sum(row.late for row in self.rows)


@dashboard_widget(80, "django_q.view_schedule")
def heartbeats_widget(request: HttpRequest) -> HeartbeatsWidget:
    now = time.time()
    latest = {(beat.kind, beat.name): beat for beat in Heartbeat.objects.filter(seen_at__gt=now - 7 * DAY_SECONDS)}
    rows = []
    for kind, title, url in (
        ("bot", _("bot"), reverse("admin:counters")),
        ("worker", _("worker"), queue_url() or reverse("admin:django_q_success_changelist")),
    ):
        beats = sorted((beat for beat in latest.values() if beat.kind == kind), key=lambda beat: beat.name)
        for beat in beats:
            rows.append(heartbeat_row(title, beat.name, beat, now - beat.seen_at > STALE_AFTER_SECONDS[kind], url))
        if not beats:
            rows.append(heartbeat_row(title, "", None, True, url))
        elif kind == "worker" and settings.Q_CLUSTERS:
            present = {cluster_of_worker(beat.name) for beat in beats}
            rows += [heartbeat_row(title, name, None, True, url) for name in cluster_names() if name not in present]
    schedules = {schedule.name: schedule for schedule in Schedule.objects.all()}
    for name, (_func, minutes) in SCHEDULES.items():
        last = latest.get(("schedule", name))
        late = last is None or now - last.seen_at > minutes * 120 + 600 or last.doing.startswith("failed")
        schedule = schedules.get(name)
        url = reverse("admin:django_q_schedule_change", args=[schedule.pk]) if schedule else ""
        paused = schedule is not None and is_paused(schedule)
        row = heartbeat_row(_("schedule"), _(name), last, late and not paused, url)
        rows.append(replace(row, activity=_("paused")) if paused else row)
    return HeartbeatsWidget(id="heartbeats", title=_("Processes and schedules"), rows=rows)


def heartbeat_row(kind: str, name: str, beat: Heartbeat | None, late: bool, url: str) -> HeartbeatRow:
    seen = time_since(beat.seen_at) if beat else _("never")
    return HeartbeatRow(
        kind, name, seen, to_datetime(beat.seen_at if beat else None), activity(beat.doing) if beat else "", late, url
    )


# --- Queue and storage


class StorageNumber(NamedTuple):
    title: str
    number: str
    url: str
    low: bool = False


@dataclass(kw_only=True)
class StorageWidget(Widget):
    template = "config/storage.html"
    numbers: list[StorageNumber]


def queue_url() -> str:
    """The page of the queue; '' where the queue is in Redis and has none."""
    try:
        return reverse("admin:django_q_ormq_changelist")
    except NoReverseMatch:
        return ""


@dashboard_widget(47, "django_q.view_schedule")
def storage_widget(request: HttpRequest) -> StorageWidget:
    url = reverse("admin:storage")
    depths = queue_depths_if_known()
    jobs = str(sum(depths.values())) if depths else EMPTY
    jobs_url = queue_url() or reverse("admin:django_q_success_changelist")
    numbers = [
        StorageNumber(_("jobs in the queue"), jobs, jobs_url, low=not depths),
        StorageNumber(_("database"), filesizeformat(database_bytes()), url),
    ]
    free, total = disk.posters()
    if total:
        numbers.append(StorageNumber(_("free for posters"), filesizeformat(free), url, disk.is_low(free, total)))
    return StorageWidget(id="storage", title=_("Queue and storage"), numbers=numbers)


def database_bytes() -> int:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_database_size(current_database())")
        else:
            cursor.execute("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
        return int(cursor.fetchone()[0])


@page("storage/", "storage", "django_q.view_schedule")
def storage(request: HttpRequest) -> TemplateResponse:
    """The size of each table, and the disk where posters wait for their upload."""
    free, total = disk.posters()
    return render_page(
        request,
        "config/storage_page.html",
        _("Storage"),
        tables=table_sizes(),
        database=filesizeformat(database_bytes()),
        free=filesizeformat(free),
        total=filesizeformat(total),
        folder=settings.POSTER_DIR,
    )


def table_sizes() -> list[tuple[str, int, int]]:
    """(table, bytes with its indexes, rows as the planner estimates them), largest first; empty on SQLite."""
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, pg_total_relation_size(oid), greatest(reltuples, 0)::bigint FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC LIMIT 40"
        )
        return list(cursor.fetchall())
