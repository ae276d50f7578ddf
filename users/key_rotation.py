"""Encrypts stored TMDb sessions with the first of SESSION_ENCRYPTION_KEYS, so that older keys can be removed.

It may run twice, and concurrently with itself, the bot and the workers: a row is changed only where it is still as it
was read, and one that cannot be decrypted is never touched.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.db.models import Model, QuerySet

from config.jobs.enqueue import async_task
from users.models import (
    RequestToken,
    SessionToRevoke,
    SessionUnreadable,
    SyncStatus,
    User,
    session_cipher,
    session_keys,
)


class Column(NamedTuple):
    """A column of encrypted texts."""

    model: type[Model]
    name: str

    def rows(self) -> QuerySet[Any]:
        """The rows that hold an encrypted text."""
        return self.model._default_manager.filter(**{f"{self.name}__gt": ""})


# In this order: a link that ends during a pass moves its session from the first to the second.
COLUMNS = [Column(User, "tmdb_session_id"), Column(SessionToRevoke, "session_id"), Column(RequestToken, "token")]
BATCH_SIZE = 500  # rows in memory
MAX_PASSES = 3  # a pass finds what other processes wrote with an older key during the one before


@dataclass
class Run:
    """Progress and result of a rotation; counts are of the last pass but for `rotated`."""

    stop: threading.Event = field(default_factory=threading.Event)
    report: Callable[["Run"], None] | None = None  # called after each row
    checked: int = 0
    rotated: int = 0  # encrypted with the first key now, in all passes
    current: int = 0  # encrypted with the first key before
    changed: int = 0  # written by another process at that very moment
    unreadable: int = 0

    @property
    def finished(self) -> bool:
        """Whether nothing readable is left under an older key."""
        return not self.stop.is_set() and not self.changed and self.checked == self.current + self.unreadable


class Readability(NamedTuple):
    """How many of the stored texts that were checked cannot be decrypted."""

    unreadable: int
    checked: int


def count() -> int:
    """How many encrypted texts are stored."""
    return sum(column.rows().count() for column in COLUMNS)


def rotate(run: Run) -> Run:
    """Encrypt all stored sessions with the first key, in as many passes as that takes, up to MAX_PASSES."""
    for _pass in range(MAX_PASSES):
        run.checked = run.current = run.changed = run.unreadable = 0
        for column in COLUMNS:
            _rotate_column(run, column)
        if run.finished or run.stop.is_set():
            break
    return run


def _rotate_column(run: Run, column: Column) -> None:
    first, *_older = keys = session_keys()
    cipher = MultiFernet(keys)
    for pk, encrypted in _encrypted_texts(column):
        if run.stop.is_set():
            return
        run.checked += 1
        if can_decrypt(first, encrypted):
            run.current += 1
        elif not can_decrypt(cipher, encrypted):
            run.unreadable += 1
        else:
            # a session that another process has written meanwhile stays
            unchanged = column.rows().filter(**{"pk": pk, column.name: encrypted})
            rotated = unchanged.update(**{column.name: cipher.rotate(encrypted.encode()).decode()})
            run.rotated += rotated
            run.changed += not rotated
        if run.report:
            run.report(run)


def _encrypted_texts(column: Column) -> Iterator[tuple[int, str]]:
    """(primary key, encrypted text) of every row that has one, a batch in memory at a time."""
    rows = column.rows().order_by("pk")
    batch = list(rows.values_list("pk", column.name)[:BATCH_SIZE])
    while batch:
        yield from batch
        batch = list(rows.filter(pk__gt=batch[-1][0]).values_list("pk", column.name)[:BATCH_SIZE])


def can_decrypt(cipher: Fernet | MultiFernet, encrypted: str) -> bool:
    try:
        cipher.decrypt(encrypted.encode())
    except InvalidToken:
        return False
    return True


def check_readability(limit: int) -> Readability:
    """Check the newest `limit` stored texts of each table."""
    cipher = session_cipher()
    readable = [
        can_decrypt(cipher, encrypted)
        for column in COLUMNS
        for encrypted in column.rows().order_by("-pk").values_list(column.name, flat=True)[:limit]
    ]
    return Readability(readable.count(False), len(readable))


def requeue_failed_imports() -> int:
    """Queue imports that failed only because the session could not be decrypted, and can be now; returns how many."""
    cipher = session_cipher()
    failed = User.objects.filter(sync_status=SyncStatus.FAILED, sync_error=SessionUnreadable.REASON)
    readable = [pk for pk, session in failed.values_list("pk", "tmdb_session_id") if can_decrypt(cipher, session or "")]
    queued = sum(failed.filter(pk=pk).queue_import() for pk in readable)
    if queued:
        async_task("ratings.tasks.import_ratings")
    return queued
