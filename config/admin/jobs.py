"""django-q2's pages in the admin. What a schedule calls is for superusers alone: it can name any callable."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext_lazy, pgettext
from django_q import admin as django_q_admin  # imported first, so that its registrations are there to be replaced
from django_q.models import Failure, OrmQ, Schedule, Success, Task

from config.admin.actions import row_action
from config.admin.formatting import EMPTY, badge, format_age, format_datetime, format_duration
from config.jobs.schedules import FOREVER, PAUSED, SCHEDULES, is_paused
from config.monitoring.logs import redact

MAX_CAUSE_LENGTH = 200
MAX_CAUSES = 12  # in the filter
MAX_FAILURES_READ = 200
OTHER_TITLES = {  # of jobs without a schedule
    "ratings.tasks.train_recommendations": gettext_noop("train recommendations"),
    "ratings.tasks.import_file": gettext_noop("import a file"),
    "ratings.tasks.fetch_most_voted_movies": gettext_noop("fetch well-known films"),
}
TITLES = {func: name for name, (func, _minutes) in SCHEDULES.items()}


class SuperuserChangesMixin:
    """Jobs, which only superusers may change or delete."""

    show_facets = admin.ShowFacets.NEVER

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser

    def has_resubmit_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("django_q.change_failure")


@row_action(
    gettext_lazy("Resubmit selected jobs"),
    done=ngettext_lazy("%d job resubmitted.", "%d jobs resubmitted."),
    nothing=gettext_lazy("None of these jobs is there any more."),
    permission="resubmit",
)
def resubmit(model_admin: admin.ModelAdmin, request: HttpRequest, jobs: QuerySet[Any]) -> int:
    count = jobs.count()
    django_q_admin.resubmit_task(model_admin, request, jobs)
    return count


def job_title(func: str) -> str:
    """What a job does, in the viewer's language where it has a schedule; else the function's path."""
    if func in TITLES:
        return _(TITLES[func])
    return _(OTHER_TITLES[func]) if func in OTHER_TITLES else func


def schedule_title(schedule: Schedule) -> str:
    return _(schedule.name) if schedule.name in SCHEDULES else str(schedule.name or schedule.func)


def task_title(task: Task) -> str:
    return job_title(task.func)


# Headings, breadcrumbs and the history show rows by these; django-q2's own are a path and four random words.
Schedule.__str__ = schedule_title  # type: ignore[method-assign, assignment]
Task.__str__ = task_title  # type: ignore[method-assign, assignment]


def last_line(result: object) -> str:
    """The line of a traceback that says what happened."""
    lines = redact(str(result or "")).strip().splitlines() or [EMPTY]
    return lines[-1][:MAX_CAUSE_LENGTH]


RESULTS = [  # words of results, after a number or alone; what is not here is shown as it is
    *(gettext_noop("done"), gettext_noop("without an image"), gettext_noop("failed"), gettext_noop("postponed")),
    *(gettext_noop("imported"), gettext_noop("queued"), gettext_noop("written"), gettext_noop("ended")),
    *(gettext_noop("recovered"), gettext_noop("old ones deleted"), gettext_noop("logins"), gettext_noop("in progress")),
    *(gettext_noop("failed jobs deleted"), gettext_noop("asked"), gettext_noop("found"), gettext_noop("sent")),
    *(gettext_noop("left"), gettext_noop("nothing due"), gettext_noop("already running elsewhere")),
    *(gettext_noop("gone from TMDb"), gettext_noop("release dates read"), gettext_noop("told"), gettext_noop("steps")),
    *(gettext_noop("edited"), gettext_noop("more to do"), gettext_noop("polling"), gettext_noop("due")),
    gettext_noop("read"),
]


def counted_word(word: str) -> str:
    """A word of a result as it stands before its number, which not every language says as it says the word alone."""
    return pgettext("so many", "done") if word == "done" else _(word)


def activity(doing: str) -> str:
    """What a component does or came to, in the viewer's language as far as its words are known."""
    if doing.startswith("failed: "):
        return f"{_('failed')}: {doing.removeprefix('failed: ')}"
    if "." in doing and " " not in doing:
        return job_title(doing)
    counts = [re.fullmatch(r"(\d+) (.+)", part) for part in doing.split(", ")]
    if all(counts):
        return ", ".join(f"{counted_word(one[2])}: {one[1]}" for one in counts if one)
    return ", ".join(_(part) if part in RESULTS else part for part in doing.split(", "))


class JobsMixin(SuperuserChangesMixin):
    """The columns of lists of jobs: what was done, when, for how long."""

    list_filter: tuple[Any, ...] = ()
    search_fields = ("func",)
    search_help_text = gettext_lazy("a part of the function's path")

    @admin.display(description=gettext_lazy("job"), ordering="func")
    def job(self, task: Any) -> str:
        return job_title(task.func)

    @admin.display(description=gettext_lazy("started"), ordering="started")
    def begun(self, task: Any) -> SafeString | str:
        return format_datetime(task.started.timestamp())

    @admin.display(description=gettext_lazy("took"))
    def took(self, task: Any) -> str:
        return format_duration(task.time_taken())


