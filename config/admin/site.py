"""The admin site: Django's admin with a dashboard on its front page and pages of our own.

An app's admin.py registers what it knows: `@dashboard_widget` a part of the front page, `@failures` causes for the
list of failures, `@page` a page behind them. Each is shown to those who have the permission that it names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Any, ClassVar, NamedTuple, TypeVar

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path
from django.urls.resolvers import URLPattern, URLResolver
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from django.views.i18n import set_language

from config import __version__
from config.admin import login_throttle
from config.admin.formatting import EMPTY, to_datetime
from config.models import BulkAction

MAX_RECENT = 8  # actions on the front page
APP_ORDER = ("users", "movies", "ratings", "django_q", "auth")  # on the front page: the daily pages first

# Django's own texts that our catalogue puts another way: its Russian would need the names in the accusative
OVERRIDDEN_TEXTS = [gettext_noop("Add %s"), gettext_noop("Change %s")]


@dataclass(kw_only=True)
class Widget:
    """A part of the front page, which its `template` draws: a subclass adds what the template needs, as `widget`."""

    template: ClassVar[str]
    id: str
    title: str
    url: str = ""


class Failure(NamedTuple):
    """A cause of failures within the last day; `kind` says in one word what failed."""

    kind: str
    cause: str
    number: int
    url: str


WidgetSource = TypeVar("WidgetSource", bound=Callable[[HttpRequest], Widget])
FailureSource = TypeVar("FailureSource", bound=Callable[[], Iterable[Failure]])
View = TypeVar("View", bound=Callable[..., HttpResponseBase])

widget_sources: list[tuple[int, str, Callable[[HttpRequest], Widget]]] = []
failure_sources: list[tuple[str, Callable[[], Iterable[Failure]]]] = []
pages: list[URLPattern] = []


def dashboard_widget(order: int, permission: str) -> Callable[[WidgetSource], WidgetSource]:
    """Show the widget that the function below returns on the front page, in ascending `order`."""

    def register(source: WidgetSource) -> WidgetSource:
        widget_sources.append((order, permission, source))
        return source

    return register


def failures(permission: str) -> Callable[[FailureSource], FailureSource]:
    """List the failures of the last day that the function below returns."""

    def register(source: FailureSource) -> FailureSource:
        failure_sources.append((permission, source))
        return source

    return register


def page(route: str, name: str, permission: str) -> Callable[[View], View]:
    """Serve the view below at /admin/<route>, as admin:<name>."""

    def register(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, **values: Any) -> HttpResponseBase:
            if not request.user.has_perm(permission):
                raise PermissionDenied
            return view(request, **values)

        pages.append(path(route, admin.site.admin_view(guarded), name=name))
        return view

    return register


def render_page(request: HttpRequest, template: str, title: str, status: int = 200, **context: Any) -> TemplateResponse:
    """A page of our own inside the admin."""
    context = {**admin.site.each_context(request), "title": title, **context}
    return TemplateResponse(request, template, context, status=status)


def login_refused(request: HttpRequest, wait: int) -> TemplateResponse:
    minutes = login_throttle.minutes(wait)
    page = render_page(
        request, "config/login_locked.html", _("Too many attempts"), HTTPStatus.TOO_MANY_REQUESTS, minutes=minutes
    )
    page.headers["Retry-After"] = str(wait)
    return page


class KinotekaAdminSite(admin.AdminSite):
    site_header = site_title = gettext_lazy("Kinoteka")
    index_title = gettext_lazy("At a glance")
    index_template = "config/front_page.html"
    site_url = None
    empty_value_display = EMPTY

    def get_urls(self) -> list[URLPattern | URLResolver]:
        dashboard = path("dashboard/", self.admin_view(self.dashboard), name="dashboard")
        language = path("language/", set_language, name="set_language")
        return [dashboard, language, *pages, *super().get_urls()]

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        apps = {app["app_label"]: app for app in super().get_app_list(request, app_label)}
        for model in apps.pop("config")["models"] if "config" in apps else []:  # next to what they belong to
            home = "auth" if model["object_name"] == "LoginAttempts" else "django_q"
            if home in apps:
                apps[home]["models"].append(model)
        return sorted(apps.values(), key=lambda app: (*APP_ORDER, app["app_label"]).index(app["app_label"]))

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().each_context(request), "version": __version__}

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Django's login, throttled."""
        if request.method != "POST":
            return super().login(request, extra_context)
        attempt = login_throttle.Attempt.of(request)
        if wait := attempt.begin():
            return login_refused(request, wait)
        response = super().login(request, extra_context)
        if response.status_code == HTTPStatus.FOUND:
            attempt.succeeded(response)
        else:
            attempt.failed()
        return response

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        recent = LogEntry.objects.select_related("user", "content_type").order_by("-action_time")
        may_see_all = request.user.has_perm("users.change_user")  # operators see what others have done
        recent = (recent if may_see_all else recent.filter(user__username=request.user.get_username()))[:MAX_RECENT]
        context = {**self.dashboard_context(request), "recent": recent, **(extra_context or {})}
        return super().index(request, context)

    def dashboard(self, request: HttpRequest) -> TemplateResponse:
        """The front page's widgets without the page, for the script that refreshes them."""
        return TemplateResponse(request, "config/dashboard_widgets.html", self.dashboard_context(request))

    def dashboard_context(self, request: HttpRequest) -> dict[str, Any]:
        """The widgets that this member of staff may see."""
        shown = [
            source(request)
            for _order, permission, source in sorted(widget_sources, key=lambda entry: entry[0])
            if request.user.has_perm(permission)
        ]
        running = [
            (bulk, _(bulk.title))
            for bulk in BulkAction.objects.filter(finished_at=None, is_ready=True).order_by("-pk")[:MAX_RECENT]
            if request.user.has_perm("{}.change_{}".format(*bulk.model.lower().split(".")))
        ]
        return {"widgets": shown, "running": running, "refreshed_at": to_datetime(time.time())}
