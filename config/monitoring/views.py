"""Views for other programs: liveness, readiness, metrics."""

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from config import __version__
from config.monitoring import health, prometheus
from config.monitoring.secret import check_token


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Whether this process runs, and which version."""
    return HttpResponse(f"ok {__version__}\n", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Whether database, queue and all components work; 503 and what does not, otherwise."""
    readiness = health.check()
    return JsonResponse(readiness, status=200 if readiness["ready"] else 503)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """All metrics in Prometheus' format, for a request with METRICS_TOKEN."""
    if not settings.METRICS_TOKEN:
        return HttpResponse("METRICS_TOKEN is not set.\n", status=404, content_type="text/plain")
    if not check_token(request.headers.get("Authorization", ""), settings.METRICS_TOKEN, scheme="Bearer "):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    try:
        return HttpResponse(prometheus.render(), content_type=prometheus.CONTENT_TYPE)
    except DatabaseError as error:
        return HttpResponse(f"The database is away ({type(error).__name__}).\n", status=503, content_type="text/plain")
