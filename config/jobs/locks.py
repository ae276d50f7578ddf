"""Leases: work for one process at a time, by rows of the database and by its clock.

A lease saves doing work twice concurrently. It guarantees nothing: a process that stalls loses it unawares, so what is
done under it must still be a conditional update.
"""

import logging
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import close_old_connections, connection

from config.database import now_sql
from config.models import Lease
from config.monitoring.logs import with_correlation_id

log = logging.getLogger(__name__)

ALREADY_RUNNING = "already running elsewhere"  # the result of a job that found its lease taken
LEASE_SECONDS = 30.0


@contextmanager
def lock(name: str) -> Iterator[bool]:
    """Hold the lease `name` while the block runs; yields whether it was free.

    A thread renews it as long as this process lives; LEASE_SECONDS after the process dies it is free.
    """
    holder = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
    if not _acquire(name, holder):
        yield False
        return
    done = threading.Event()
    renewer = threading.Thread(target=with_correlation_id(_renew), args=(name, holder, done), daemon=True)
    renewer.start()
    try:
        yield True
    finally:
        done.set()
        renewer.join()
        Lease.objects.filter(name=name, holder=holder).delete()  # most names are of one user or file, used once


def is_locked(name: str) -> bool:
    """Whether any process holds lock(name), or died less than LEASE_SECONDS ago."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM leases WHERE name = %s AND {_held()}", [name])
        return cursor.fetchone() is not None


def _renew(name: str, holder: str, done: threading.Event) -> None:
    try:
        while not done.wait(LEASE_SECONDS / 3):
            close_old_connections()
            try:
                _acquire(name, holder)
            except Exception as error:  # the database is away
                log.warning("the lease %s could not be renewed: %s; the next round tries again", name, error)
    finally:
        connection.close()


def _acquire(name: str, holder: str) -> bool:
    """Take the lease, or renew it, in one statement; False where another holder has it."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO leases (name, holder, expires_at) VALUES (%s, %s, {now_sql()} + %s)"
            " ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at"
            f" WHERE leases.holder = excluded.holder OR NOT ({_held()}) RETURNING 1",
            [name, holder, LEASE_SECONDS],
        )
        return cursor.fetchone() is not None


def _held() -> str:
    """SQL for a lease that counts. One that would expire later than any can was taken before the clock was set back."""
    return f"leases.expires_at BETWEEN {now_sql()} AND {now_sql()} + {LEASE_SECONDS + 1}"
