"""The web server's door to Django: `gunicorn` finds it by gunicorn.conf.py."""

import io
import os
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django = get_wsgi_application()

from config.bot import flood_control, views, webhook  # noqa: E402 they need the settings


def measured(environ: WSGIEnvironment) -> WSGIEnvironment:
    """A delivery that comes in chunks, as a proxy may pass it on, with a length: Django reads nothing without one."""
    body = environ["wsgi.input"].read(views.LONGEST_UPDATE + 1)
    return {**environ, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Django's, except that a flood by webhook is declined before all that Django does for a request."""
    chunked = "HTTP_TRANSFER_ENCODING" in environ and environ.get("wsgi.input_terminated")
    if not (chunked or flood_control.is_any()) or environ["PATH_INFO"] != views.WEBHOOK:
        return django(environ, start_response)
    if not views.is_telegram(environ.get("HTTP_X_TELEGRAM_BOT_API_SECRET_TOKEN", "")):
        return django(environ, start_response)
    if chunked:
        environ = measured(environ)
    length = environ.get("CONTENT_LENGTH") or "0"
    if not flood_control.is_any() or not length.isdigit():
        return django(environ, start_response)
    if not 0 < int(length) <= views.LONGEST_UPDATE:
        return django(environ, start_response)
    body = environ["wsgi.input"].read(int(length))
    update = views.update_in(body)
    if update is None or not flood_control.is_on(update):
        return django({**environ, "wsgi.input": io.BytesIO(body)}, start_response)
    reply = webhook.decline(update).encode()
    kind = "application/json" if reply else "text/plain"
    start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(reply)))])
    return [reply]
