"""What other programs ask of the web server: is it alive, is it ready, its metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from config.monitoring import health, prometheus
from config.monitoring.secret import check_token

if TYPE_CHECKING:
    from django.http import HttpRequest


@require_safe
def healthz(request: HttpRequest):
    """Whether this process lives."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest):
    """Whether everything is there that the system needs: 503 and what is missing, where it is not."""
    ready, findings = health.check()
    return JsonResponse(findings, status=200 if ready else 503)


@require_safe
def metrics(request: HttpRequest):
    """All counts and states in Prometheus' format, for who has METRICS_TOKEN."""
    if not settings.METRICS_TOKEN:
        return HttpResponse("METRICS_TOKEN is not set.\n", status=404, content_type="text/plain")
    if not check_token(request.headers.get("Authorization", ""), settings.METRICS_TOKEN, scheme="Bearer "):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    try:
        return HttpResponse(prometheus.render(), content_type=prometheus.METRICS_TYPE)
    except DatabaseError as error:
        return HttpResponse(f"The database is away ({type(error).__name__}).\n", status=503, content_type="text/plain")
