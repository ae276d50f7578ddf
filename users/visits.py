"""Who writes to the bot: their names, when they came first and last, and who is banned.

What an update tells is written only where it says something new, and `last_seen_at` once an hour: a person's cards cost
no write each. It is written after the update has been handled, so that nobody waits for it.
"""

import logging
import re
import threading
import time
from contextlib import suppress
from typing import Any

from django.db import DatabaseError
from django.db.models import Q
from django.utils.translation import get_language
from telebot import types

from config.bot.router import deep_links
from config.bot.validation import is_anonymous
from config.lock_order import update_rows
from users.models import User, UserQuerySet, names_of

log = logging.getLogger(__name__)

LAST_SEEN_STEP_SECONDS = 3600
BANS_TTL_SECONDS = 1  # for which a process remembers who is banned
MAX_REMEMBERED = 50_000  # people
OWN_PAYLOADS = re.compile(r"tmdb|help|movie_\d+", re.ASCII)  # of /start, besides those of deep_links
MAX_PAYLOAD_LENGTH = 64  # Telegram's


class Visits:
    """What this process has written of people and knows of bans; another process may write the same once more."""

    def __init__(self) -> None:
        self.written: dict[int, tuple[dict[str, str], float]] = {}  # names, and time.monotonic()
        self.banned: frozenset[int] = frozenset()
        self.bans_valid_until = 0.0
        self.lock = threading.Lock()

    def is_banned(self, sender: dict[str, Any] | None) -> bool:
        """Whether the sender of a raw update is banned; what another process has stored is seen within a second."""
        if time.monotonic() >= self.bans_valid_until:
            self.bans_valid_until = time.monotonic() + BANS_TTL_SECONDS
            with suppress(DatabaseError):
                banned = User.objects.filter(banned_at__isnull=False).order_by().values_list("pk", flat=True)
                self.banned = frozenset(banned)
        return bool(sender) and sender is not None and sender.get("id") in self.banned

    def ban(self, users: UserQuerySet) -> int:
        """Ignore what these people send from now on; returns how many were not banned before."""
        count = update_rows(users.filter(banned_at=None), banned_at=int(time.time()))
        self.forget_bans()
        return count

    def lift_ban(self, users: UserQuerySet) -> int:
        count = update_rows(users.banned(), banned_at=None)
        self.forget_bans()
        return count

    def forget_bans(self) -> None:
        """Read the bans again with the next update."""
        self.bans_valid_until = 0.0

    def record(self, update: types.Update) -> None:
        """Store what the update says of its sender; who writes in private for the first time gets a row."""
        message = update.message
        part = message or update.callback_query or update.inline_query
        if not part or not part.from_user or part.from_user.is_bot or (message and is_anonymous(message)):
            return
        names, now = names_of(part.from_user.username, part.from_user.first_name), time.monotonic()
        known, written_at = self.written.get(part.from_user.id, ({}, 0.0))
        payload = came_by(message)
        if known == names and now - written_at < LAST_SEEN_STEP_SECONDS and not payload:
            return
        try:
            may_create = message is not None and message.chat.type == "private"
            if not _write(part.from_user.id, names, payload, may_create):
                return
        except DatabaseError as error:
            log.warning("a visit could not be stored: %s", error)
            return
        with self.lock:
            if len(self.written) >= MAX_REMEMBERED:
                self.written.clear()
            self.written[part.from_user.id] = (names, now)

    def forget(self, user_id: int) -> None:
        with self.lock:
            self.written.pop(user_id, None)


visits = Visits()


def _write(user_id: int, names: dict[str, str], payload: str, may_create: bool) -> bool:
    """Write what is new of a person; returns whether they have a row, as far as that is known."""
    now = int(time.time())
    row = User.objects.filter(pk=user_id)
    stale = Q(last_seen_at=None) | ~Q(last_seen_at__gt=now - LAST_SEEN_STEP_SECONDS, last_seen_at__lte=now)
    is_new = stale | ~Q(username=names["username"]) | ~Q(first_name=names["first_name"])
    known = bool(row.filter(is_new).update(last_seen_at=now, **names))
    if not known and may_create:
        seen = {"first_seen_at": now, "last_seen_at": now, "language": get_language(), **names}
        User.objects.bulk_create([User(pk=user_id, **seen)], ignore_conflicts=True)
        known = True
    if payload:
        row.filter(came_by="").update(came_by=payload)
    return known


def came_by(message: types.Message | None) -> str:
    """The payload of a /start that is none of ours: of an advertisement, or of whoever passed the link on."""
    if not message or message.chat.type != "private":
        return ""
    found = re.fullmatch(r"/start(?:@\w+)?\s+(\S+)\s*", message.text or "", re.ASCII)
    payload = found[1][:MAX_PAYLOAD_LENGTH] if found else ""
    is_own = OWN_PAYLOADS.fullmatch(payload) or payload.partition("_")[0] in deep_links
    return "" if is_own else payload
