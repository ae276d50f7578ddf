"""Tells the operator, in the chat OPERATOR_CHAT_ID, what has gone wrong and when it is over.

Every process that handles updates looks once a minute, and so does a job: whichever of the bot and the clusters is
silent, another one notices. One of them looks at a time. A cause is told at most once an hour, and its end once if its
beginning was told. The table `alerts` holds what goes on now.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connections
from django.db.models import Q, Sum
from django.utils import translation
from django.utils.translation import gettext as _
from telebot.apihelper import ApiException

from config.bot.client import TelegramUnavailable, max_retry_wait
from config.jobs import rate_limiter
from config.models import Alert, MetricCount
from config.monitoring import disk, health, webhook

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 60
REPEAT_SECONDS = 3600  # between two messages of one cause
WINDOW_SECONDS = 600  # in which failures are counted
MAX_FAILURES = 10  # within the window; more are an alert
GRACE_SECONDS = 180  # after the start of this process, for components that have never been seen
MAX_TEXT_LENGTH = 3000

Causes = dict[str, str]  # {cause: what is wrong, in a sentence}
_began_at = time.monotonic()


def look() -> None:
    """Look for causes, unless another process has done so within the last minute; tell what is new and what is over."""
    if rate_limiter.try_acquire("alerts", 1 / INTERVAL_SECONDS):
        return
    webhook.refresh()
    if not settings.OPERATOR_CHAT_ID:
        return
    with translation.override(settings.LANGUAGE_CODE):
        tell(find_causes())


def find_causes() -> Causes:
    """What is wrong now; a source that fails itself is logged and says nothing."""
    found: Causes = {}
    for source in SOURCES:
        try:
            found |= dict(source())
        except (DatabaseError, OSError) as error:
            log.warning("%s could not be looked at: %s", source.__name__, error)
    return found


def silent_components() -> Iterable[tuple[str, str]]:
    fresh = time.monotonic() < _began_at + GRACE_SECONDS
    for component, heartbeat in health.check_heartbeats().items():
        age = heartbeat["age_seconds"]
        if heartbeat["stale"] and not (age is None and fresh):
            since = _("never seen") if age is None else _("for %d s") % age
            yield (
                f"silent:{component}",
                _("%(component)s is silent: %(since)s") % {"component": component, "since": since},
            )


def webhook_errors() -> Iterable[tuple[str, str]]:
    for problem in webhook.problems(webhook.known()):
        yield f"webhook:{problem.kind}", problem.text


def refusals() -> Iterable[tuple[str, str]]:
    """A channel that refuses posters, TMDb's key."""
    for name, _number in recent("failed:channels:", "failed:tmdb_key:"):
        _prefix, kind, why = name.split(":", 2)
        yield f"{kind}:{why}", why


def full_disk() -> Iterable[tuple[str, str]]:
    for path, free, total in disk.nearly_full():
        megabytes = {"path": path, "free": free // 2**20, "total": total // 2**20}
        yield f"disk:{path}", _("The disk of %(path)s is nearly full: %(free)d of %(total)d MB are free") % megabytes


def many_failures() -> Iterable[tuple[str, str]]:
    titles = {"updates": _("updates failed"), "jobs": _("jobs failed")}
    counted = dict(recent("updates.failed", "jobs.failed"))
    for kind, title in titles.items():
        if (number := counted.get(f"{kind}.failed", 0)) >= MAX_FAILURES:
            yield f"failures:{kind}", _("In ten minutes: %(number)d %(what)s") % {"number": number, "what": title}


SOURCES: list[Callable[[], Iterable[tuple[str, str]]]] = [
    silent_components, webhook_errors, refusals, full_disk, many_failures,
]  # fmt: skip


def recent(*prefixes: str) -> list[tuple[str, int]]:
    """(counter, number) within the window."""
    named = Q()
    for prefix in prefixes:
        named |= Q(name__startswith=prefix)
    since = int(time.time()) - WINDOW_SECONDS
    rows = MetricCount.objects.filter(named, minute__gt=since, minute__lte=int(time.time()))
    return list(rows.values_list("name").annotate(Sum("number")))


# --- What goes on, and who has been told


def tell(causes: Causes) -> None:
    """Send what began, or has gone on for another hour, and what is over."""
    now = int(time.time())
    for cause, text in causes.items():
        row, _created = Alert.objects.get_or_create(cause=cause[:150], defaults={"text": text, "began_at": now})
        alert = Alert.objects.filter(pk=row.pk)
        if not row.is_active:
            alert.update(is_active=True, began_at=now, is_told=False)
        alert.update(text=text)
        due = alert.filter(Q(told_at=None) | Q(told_at__lte=now - REPEAT_SECONDS) | Q(told_at__gt=now + 60))
        if due.update(told_at=now, is_told=True) and not send("⚠️ " + text):
            alert.update(told_at=row.told_at, is_told=row.is_told)
    for row in Alert.objects.filter(is_active=True).exclude(cause__in=[cause[:150] for cause in causes]):
        alert = Alert.objects.filter(pk=row.pk)
        ended = alert.filter(is_active=True).update(is_active=False, is_told=False)
        if ended and row.is_told and not send("✅ " + _("Solved: %s") % row.text):
            alert.filter(is_active=False).update(is_active=True, is_told=True)  # told by the next look
    Alert.objects.filter(is_active=False, told_at__lt=now - 24 * REPEAT_SECONDS).delete()


def send(text: str) -> bool:
    """Whether it was sent, or may have been; that it was not is logged once an hour, as a look comes each minute."""
    from config.bot.router import bot

    try:
        with max_retry_wait(0):
            bot.send_message(settings.OPERATOR_CHAT_ID, text[:MAX_TEXT_LENGTH], parse_mode="")
        return True
    except (ApiException, TelegramUnavailable) as error:
        if not rate_limiter.try_acquire("alerts.unsent", 1 / REPEAT_SECONDS):
            log.warning("the operator could not be told: %s", error)
        return isinstance(error, TelegramUnavailable) and error.sent


# --- In processes that handle updates

_watching = False


def watch() -> None:
    """Look once a minute from now on, in a thread of this process; nothing where nobody is to be told."""
    global _watching
    if _watching or not settings.OPERATOR_CHAT_ID:
        return
    _watching = True
    threading.Thread(target=_watch, daemon=True, name="alerts").start()


def _watch() -> None:
    while True:
        time.sleep(INTERVAL_SECONDS / 2)
        close_old_connections()
        try:
            look()
        except Exception as error:  # the database is away: the next round looks again
            log.warning("what goes wrong could not be looked at: %s", error)
        finally:
            connections.close_all()


def _after_fork() -> None:
    global _watching
    _watching = False


os.register_at_fork(after_in_child=_after_fork)
