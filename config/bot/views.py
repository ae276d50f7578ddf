"""The webhook: where Telegram delivers updates. Each is stored and answered at once; config.bot.engine handles it."""

import json
import logging

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from config.bot.engine import engine
from config.bot.update_queue import RawUpdate, is_update
from config.monitoring import heartbeats
from config.monitoring.secret import check_token

log = logging.getLogger(__name__)

WEBHOOK = "/telegram/webhook/"
LONGEST_UPDATE = 2**20  # bytes; Telegram's are a few thousand


@csrf_exempt
@require_POST
def telegram_webhook(request: HttpRequest) -> HttpResponse:
    """Take an update from Telegram. 200 once it is stored, whatever becomes of it; 503 where it could not be."""
    if not is_telegram(request.headers.get("X-Telegram-Bot-Api-Secret-Token", "")):
        return HttpResponseForbidden("Not Telegram.", content_type="text/plain")
    if "Transfer-Encoding" in request.headers and not request.META.get("CONTENT_LENGTH"):
        return HttpResponse(status=411)  # this server cannot tell where the body ends; config.wsgi asks gunicorn
    if int(request.META.get("CONTENT_LENGTH") or 0) > LONGEST_UPDATE:
        log.warning("an update of %s bytes is left unread", request.META["CONTENT_LENGTH"])
        return HttpResponse()
    update = update_in(request.body)
    if update is None:
        log.warning("what came by webhook is no update")
        return HttpResponse()
    try:
        engine().store([(update, request.body.decode())])
    except DatabaseFailure:
        log.exception("update %s cannot be stored now; Telegram will send it again", update["update_id"])
        return HttpResponse(status=503)
    heartbeats.record_heartbeat("bot", heartbeats.HOST, "answers Telegram's webhook")
    return HttpResponse(content_type="text/plain")


def is_telegram(given: str) -> bool:
    """Whether who sends this secret is Telegram."""
    return check_token(given, settings.TELEGRAM_WEBHOOK_SECRET)


def update_in(body: bytes) -> RawUpdate | None:
    """The raw update in the body of a delivery; None where there is none."""
    try:
        update = json.loads(body.decode())
    except (ValueError, RecursionError):  # the latter: brackets a hundred thousand deep
        return None
    return update if is_update(update) else None
