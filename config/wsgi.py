"""The web server's door to Django: `gunicorn` finds it by gunicorn.conf.py."""

import io
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django = get_wsgi_application()

from config import flood, views, webhook  # noqa: E402 they need the settings


def application(environ, start_response):
    """Django's, except that a flood by webhook is declined before all that Django does for a request."""
    if not flood.is_any() or environ["PATH_INFO"] != views.WEBHOOK:
        return django(environ, start_response)
    length = environ.get("CONTENT_LENGTH") or "0"
    if not views.is_telegram(environ.get("HTTP_X_TELEGRAM_BOT_API_SECRET_TOKEN", "")) or not length.isdigit():
        return django(environ, start_response)
    if not 0 < int(length) <= views.LONGEST_UPDATE:
        return django(environ, start_response)
    body = environ["wsgi.input"].read(int(length))
    update = views.update_in(body)
    if update is None or not flood.is_on(update):
        return django({**environ, "wsgi.input": io.BytesIO(body)}, start_response)
    reply = webhook.decline(update).encode()
    kind = "application/json" if reply else "text/plain"
    start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(reply)))])
    return [reply]
