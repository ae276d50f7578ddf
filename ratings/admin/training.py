"""Training runs of the recommendations: their list, a button for another, and the dashboard widget."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.core.cache import cache
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.admin.actions import record
from config.admin.charts import progress_bar
from config.admin.formatting import DAY_SECONDS, EMPTY, badge, format_datetime, format_duration, time_since
from config.admin.model_admin import ConditionFilter, ReadOnlyAdmin
from config.admin.site import Failure, Widget, dashboard_widget, failures, page
from config.jobs.enqueue import async_task
from config.jobs.locks import is_locked
from ratings.models import TrainingRun
from ratings.recommendations import training_process

PHASES = {  # the first word of TrainingRun.progress
    "reading": gettext_lazy("reading the ratings"),
    "counting": gettext_lazy("counting what was rated together"),
    "weighing": gettext_lazy("weighing films against each other"),
    "writing": gettext_lazy("writing neighbours"),
    "switching": gettext_lazy("switching over"),
}
ERRORS = {
    "stopped": gettext_lazy("was told to stop"),
    "died": gettext_lazy("ended abruptly: killed, or the machine went down"),
}
TRIGGERS = {
    training_process.TRIGGERED_BY_SCHEDULE: gettext_lazy("the schedule"),
    training_process.TRIGGERED_BY_COMMAND: gettext_lazy("the command line"),
}
REQUEST_TTL_SECONDS = 30  # within it a requested run starts; a second request is refused
MAX_FAILURES_SHOWN = 8


class TrainingStateFilter(ConditionFilter):
    title, parameter_name = gettext_lazy("state"), "state"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        active = training_process.active_run()
        return {
            "running": (_("running"), Q(pk=active.pk) if active else Q(pk__in=[])),
            "failed": (_("failed"), failed_runs(active)),
            "done": (_("done"), Q(finished_at__isnull=False)),
        }


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnlyAdmin[TrainingRun]):
    list_display = (
        *("id", "state", "started", "duration", "note", "trigger"),
        *("users_learned_from", "ratings_learned_from", "movies", "neighbours"),
    )
    list_filter = (TrainingStateFilter,)
    sortable_by = ("id",)
    change_list_template = "ratings/admin/training_runs.html"
    fieldsets = [
        (None, {"fields": ("state", "note", "started", "finished", "duration", "trigger")}),
        (
            gettext_lazy("Result"),
            {
                "fields": (
                    *("movies", "neighbours", "users", "ratings", "archive", "archive_users", "archive_ratings"),
                    "order_weight",
                )
            },
        ),
    ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        may_train = request.user.has_perm("ratings.change_trainingrun")
        return super().changelist_view(request, {"may_train": may_train, **(extra_context or {})})

    @admin.display(description=gettext_lazy("state"))
    def state(self, run: TrainingRun) -> SafeString:
        return training_state(run)

    @admin.display(description=gettext_lazy("reason"))
    def note(self, run: TrainingRun) -> str:
        return training_note(run)

    @admin.display(description=gettext_lazy("started"))
    def started(self, run: TrainingRun) -> str:
        return format_datetime(run.started_at)

    @admin.display(description=gettext_lazy("finished"))
    def finished(self, run: TrainingRun) -> str:
        return format_datetime(run.finished_at)

    @admin.display(description=gettext_lazy("took"))
    def duration(self, run: TrainingRun) -> str:
        return EMPTY if run.error or was_killed(run) else training_duration(run)

    @admin.display(description=gettext_lazy("started by"))
    def trigger(self, run: TrainingRun) -> str:
        return str(TRIGGERS.get(run.triggered_by, run.triggered_by) or EMPTY)

    @admin.display(description=gettext_lazy("people"))
    def users_learned_from(self, run: TrainingRun) -> str:
        return bot_and_archive(run.users, run.archive_users)

    @admin.display(description=gettext_lazy("ratings"))
    def ratings_learned_from(self, run: TrainingRun) -> str:
        return bot_and_archive(run.ratings, run.archive_ratings)


def bot_and_archive(bot: int, archive: int) -> str:
    """The number of users or ratings of the bot, and that of a MovieLens archive where one was used."""
    return _("%(own)d + %(archive)d of an archive") % {"own": bot, "archive": archive} if archive else str(bot)


def failed_runs(active: TrainingRun | None) -> Q:
    """The runs that failed, killed ones included; `active` is the one in progress."""
    return ~Q(error="") | Q(finished_at=None) & ~Q(pk=active.pk if active else None)


def was_killed(run: TrainingRun) -> bool:
    """Whether the run was killed and no later run has recorded that."""
    return run.finished_at is None and not run.error and run != training_process.active_run()


def training_duration(run: TrainingRun) -> str:
    return format_duration((run.finished_at or time.time()) - run.started_at)


def training_state(run: TrainingRun) -> SafeString:
    if run.error or was_killed(run):
        return badge("bad", _("failed"))
    if run.finished_at:
        return badge("good", _("in use")) if run == TrainingRun.objects.current() else badge("idle", _("done"))
    return badge("busy", _("running"))


def training_note(run: TrainingRun) -> str:
    """Why the run failed, its phase while it runs, or when another run was skipped."""
    if run.error:
        return str(ERRORS.get(run.error, run.error))
    if was_killed(run):
        return str(ERRORS["died"])
    if run.finished_at is None:
        return training_phase(run)
    if run.checked_at:
        return format_html("{} {}", format_datetime(run.checked_at), _("skipped: little had changed"))
    return EMPTY


def training_phase(run: TrainingRun) -> str:
    """The phase in the viewer's language; the trainer saves it as "writing neighbours: film 63 of 8746"."""
    phase, _colon, _movies = run.progress.partition(":")
    label = str(PHASES.get(phase.split(" ")[0], phase)) or _("begins")
    done = movies_done(run)
    return f"{label}: {done[0]} / {done[1]}" if done else label


