"""What every answer to a browser carries, in whose time zone it speaks, and what other programs ask of the server."""

from __future__ import annotations

import re
import secrets
import zoneinfo
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from django.utils import timezone

from config.bot import views as webhook_views
from config.monitoring import views
from config.monitoring.logs import correlation_id

if TYPE_CHECKING:
    from django.http import HttpRequest

# What programs ask for
DIRECT = {
    webhook_views.WEBHOOK: webhook_views.telegram_webhook,
    "/healthz": views.healthz,
    "/readyz": views.readyz,
    "/metrics": views.metrics,
}

# Everything a page of ours uses comes from this server: no inline script, no inline style, no eval.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # the admin's icons are drawn in its stylesheets
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)


def request_id(get_response: Callable) -> Callable:
    """Have all that is logged for a request carry its id: that of the proxy before us, or one of ours."""

    def answer(request: HttpRequest):
        given = request.headers.get("X-Request-ID", "")
        with correlation_id(given if re.fullmatch(r"[\w.-]{1,64}", given, re.ASCII) else f"r{secrets.token_hex(6)}"):
            return get_response(request)

    return answer


def direct(get_response: Callable) -> Callable:
    """Answer programs past all that is for browsers, which would cost an update as much again.

    Whatever host they ask for: probes and proxies come from within, where nobody knows ALLOWED_HOSTS.
    """

    def answer(request: HttpRequest):
        view = DIRECT.get(request.path_info)
        if view is None:
            return get_response(request)
        response = view(request)
        response.headers["Content-Length"] = str(len(response.content))
        return response

    return answer


def content_security_policy(get_response: Callable) -> Callable:
    """Let browsers run and load nothing but what this server gives."""

    def answer(request: HttpRequest):
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    return answer


def viewers_time_zone(get_response: Callable) -> Callable:
    """Show times in the zone of the browser, which backoffice.js tells in a cookie."""

    def answer(request: HttpRequest):
        zone = None
        with suppress(KeyError, ValueError, OSError):  # none yet, no zone's name, not known on this machine
            zone = zoneinfo.ZoneInfo(request.COOKIES["timezone"])
        with timezone.override(zone):
            return get_response(request)

    return answer
