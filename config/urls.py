from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.csrf import requires_csrf_token

from config.bot import views
from config.monitoring.logs import current_correlation_id

urlpatterns = [
    path("admin/", admin.site.urls),
    path(views.WEBHOOK.lstrip("/"), views.telegram_webhook, name="webhook"),
]


@requires_csrf_token
def handler500(request: HttpRequest) -> HttpResponse:
    """The page of an error, with the id under which it is in the log."""
    return render(None, "500.html", {"id": current_correlation_id()}, status=500)  # type: ignore[arg-type]
