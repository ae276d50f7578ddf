"""Stored TMDb sessions under the first of SESSION_ENCRYPTION_KEYS, so that an old key can go.

Everything here may run twice, beside itself and beside the bot and the workers: a row is changed only where it is
still as it was read, and one that cannot be decrypted is never touched.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.fernet import InvalidToken, MultiFernet

from config.jobs.enqueue import async_task
from users.models import OldSession, RequestToken, SessionUnreadable, SyncStatus, User, session_keys

if TYPE_CHECKING:
    from cryptography.fernet import Fernet
    from django.db.models.query import QuerySet

    from users.models import RequestTokenQuerySet, UserQuerySet

# Sessions in this order: a link that ends meanwhile moves its session from the first to the second.
COLUMNS = [(User, "tmdb_session_id"), (OldSession, "session_id"), (RequestToken, "token")]
BATCH = 500  # rows in memory
PASSES = 3  # a pass finds what others wrote under an older key during the one before


@dataclass
class Run:
    """What became of the stored sessions."""

    stop: threading.Event = field(default_factory=threading.Event)
    report: object = None  # called after each row with this Run
    looked_at: int = 0  # in this pass
    renewed: int = 0  # under the first key now, in all passes
    current: int = 0  # under the first key before; this and the rest are of the last pass
    changed: int = 0  # written by somebody else at that very moment
    unreadable: int = 0

    @property
    def over(self) -> bool:
        """Whether nothing is left under an older key that could be read."""
        return not self.stop.is_set() and not self.changed and self.looked_at == self.current + self.unreadable


def count() -> int:
    """How many sessions are stored."""
    return sum(stored(model, column).count() for model, column in COLUMNS)


def reencrypt(run: Run) -> Run:
    """Bring all stored sessions under the first key, in as many passes as that takes, up to PASSES."""
    for _pass in range(PASSES):
        run.looked_at = run.current = run.changed = run.unreadable = 0
        for model, column in COLUMNS:
            look_through(run, model, column)
        if run.over or run.stop.is_set():
            break
    return run


def look_through(run: Run, model: type[RequestToken] | type[OldSession] | type[User], column: str) -> None:
    first, *_older = keys = session_keys()
    cipher = MultiFernet(keys)
    for pk, sealed in batches(model, column):
        if run.stop.is_set():
            return
        run.looked_at += 1
        if reads(first, sealed):
            run.current += 1
        elif not reads(cipher, sealed):
            run.unreadable += 1
        else:
            # where somebody has linked anew meanwhile, what they have written stays
            same = model.objects.filter(**{"pk": pk, column: sealed})
            renewed = same.update(**{column: cipher.rotate(sealed.encode()).decode()})
            run.renewed += renewed
            run.changed += not renewed
        if run.report:
            run.report(run)


def stored(
    model: type[RequestToken] | type[OldSession] | type[User], column: str
) -> UserQuerySet | QuerySet | RequestTokenQuerySet:
    return model.objects.filter(**{f"{column}__gt": ""})


def batches(model: type[RequestToken] | type[OldSession] | type[User], column: str) -> Iterator[tuple[int, str]]:
    """(key, stored session) of every row that has one, a batch in memory at a time."""
    rows = stored(model, column).order_by("pk")
    batch = list(rows.values_list("pk", column)[:BATCH])
    while batch:
        yield from batch
        batch = list(rows.filter(pk__gt=batch[-1][0]).values_list("pk", column)[:BATCH])


def reads(cipher: Fernet | MultiFernet, sealed: str) -> bool:
    try:
        cipher.decrypt(sealed.encode())
    except InvalidToken:
        return False
    return True


def unreadable(most: int):
    """(how many of the newest stored sessions cannot be decrypted, how many were looked at); `most` of each table."""
    cipher = MultiFernet(session_keys())
    found = [
        reads(cipher, sealed)
        for model, column in COLUMNS
        for sealed in stored(model, column).order_by("-pk").values_list(column, flat=True)[:most]
    ]
    return found.count(False), len(found)


def import_again() -> int:
    """Queue whose import failed only because their session could not be decrypted, and can be now; how many."""
    cipher = MultiFernet(session_keys())
    failed = User.objects.filter(sync_status=SyncStatus.FAILED, sync_error=SessionUnreadable.REASON)
    mended = [pk for pk, sealed in failed.values_list("pk", "tmdb_session_id") if reads(cipher, sealed or "")]
    queued = sum(failed.filter(pk=pk).queue_import() for pk in mended)
    if queued:
        async_task("ratings.tasks.import_ratings")
    return queued
