"""The back office: Django's admin with a front page of panels and pages of our own.

An app's admin.py brings what it knows: `@panel` a part of the front page, `@failures` causes for its list of failures,
`@page` a page behind them. Each is shown to who has the permission it names.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.i18n import set_language

from config.admin import login_throttle

if TYPE_CHECKING:
    from django.core.handlers.wsgi import WSGIRequest
    from django.http import HttpRequest
    from django.http.response import HttpResponseRedirect
    from django.urls.resolvers import URLPattern, URLResolver
    from django.utils.safestring import SafeString

NOTHING = "—"
panels: list = []
failure_sources: list = []
pages: list = []


def panel(order: int, permission: str, template: str) -> Callable:
    """Show what the function below finds out, drawn by the template, on the front page."""

    def register(figures):
        panels.append((order, permission, template, figures))
        return figures

    return register


def failures(permission: str) -> Callable:
    """List failures of the last day, which the function below yields as (what, cause, how often, address)."""

    def register(source):
        failure_sources.append((permission, source))
        return source

    return register


def page(route: str, name: str, permission: str) -> Callable:
    """Serve the view below at /admin/<route>, for who has the permission."""

    def register(view):
        @wraps(view)
        def guarded(request: HttpRequest, **values: Any):
            if not request.user.has_perm(permission):
                raise PermissionDenied
            return view(request, **values)

        pages.append((route, guarded, name))
        return view

    return register


def show(request: WSGIRequest, template: str, title: str, status: int = 200, **context: Any) -> TemplateResponse:
    """A page of ours inside the admin."""
    context = {**admin.site.each_context(request), "title": title, **context}
    return TemplateResponse(request, template, context, status=status)


class BackOffice(admin.AdminSite):
    site_header = site_title = gettext_lazy("Kinoteka")
    index_title = gettext_lazy("At a glance")
    index_template = "config/front_page.html"
    site_url = None
    empty_value_display = NOTHING

    def get_urls(self) -> list[URLPattern | URLResolver]:
        ours = [path(route, self.admin_view(view), name=name) for route, view, name in pages]
        figures = path("figures/", self.admin_view(self.figures), name="figures")
        language = path("language/", set_language, name="set_language")
        return [figures, language, *ours, *super().get_urls()]

    def login(self, request: WSGIRequest, extra_context: None = None) -> HttpResponseRedirect | TemplateResponse:
        """Django's, but who keeps guessing has to wait."""
        if request.method == "POST" and login_throttle.too_many(request):
            return show(request, "config/locked.html", _("Too many attempts"), status=429)
        return super().login(request, extra_context)

    def index(self, request: WSGIRequest, extra_context: None = None) -> TemplateResponse:
        return super().index(request, {**self.glance(request), **(extra_context or {})})

    def figures(self, request: WSGIRequest) -> TemplateResponse:
        """The front page's panels alone, for the script that keeps them fresh."""
        return TemplateResponse(request, "config/figures.html", self.glance(request))

    def glance(self, request: HttpRequest):
        """What this person may see, as it is now."""
        shown = [
            {"template": template, **figures(request)}
            for _order, permission, template, figures in sorted(panels, key=lambda one: one[0])
            if request.user.has_perm(permission)
        ]
        return {"panels": shown, "fresh_at": moment(time.time())}


# --- How things are said


def moment(seconds: float | int | None) -> datetime | None:
    """A UNIX time as the admin shows times, in the viewer's zone; None where there is none."""
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def when(seconds: int | None) -> SafeString | str:
    """A UNIX time in words, for lists and pages."""
    at = moment(seconds)
    return format_html('<time datetime="{}">{}</time>', at.isoformat(), clock(at)) if at else NOTHING


def clock(at: datetime) -> str:
    return formats.date_format(timezone.localtime(at), "j E Y, H:i")


def ago(seconds: float | int) -> str:
    """How long ago a UNIX time was, in one short word."""
    age = max(0, int(time.time() - seconds))
    for unit, words in ((86_400, _("%d days ago")), (3600, _("%d h ago")), (60, _("%d min ago"))):
        if age >= 2 * unit:
            return words % (age // unit)
    return _("%d s ago") % age


def word(tone: str, text: str) -> SafeString:
    """A state as a coloured word: tone is good, busy, bad or idle."""
    return format_html('<span class="state {}">{}</span>', tone, text)


def size(number: int) -> str:
    """Bytes for people."""
    for unit in ("B", "KB", "MB", "GB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if number >= 10 or unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TB"


# --- Lists and their actions


def nobody(*anything: Any) -> bool:
    """No permission for anyone: what comes from TMDb and Telegram is not edited here."""
    return False


def back(request: WSGIRequest, page_of_one: str) -> HttpResponseRedirect | None:
    """Where an action leads: to the page of the one row whose own button was pressed, else to the list."""
    chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)
    return redirect(page_of_one, chosen[0]) if "from_page" in request.POST and len(chosen) == 1 else None
