"""Imports of ratings from TMDb: their list, their part of a user's page, and the dashboard widget."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.admin.charts import progress_bar
from config.admin.formatting import DAY_SECONDS, EMPTY, badge, format_datetime, format_duration, time_since
from config.admin.model_admin import ConditionFilter, ReadOnlyAdmin, parse_id
from config.admin.site import Failure, Widget, dashboard_widget, failures
from movies.models import Movie
from ratings.models import Import
from users.models import User

MAX_MOVIES_NAMED = 50  # of a kind, on an import's page
MAX_IMPORTS_OF_USER = 10
MAX_RUNNING_SHOWN = 8
MAX_RUNNING_COUNTED = 50
DONE = Q(error="", finished_at__isnull=False)
INCOMPLETE = ~Q(failed=0, left_out=0, beyond_api_limit=0)


class ImportStateFilter(ConditionFilter):
    title, parameter_name = gettext_lazy("state"), "state"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        return {
            "running": (_("running"), Q(finished_at=None)),
            "failed": (_("failed"), ~Q(error="")),
            "gaps": (_("incomplete"), DONE & INCOMPLETE),
            "done": (_("done"), DONE),
        }


class FinishedFilter(ConditionFilter):
    title, parameter_name = gettext_lazy("finished"), "ended"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        now = int(time.time())
        return {
            "day": (_("within a day"), Q(finished_at__gt=now - DAY_SECONDS)),
            "week": (_("within a week"), Q(finished_at__gt=now - 7 * DAY_SECONDS)),
        }


@admin.register(Import)
class ImportAdmin(ReadOnlyAdmin[Import]):
    list_display = ("id", "person", "state", "started", "duration", "outcome", "reason")
    list_filter = (ImportStateFilter, FinishedFilter)
    search_fields = ("user_id",)
    search_help_text = gettext_lazy("a Telegram id")
    sortable_by = ("id",)
    fieldsets = [
        (None, {"fields": ("person", "state", "reason", "started", "finished", "duration", "scheduled")}),
        (
            gettext_lazy("Result"),
            {
                "fields": (
                    *("ratings_done", "total_results", "added", "changed", "removed", "overridden", "left_out"),
                    *("beyond_api_limit", "details", "failed", "named"),
                )
            },
        ),
    ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Import], search_term: str
    ) -> tuple[QuerySet[Import], bool]:
        """The imports of the user with this Telegram id."""
        if not search_term.strip():
            return queryset, False
        user_id = parse_id(search_term)
        return (queryset.none() if user_id is None else queryset.filter(user_id=user_id)), False

    @admin.display(description=gettext_lazy("person"))
    def person(self, run: Import) -> SafeString:
        return format_html('<a href="{}">{}</a>', reverse("admin:users_user_change", args=[run.user_id]), run.user_id)

    @admin.display(description=gettext_lazy("state"))
    def state(self, run: Import) -> SafeString:
        return import_state(run)

    @admin.display(description=gettext_lazy("reason"))
    def reason(self, run: Import) -> str:
        return import_error(run)

    @admin.display(description=gettext_lazy("started"))
    def started(self, run: Import) -> str:
        return format_datetime(run.started_at)

    @admin.display(description=gettext_lazy("finished"))
    def finished(self, run: Import) -> str:
        return format_datetime(run.finished_at)

    @admin.display(description=gettext_lazy("took"))
    def duration(self, run: Import) -> str:
        return import_duration(run)

    @admin.display(description=gettext_lazy("outcome"))
    def outcome(self, run: Import) -> str:
        return import_outcome(run)

    @admin.display(description=gettext_lazy("film details fetched"))
    def details(self, run: Import) -> str:
        return _("%(done)s of %(total)s") % {"done": run.movies_done, "total": run.movies_total}

    @admin.display(description=gettext_lazy("by name"))
    def named(self, run: Import) -> SafeString | str:
        return named_movies(run)


def import_state(run: Import) -> SafeString:
    if run.finished_at is None:
        return badge("bad", _("waits for TMDb")) if run.failing_since else badge("busy", _("running"))
    if run.error:
        return badge("bad", _("failed"))
    incomplete = run.failed or run.left_out or run.beyond_api_limit
    return badge("ready", _("incomplete")) if incomplete else badge("good", _("done"))


def import_error(run: Import) -> str:
    error = run.error or run.last_error
    return _(error) if error else EMPTY


def import_duration(run: Import) -> str:
    return format_duration((run.finished_at or time.time()) - run.started_at)


def import_outcome(run: Import) -> str:
    if run.finished_at is None:
        return _("%(done)s of %(total)s") % {"done": run.ratings_done, "total": run.total_results or "?"}
    parts = [
        (run.added, _("%d added")),
        (run.changed, _("%d changed")),
        (run.removed, _("%d removed")),
        (run.failed, _("%d without details")),
        (run.left_out, _("%d left out")),
        (run.beyond_api_limit, _("%d out of reach")),
    ]
    return ", ".join(text % number for number, text in parts if number) or _("nothing new")


def named_movies(run: Import) -> SafeString | str:
    """The movies that an import names, each a link."""
    kinds = {"overridden": _("changed on TMDb"), "left_out": _("left out"), "failed": _("without details")}
    named = [
        (reverse("admin:movies_movie_change", args=[movie_id]), facts.get("title") or movie_id, label)
        for kind, label in kinds.items()
        for movie_id, facts in list(run.names.get(kind, {}).items())[:MAX_MOVIES_NAMED]
    ]
    return format_html_join("", '<div><a href="{}">{}</a>: {}</div>', named) or EMPTY


# --- On the pages of users and movies


@admin.display(description=gettext_lazy("latest imports"))
def imports_of_user(user: User) -> str:
    rows = [
        (
            *(format_datetime(run.started_at), import_state(run), import_duration(run)),
            *(import_outcome(run), import_error(run), named_movies(run)),
        )
        for run in user.imports.order_by("-pk")[:MAX_IMPORTS_OF_USER]
    ]
    return render_to_string("ratings/admin/imports_of_user.html", {"rows": rows}) if rows else _("none yet")


@admin.display(description=gettext_lazy("ratings"))
def ratings_link(owner: User | Movie) -> SafeString:
    name = "admin:ratings_of_user" if isinstance(owner, User) else "admin:ratings_of_movie"
    return format_html('<a href="{}">{}</a>', reverse(name, args=[owner.pk]), _("all ratings"))


for model, columns in ((User, (ratings_link, imports_of_user)), (Movie, (ratings_link,))):
    owner_admin: Any = admin.site.get_model_admin(model)  # Any: a loop over the admins of two models
    owner_admin.readonly_fields = (*owner_admin.readonly_fields, *columns)
    owner_admin.fieldsets = [*owner_admin.fieldsets, (gettext_lazy("Ratings"), {"fields": columns})]


# --- The dashboard


class RunningImport(NamedTuple):
    url: str
    user_id: int
    outcome: str
    since: str
    error: str
    progress: SafeString


@dataclass(kw_only=True)
class ImportsWidget(Widget):
    template = "ratings/admin/running_imports.html"
    number: str
    running: list[RunningImport]
    latest_url: str


@dashboard_widget(40, "ratings.view_import")
def imports_widget(request: HttpRequest) -> ImportsWidget:
    url = reverse("admin:ratings_import_changelist")
    running = list(Import.objects.running().order_by("started_at")[: MAX_RUNNING_COUNTED + 1])
    shown = [
        RunningImport(
            url=reverse("admin:ratings_import_change", args=[run.pk]),
            user_id=run.user_id,
            outcome=import_outcome(run),
            since=time_since(run.started_at),
            error=_(run.last_error) if run.failing_since and run.last_error else "",
            progress=progress_bar(
                run.ratings_done + run.movies_done, run.total_results + run.movies_total, import_outcome(run)
            ),
        )
        for run in running[:MAX_RUNNING_SHOWN]
    ]
    return ImportsWidget(
        id="imports",
        title=_("Imports running now"),
        url=f"{url}?state=running",
        number=str(len(running)) if len(running) <= MAX_RUNNING_COUNTED else f"{MAX_RUNNING_COUNTED}+",
        running=shown,
        latest_url=f"{url}?ended=day",
    )


@failures("ratings.view_import")
def failed_imports() -> list[Failure]:
    failed = Import.objects.filter(finished_at__gt=int(time.time()) - DAY_SECONDS).exclude(error="").order_by()
    url = f"{reverse('admin:ratings_import_changelist')}?state=failed&ended=day"
    counted = failed.values_list("error").annotate(Count("pk"))
    return [Failure(_("import"), _(cause), n, f"{url}&{urlencode({'error__exact': cause})}") for cause, n in counted]
