"""Ratings, imports and builds of recommendations in the back office.

A model with a composite key cannot be registered in the admin, so ratings have pages of their own, found from the pages
of people and films.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.cache import cache
from django.db.models import Q
from django.http import Http404, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.admin.charts import progress
from config.admin.pagination import BigTablePaginator, big_table_list
from config.admin.site import NOTHING, ago, failures, nobody, page, panel, show, when, word
from config.jobs.enqueue import async_task
from config.jobs.locks import is_locked
from movies.catalogue import cleaned
from movies.models import Movie, folded_text
from ratings.models import Build, Import, Rating
from ratings.recommendations import training_process
from users.models import User

if TYPE_CHECKING:
    from django.core.handlers.wsgi import WSGIRequest
    from django.db.models.query import QuerySet
    from django.db.models.query_utils import Q
    from django.http import HttpRequest
    from django.template.response import TemplateResponse
    from django.utils.safestring import SafeString

    from ratings.models import BuildQuerySet, ImportQuerySet

PAGE = 50  # ratings on a page
NAMED = 50  # films of a kind that an import's page names
DAY = 86_400


# --- Ratings, paged by their keys


@page("ratings/person/<int:user_id>/", "ratings_of_person", "users.view_user")
def ratings_of_person(request: WSGIRequest, user_id: int) -> TemplateResponse:
    """What a person has rated, newest first; searchable by title."""
    if not User.objects.filter(pk=user_id).exists():
        raise Http404
    rows = Rating.objects.filter(user_id=user_id)
    for part in folded_text(cleaned(request.GET.get("q", ""))).split():
        rows = rows.filter(movie__search_text__contains=part)
    owner = reverse("admin:users_user_change", args=[user_id])
    return ratings_page(request, rows, ("rated_at", "movie_id"), _("Ratings of %s") % user_id, owner)


@page("ratings/film/<int:movie_id>/", "ratings_of_film", "movies.view_movie")
def ratings_of_film(request: WSGIRequest, movie_id: int) -> TemplateResponse:
    """Who has rated a film; searchable by the person's id.

    In the order of people: whoever else looks for the newest of a hundred thousand ratings has to read them all.
    """
    movie = Movie.objects.filter(pk=movie_id).first()
    if movie is None:
        raise Http404
    rows = Rating.objects.filter(movie_id=movie_id)
    if asked := request.GET.get("q", "").strip():
        known = asked.isascii() and asked.isdecimal() and len(asked) < 19
        rows = rows.filter(user_id=int(asked)) if known else rows.none()
    owner = reverse("admin:movies_movie_change", args=[movie_id])
    return ratings_page(request, rows, ("user_id",), _("Ratings of %s") % movie, owner)


def ratings_page(
    request: WSGIRequest, rows: QuerySet, order: tuple[str] | tuple[str, str], title: str, owner: str
) -> TemplateResponse:
    """One page of ratings, the highest first: behind the row that `after` names, so that none before it is read."""
    after = place(request.GET.get("after", ""), len(order))
    if after:
        rows = rows.filter(behind(order, after))
    rows = rows.select_related("movie").defer("movie__overview", "movie__search_text")
    found = list(rows.order_by(*(f"-{field}" for field in order))[: PAGE + 1])
    following = found[PAGE - 1] if len(found) > PAGE else None
    for row in found:
        row.when = when(row.rated_at)
    return show(
        request,
        "ratings/office/ratings.html",
        title,
        rows=found[:PAGE],
        following=following and ".".join(str(getattr(following, field)) for field in order),
        after=after,
        asked=request.GET.get("q", ""),
        owner=owner,
        by_person="movie_id" in order,
    )


def place(text: str, parts: int) -> list[int] | None:
    """The numbers of `after`; None for what is no place in a list."""
    numbers = text.split(".")
    if len(numbers) != parts or not all(re.fullmatch(r"-?[0-9]{1,18}", number) for number in numbers):
        return None
    return [int(number) for number in numbers]


def behind(order: tuple[str, str] | list[str], values: list[int]) -> Q:
    """The rows behind this place."""
    first, *rest = order
    further = Q(**{f"{first}__lt": values[0]})
    return further | Q(**{first: values[0]}) & behind(rest, values[1:]) if rest else further


# --- Imports


class StateFilter(admin.SimpleListFilter):
    title, parameter_name = gettext_lazy("state"), "state"

    def lookups(self, request: WSGIRequest, model_admin: ImportAdmin) -> list[tuple[str, str]]:
        return [("running", _("running")), ("failed", _("failed")), ("gaps", _("with gaps")), ("done", _("done"))]

    def queryset(self, request: WSGIRequest, imports: ImportQuerySet) -> ImportQuerySet:
        if self.value() == "running":
            return imports.running()
        if self.value() == "failed":
            return imports.exclude(error="")
        if self.value() == "gaps":
            return imports.filter(error="", finished_at__isnull=False).exclude(failed=0, left_out=0, out_of_reach=0)
        if self.value() == "done":
            return imports.filter(error="", finished_at__isnull=False)
        return imports


class EndFilter(admin.SimpleListFilter):
    title, parameter_name = gettext_lazy("ended"), "ended"

    def lookups(self, request: WSGIRequest, model_admin: ImportAdmin) -> list[tuple[str, str]]:
        return [("day", _("within a day")), ("week", _("within a week"))]

    def queryset(self, request: WSGIRequest, imports: ImportQuerySet) -> ImportQuerySet:
        days = {"day": 1, "week": 7}.get(self.value())
        return imports.filter(finished_at__gt=int(time.time()) - days * DAY) if days else imports


@admin.register(Import)
class ImportAdmin(admin.ModelAdmin):
    list_display = ("id", "person", "state", "started", "duration", "outcome", "reason")
    list_filter = (StateFilter, EndFilter)
    list_per_page = 50
    search_fields = ("user_id",)
    search_help_text = gettext_lazy("a Telegram id")
    ordering = ("-id",)
    sortable_by = ("id",)
    paginator, get_changelist = BigTablePaginator, big_table_list
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    fieldsets = [
        (None, {"fields": ("person", "state", "reason", "started", "finished", "duration", "scheduled")}),
        (
            gettext_lazy("What came of it"),
            {
                "fields": (
                    "ratings_done",
                    "total_results",
                    "added",
                    "changed",
                    "removed",
                    "overridden",
                    "left_out",
                    "out_of_reach",
                    "films_done",
                    "films_total",
                    "failed",
                    "named",
                )
            },
        ),
    ]
    has_add_permission = has_change_permission = has_delete_permission = nobody

    def get_search_results(
        self, request: WSGIRequest, queryset: ImportQuerySet, search_term: str
    ) -> tuple[ImportQuerySet, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        known = term.isascii() and term.isdecimal() and len(term) < 19
        return (queryset.filter(user_id=int(term)) if known else queryset.none()), False

    @admin.display(description=gettext_lazy("person"))
    def person(self, run: Import) -> SafeString:
        return format_html('<a href="{}">{}</a>', reverse("admin:users_user_change", args=[run.user_id]), run.user_id)

    @admin.display(description=gettext_lazy("state"))
    def state(self, run: Import) -> SafeString:
        return state_of(run)

    @admin.display(description=gettext_lazy("reason"))
    def reason(self, run: Import) -> str:
        return reason_of(run)

    @admin.display(description=gettext_lazy("started"))
    def started(self, run: Import) -> SafeString:
        return when(run.started_at)

    @admin.display(description=gettext_lazy("finished"))
    def finished(self, run: Import) -> SafeString:
        return when(run.finished_at)

    @admin.display(description=gettext_lazy("took"))
    def duration(self, run: Import) -> str:
        return duration_of(run)

    @admin.display(description=gettext_lazy("outcome"))
    def outcome(self, run: Import) -> str:
        return outcome_of(run)

    @admin.display(description=gettext_lazy("by name"))
    def named(self, run: Import) -> SafeString:
        return names_of(run)


def state_of(run: Import) -> SafeString:
    if run.finished_at is None:
        return word("bad", _("waits for TMDb")) if run.trouble_since else word("busy", _("running"))
    if run.error:
        return word("bad", _("failed"))
    return word("ready", _("with gaps")) if run.failed or run.left_out or run.out_of_reach else word("good", _("done"))


def reason_of(run: Import) -> str:
    why = run.error or run.trouble
    return _(why) if why else NOTHING


def duration_of(run: Import) -> str:
    seconds = int((run.finished_at or time.time()) - run.started_at)
    minutes, rest = divmod(max(0, seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def outcome_of(run: Import) -> str:
    if run.finished_at is None:
        return _("%(done)s of %(total)s") % {"done": run.ratings_done, "total": run.total_results or "?"}
    parts = [(run.added, _("%d added")), (run.changed, _("%d changed")), (run.removed, _("%d removed"))]
    parts += [
        (run.failed, _("%d without details")),
        (run.left_out, _("%d left out")),
        (run.out_of_reach, _("%d out of reach")),
    ]
    return ", ".join(text % number for number, text in parts if number) or _("nothing new")


def names_of(run: Import) -> SafeString | str:
    """The films that an import names, each a link."""
    words = {"overridden": _("changed at TMDb"), "left_out": _("left out"), "failed": _("without details")}
    named = [
        (reverse("admin:movies_movie_change", args=[movie_id]), what.get("title") or movie_id, text)
        for kind, text in words.items()
        for movie_id, what in list(run.names.get(kind, {}).items())[:NAMED]
    ]
    return format_html_join("", '<div><a href="{}">{}</a>: {}</div>', named) or NOTHING


@admin.display(description=gettext_lazy("latest imports"))
def imports_of_person(person: User) -> SafeString | str:
    """With how long each took, and what failed by name."""
    rows = [
        (when(run.started_at), state_of(run), duration_of(run), outcome_of(run), reason_of(run), names_of(run))
        for run in person.imports.order_by("-pk")[:10]
    ]
    return render_to_string("ratings/office/imports.html", {"rows": rows}) if rows else _("none yet")


@admin.display(description=gettext_lazy("ratings"))
def ratings_link(owner: User | Movie) -> SafeString:
    name = "admin:ratings_of_person" if isinstance(owner, User) else "admin:ratings_of_film"
    return format_html('<a href="{}">{}</a>', reverse(name, args=[owner.pk]), _("all ratings"))


for model, columns in ((User, (ratings_link, imports_of_person)), (Movie, (ratings_link,))):
    office: Any = admin.site.get_model_admin(model)  # whatever else it is, it has these two
    office.readonly_fields = (*office.readonly_fields, *columns)
    office.fieldsets = [*office.fieldsets, (gettext_lazy("Ratings"), {"fields": columns})]


# --- Builds of recommendations

STEPS = {  # what Build.progress begins with
    "reading": gettext_lazy("reading the ratings"),
    "counting": gettext_lazy("counting what was rated together"),
    "weighing": gettext_lazy("weighing films against each other"),
    "writing": gettext_lazy("writing neighbours"),
    "switching": gettext_lazy("switching over"),
}
ERRORS = {
    "stopped": gettext_lazy("was told to stop"),
    "died": gettext_lazy("ended without a word: killed, or the machine went down"),
}
ASKERS = {
    training_process.CLOCK: gettext_lazy("the clock"),
    training_process.COMMAND_LINE: gettext_lazy("the command line"),
}
SOON = 30  # seconds in which a build that was asked for is begun, and is not asked for twice


class BuildStateFilter(admin.SimpleListFilter):
    title, parameter_name = gettext_lazy("state"), "state"

    def lookups(self, request: WSGIRequest, model_admin: BuildAdmin) -> list[tuple[str, str]]:
        return [("running", _("running")), ("failed", _("failed")), ("done", _("done"))]

    def queryset(self, request: WSGIRequest, builds: BuildQuerySet) -> BuildQuerySet:
        alive = training_process.at_work()
        if self.value() == "running":
            return builds.filter(pk=alive.pk) if alive else builds.none()
        if self.value() == "failed":
            return builds.filter(failed(alive))
        return builds.filter(finished_at__isnull=False) if self.value() == "done" else builds


@admin.register(Build)
class BuildAdmin(admin.ModelAdmin):
    list_display = (
        "id", "state", "started", "duration", "people_learned_from", "ratings_learned_from", "films", "neighbours",
        "asked", "remark",
    )  # fmt: skip
    list_filter = (BuildStateFilter,)
    ordering = ("-id",)
    sortable_by = ("id",)
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    change_list_template = "ratings/office/builds.html"
    fieldsets = [
        (None, {"fields": ("state", "remark", "started", "finished", "duration", "asked")}),
        (
            gettext_lazy("What came of it"),
            {
                "fields": (
                    "films",
                    "neighbours",
                    "people",
                    "ratings",
                    "archive",
                    "archive_people",
                    "archive_ratings",
                    "order_strength",
                )
            },
        ),
    ]
    has_add_permission = has_change_permission = has_delete_permission = nobody

    def changelist_view(self, request: WSGIRequest, extra_context: None = None) -> TemplateResponse:
        may_build = request.user.has_perm("ratings.change_build")
        return super().changelist_view(request, {"may_build": may_build, **(extra_context or {})})

    @admin.display(description=gettext_lazy("state"))
    def state(self, build: Build) -> SafeString:
        return state_of_build(build)

    @admin.display(description=gettext_lazy("reason"))
    def remark(self, build: Build) -> str:
        return remark_on(build)

    @admin.display(description=gettext_lazy("started"))
    def started(self, build: Build) -> SafeString:
        return when(build.started_at)

    @admin.display(description=gettext_lazy("finished"))
    def finished(self, build: Build) -> str:
        return when(build.finished_at)

    @admin.display(description=gettext_lazy("took"))
    def duration(self, build: Build) -> str:
        return NOTHING if build.error or is_dead(build) else duration_of(build)

    @admin.display(description=gettext_lazy("asked for by"))
    def asked(self, build: Build) -> str:
        return ASKERS.get(build.asked_by, build.asked_by) or NOTHING

    @admin.display(description=gettext_lazy("people"))
    def people_learned_from(self, build: Build) -> int:
        return own_and_archive(build.people, build.archive_people)

    @admin.display(description=gettext_lazy("ratings"))
    def ratings_learned_from(self, build: Build) -> int:
        return own_and_archive(build.ratings, build.archive_ratings)


def own_and_archive(own: int, archive: int) -> int | str:
    return _("%(own)d + %(archive)d of an archive") % {"own": own, "archive": archive} if archive else own


def failed(alive: Build | None) -> Q:
    """What holds of builds of which nothing came, killed ones among them; `alive` is the one at work, or None."""
    return ~Q(error="") | Q(finished_at=None) & ~Q(pk=alive.pk if alive else None)


def is_dead(build: Build) -> bool:
    """Whether it was killed, and nobody has written that down yet."""
    return build.finished_at is None and not build.error and build != training_process.at_work()


def state_of_build(build: Build) -> SafeString:
    if build.error or is_dead(build):
        return word("bad", _("failed"))
    if build.finished_at:
        return word("good", _("serves")) if build == Build.objects.current() else word("idle", _("done"))
    return word("busy", _("running"))


def remark_on(build: Build) -> str:
    """Why nothing came of it, what it is doing, or when it was found that another was not worth while."""
    if build.error:
        return ERRORS.get(build.error, build.error)
    if is_dead(build):
        return ERRORS["died"]
    if build.finished_at is None:
        return at_what(build)
    if build.checked_at:
        return format_html("{} {}", when(build.checked_at), _("skipped: little had changed"))
    return NOTHING


def at_what(build):
    step, _colon, films = build.progress.partition(":")
    done = re.search(r"(\d+) of (\d+)", films)
    words = str(STEPS.get(step.split(" ")[0], step)) or _("begins")
    return f"{words}: {done[1]} / {done[2]}" if done else words


@page("ratings/builds/now/", "build_now", "ratings.change_build")
def build_now(request: HttpRequest):
    """Have the worker build, however little has changed; the front page then shows how far it is."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    if is_locked(training_process.LEASE) or not cache.add("build_asked_for", 1, SOON):
        messages.warning(request, _("A build is under way already."))
    else:
        async_task("ratings.tasks.build_apart", request.user.get_username(), timeout=training_process.SECONDS)
        messages.success(request, _("The build begins as soon as a worker is free."))
    return redirect("admin:index")


