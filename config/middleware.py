"""Middleware: request ids in logs, the paths that programs ask for, the security policy and the viewer's time zone."""

from __future__ import annotations

import re
import secrets
import zoneinfo
from collections.abc import Callable
from contextlib import suppress

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from config.bot import views as webhook_views
from config.monitoring import views
from config.monitoring.logs import correlation_id

GetResponse = Callable[[HttpRequest], HttpResponse]

PROGRAM_PATHS: dict[str, GetResponse] = {
    webhook_views.WEBHOOK: webhook_views.telegram_webhook,
    "/healthz": views.healthz,
    "/readyz": views.readyz,
    "/metrics": views.metrics,
}

# Pages load everything from this server, without inline scripts, inline styles or eval.
CONTENT_SECURITY_POLICY = "; ".join(
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


def request_id(get_response: GetResponse) -> GetResponse:
    """Log everything about a request under its id: the proxy's X-Request-ID, or one of our own."""

    def middleware(request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        with correlation_id(given if re.fullmatch(r"[\w.-]{1,64}", given, re.ASCII) else f"r{secrets.token_hex(6)}"):
            return get_response(request)

    return middleware


def answer_programs(get_response: GetResponse) -> GetResponse:
    """Answer webhooks and probes before the middleware for browsers, which costs as much as an update itself.

    ALLOWED_HOSTS is not checked: probes and proxies inside the network do not send the public name.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        view = PROGRAM_PATHS.get(request.path_info)
        if view is None:
            return get_response(request)
        response = view(request)
        response.headers["Content-Length"] = str(len(response.content))
        return response

    return middleware


def content_security_policy(get_response: GetResponse) -> GetResponse:
    """Forbid browsers to run or load anything that this server does not serve."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        return response

    return middleware


def viewers_time_zone(get_response: GetResponse) -> GetResponse:
    """Show times in the time zone of the browser, which admin.js stores in a cookie."""

    def middleware(request: HttpRequest) -> HttpResponse:
        zone = None
        with suppress(KeyError, ValueError, OSError):  # no cookie, not a zone's name, unknown on this machine
            zone = zoneinfo.ZoneInfo(request.COOKIES["timezone"])
        with timezone.override(zone):
            return get_response(request)

    return middleware
