"""The back office: Django's admin with a front page of panels and pages of our own.

An app's admin.py brings what it knows: `@panel` a part of the front page, `@failures` causes for its list of failures,
`@page` a page behind them. Each is shown to who has the permission it names.
"""

import time

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.translation import gettext_lazy as _
from django.views.i18n import set_language

panels = []
failure_sources = []
pages = []


def panel(order, permission, template):
    """Show what the function below finds out, drawn by the template, on the front page."""

    def register(figures):
        panels.append((order, permission, template, figures))
        return figures

    return register


def failures(permission):
    """List the failures of the last day that the function below yields: (what failed, cause, how often, address)."""

    def register(source):
        failure_sources.append((permission, source))
        return source

    return register


def page(route, name, permission):
    """Serve the view below at /admin/<route>, for who has the permission."""

    def register(view):
        def guarded(request, **route_values):
            if not request.user.has_perm(permission):
                raise PermissionDenied
            return view(request, **route_values)

        pages.append(lambda site: path(route, site.admin_view(guarded), name=name))
        return view

    return register


class BackOffice(admin.AdminSite):
    site_header = site_title = _("Kinoteka")
    index_title = _("At a glance")
    index_template = "config/front_page.html"
    empty_value_display = "—"

    def get_urls(self):
        ours = [made(self) for made in pages]
        figures = path("figures/", self.admin_view(self.figures), name="figures")
        language = path("language/", set_language, name="set_language")
        return [figures, language, *ours, *super().get_urls()]

    def index(self, request, extra_context=None):
        return super().index(request, {**self.glance(request), **(extra_context or {})})

    def figures(self, request):
        """The front page's panels alone, for the script that keeps them fresh."""
        return TemplateResponse(request, "config/figures.html", self.glance(request))

    def glance(self, request):
        """What this person may see, as it is now."""
        shown = []
        for _order, permission, template, figures in sorted(panels, key=lambda one: one[0]):
            if request.user.has_perm(permission):
                shown.append({"template": template, **figures(request)})
        return {"panels": shown, "fresh_at": time.time()}