def movies_done(run: TrainingRun) -> tuple[int, int] | None:
    """(done, total) movies of the phase; None where it does not count them."""
    numbers = re.search(r"(\d+) of (\d+)", run.progress.partition(":")[2])
    return (int(numbers[1]), int(numbers[2])) if numbers else None


@page("ratings/training/start/", "start_training", "ratings.change_trainingrun")
def start_training(request: HttpRequest) -> HttpResponse:
    """Have a worker train, however little has changed, and show the front page, where its progress is."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    if is_locked(training_process.LOCK_NAME) or not cache.add("training_requested", True, REQUEST_TTL_SECONDS):
        messages.warning(request, _("Training is already running."))
    else:
        triggered_by = request.user.get_username()
        async_task("ratings.tasks.train_recommendations", triggered_by, timeout=training_process.TIMEOUT_SECONDS)
        record(request, TrainingRun, "start_training", _("Training started"), 1)
        messages.success(request, _("Training starts as soon as a worker is free."))
    return redirect("admin:index")


@dataclass(kw_only=True)
class TrainingWidget(Widget):
    template = "ratings/admin/training.html"
    current: TrainingRun | None
    age: str
    duration: str
    phase: str
    progress: SafeString | str
    may_train: bool


@dashboard_widget(45, "ratings.view_trainingrun")
def training_widget(request: HttpRequest) -> TrainingWidget:
    current, active = TrainingRun.objects.current(), training_process.active_run()
    done = movies_done(active) if active else None
    phase = training_phase(active) if active else ""
    return TrainingWidget(
        id="training",
        title=_("Recommendations"),
        url=reverse("admin:ratings_trainingrun_changelist"),
        current=current,
        age=time_since(current.finished_at) if current and current.finished_at else "",
        duration=training_duration(current) if current else "",
        phase=phase,
        progress=progress_bar(*done, phase) if done else "",
        may_train=request.user.has_perm("ratings.change_trainingrun"),
    )


@failures("ratings.view_trainingrun")
def failed_training() -> list[Failure]:
    since = int(time.time()) - DAY_SECONDS
    recent = TrainingRun.objects.filter(failed_runs(training_process.active_run()), started_at__gt=since)
    return [
        Failure(_("training"), training_note(run), 1, reverse("admin:ratings_trainingrun_change", args=[run.pk]))
        for run in recent.order_by("-pk")[:MAX_FAILURES_SHOWN]
    ]