class JobAdmin(JobsMixin, django_q_admin.TaskAdmin):
    list_display = ("job", "begun", "took", "outcome")
    actions = (resubmit,)

    @admin.display(description=gettext_lazy("outcome"))
    def outcome(self, task: Any) -> str:
        return activity(last_line(task.result))


class CauseFilter(admin.SimpleListFilter):
    """The causes of the latest failures; results are pickled, so SQL cannot look for them."""

    title, parameter_name = gettext_lazy("cause"), "cause"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        counted = Counter(cause for _pk, cause in latest_causes())
        return [(cause, f"{cause} ({number})") for cause, number in counted.most_common(MAX_CAUSES)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        return queryset.filter(pk__in=[pk for pk, cause in latest_causes() if cause == self.value()])


def latest_causes() -> list[tuple[str, str]]:
    """(job's id, cause) of the latest failures."""
    rows = Failure.objects.order_by("-stopped").values_list("pk", "result")[:MAX_FAILURES_READ]
    return [(pk, last_line(result)) for pk, result in rows]


class FailureAdmin(JobsMixin, django_q_admin.FailAdmin):
    list_display = ("job", "cause", "begun", "took")
    list_filter = (CauseFilter,)
    actions = (resubmit,)

    @admin.display(description=gettext_lazy("cause"))
    def cause(self, task: Any) -> str:
        return last_line(task.result)


class QueueAdmin(SuperuserChangesMixin, django_q_admin.QueueAdmin):
    list_display = ("id", "job", "lock")
    list_filter = ()

    @admin.display(description=gettext_lazy("job"))
    def job(self, queued: OrmQ) -> str:
        return job_title(str(queued.func()))


class ScheduleAdmin(django_q_admin.ScheduleAdmin):
    """Schedules are written by migrate; an operator pauses and resumes them and has them run now, no more."""

    list_display = ("title", "every", "due", "latest")
    list_display_links = ("title",)
    list_filter = ()
    search_fields = ()
    actions = ("run_now", "pause", "resume")
    show_facets = admin.ShowFacets.NEVER
    fieldsets = [(None, {"fields": ("title", "func", "every", "due", "latest")})]
    readonly_fields = ("title", "func", "every", "due", "latest")

    @admin.display(description=gettext_lazy("job"), ordering="name")
    def title(self, schedule: Schedule) -> str:
        return str(schedule)

    @admin.display(description=gettext_lazy("every"), ordering="minutes")
    def every(self, schedule: Schedule) -> str:
        return format_age(schedule.minutes * 60) if schedule.minutes else schedule.get_schedule_type_display()

    @admin.display(description=gettext_lazy("next run"), ordering="next_run")
    def due(self, schedule: Schedule) -> SafeString | str:
        if is_paused(schedule):
            return badge("ready", _("paused"))
        return format_datetime(schedule.next_run and schedule.next_run.timestamp())

    @admin.display(description=gettext_lazy("last run"))
    def latest(self, schedule: Any) -> SafeString | str:
        task = Task.objects.filter(id=schedule.task).only("id", "success").first() if schedule.task else None
        if task is None:  # none, or an old one that is no longer kept
            return EMPTY
        kind, label = ("success", badge("good", _("done"))) if task.success else ("failure", badge("bad", _("failed")))
        return format_html('<a href="{}">{}</a>', reverse(f"admin:django_q_{kind}_change", args=[task.id]), label)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Schedule | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Schedule | None = None) -> bool:
        return False

    def has_act_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("django_q.change_schedule")

    @row_action(
        gettext_lazy("Run now"),
        done=ngettext_lazy("%d job is due now.", "%d jobs are due now."),
        nothing=gettext_lazy("Nothing is due: these schedules are paused."),
    )
    def run_now(self, request: HttpRequest, schedules: QuerySet[Schedule]) -> int:
        return schedules.exclude(repeats=PAUSED).update(next_run=timezone.now())

    @row_action(
        gettext_lazy("Pause"),
        done=ngettext_lazy("%d schedule paused.", "%d schedules paused."),
        nothing=gettext_lazy("Nothing paused: they are paused already."),
    )
    def pause(self, request: HttpRequest, schedules: QuerySet[Schedule]) -> int:
        return schedules.exclude(repeats=PAUSED).update(repeats=PAUSED)

    @row_action(
        gettext_lazy("Resume"),
        done=ngettext_lazy("%d schedule resumed.", "%d schedules resumed."),
        nothing=gettext_lazy("Nothing resumed: none of them is paused."),
    )
    def resume(self, request: HttpRequest, schedules: QuerySet[Schedule]) -> int:
        return schedules.filter(repeats=PAUSED).update(repeats=FOREVER, next_run=timezone.now())


for model, model_admin in (
    (Success, JobAdmin),
    (Failure, FailureAdmin),
    (Schedule, ScheduleAdmin),
    (OrmQ, QueueAdmin),
):
    if admin.site.is_registered(model):
        admin.site.unregister(model)
        admin.site.register(model, model_admin)
