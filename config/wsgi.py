"""The web server's door to Django: `gunicorn` finds it by gunicorn.conf.py."""

import io
import os
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django = get_wsgi_application()

from config.bot import views  # noqa: E402 it needs the settings


def measured(environ: WSGIEnvironment) -> WSGIEnvironment:
    """A delivery that comes in chunks, as a proxy may pass it on, with a length: Django reads nothing without one."""
    body = environ["wsgi.input"].read(views.LONGEST_UPDATE + 1)
    return {**environ, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Django's, which here reads a delivery to the webhook that comes in chunks, and answers HEAD without a body.

    Django leaves the latter to the server, and gunicorn logs a warning for each: uptime monitors ask so.
    """
    chunked = "HTTP_TRANSFER_ENCODING" in environ and environ.get("wsgi.input_terminated")
    ours = chunked and environ["PATH_INFO"] == views.WEBHOOK
    if ours and views.is_telegram(environ.get("HTTP_X_TELEGRAM_BOT_API_SECRET_TOKEN", "")):
        environ = measured(environ)
    response = django(environ, start_response)
    if environ["REQUEST_METHOD"] == "HEAD":
        response.close()
        return []
    return response