@panel(45, "ratings.view_build", "ratings/office/building.html")
def builds_at_a_glance(request: WSGIRequest) -> dict[str, str | bool | None]:
    current, shown = Build.objects.current(), training_process.at_work()
    done = re.search(r"(\d+) of (\d+)", shown.progress) if shown else None
    return {
        "id": "builds",
        "title": _("Recommendations"),
        "url": reverse("admin:ratings_build_changelist"),
        "current": current,
        "ago": current and ago(current.finished_at),
        "took": current and duration_of(current),
        "running": shown and at_what(shown),
        "progress": done and progress(int(done[1]), int(done[2]), at_what(shown)),
        "may_build": request.user.has_perm("ratings.change_build"),
    }


@failures("ratings.view_build")
def failed_builds() -> list[tuple[str, str, int, str] | Any]:
    url = f"{reverse('admin:ratings_build_changelist')}?state=failed"
    lately = Build.objects.filter(failed(training_process.at_work()), started_at__gt=int(time.time()) - DAY)
    return [(_("build"), remark_on(build), 1, url) for build in lately.order_by("-pk")[:8]]


# --- The front page


@panel(40, "ratings.view_import", "ratings/office/running.html")
def imports_at_a_glance(request: WSGIRequest) -> dict[str, str | int | list[dict[str, str | int | SafeString]]]:
    url = reverse("admin:ratings_import_changelist")
    running = list(Import.objects.running().order_by("started_at")[:51])
    shown = [
        {
            "url": reverse("admin:ratings_import_change", args=[run.pk]),
            "person": run.user_id,
            "outcome": outcome_of(run),
            "since": ago(run.started_at),
            "trouble": _(run.trouble) if run.trouble_since and run.trouble else "",
            "progress": progress(
                run.ratings_done + run.films_done, run.total_results + run.films_total, outcome_of(run)
            ),
        }
        for run in running[:8]
    ]
    return {
        "id": "imports",
        "title": _("Imports running"),
        "url": f"{url}?state=running",
        "number": "50+" if len(running) > 50 else len(running),
        "running": shown,
        "latest_url": f"{url}?ended=day",
    }


@failures("ratings.view_import")
def failed_imports() -> list[tuple[str, str, int, str] | Any]:
    since = int(time.time()) - DAY
    url = f"{reverse('admin:ratings_import_changelist')}?state=failed&ended=day"
    causes = {}
    for error in Import.objects.filter(finished_at__gt=since).exclude(error="").values_list("error", flat=True)[:1000]:
        causes[error] = causes.get(error, 0) + 1
    return [(_("import"), _(cause), number, url) for cause, number in causes.items()]
