"""Leases: work for one process at a time, in Redis where REDIS_URL is set, else in the database.

A lease saves doing work twice concurrently. It guarantees nothing: a process that stalls loses it unawares, so what is
done under it must still be a conditional update.
"""

import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import close_old_connections, connection, transaction
from django.db.models import Q

from config.database import redis_client
from config.models import Lease

log = logging.getLogger(__name__)

ALREADY_RUNNING = "already running elsewhere"  # the result of a job that found its lease taken


@contextmanager
def lock(name: str, seconds: float = 30) -> Iterator[bool]:
    """Hold the lease `name` while the block runs; yields whether it was free.

    A thread renews it as long as this process lives; `seconds` after the process dies it is free.
    """
    holder = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
    if not _acquire(name, holder, seconds):
        yield False
        return
    done = threading.Event()
    renewer = threading.Thread(target=_renew, args=(name, holder, seconds, done), daemon=True)
    renewer.start()
    try:
        yield True
    finally:
        done.set()
        renewer.join()
        _release(name, holder)


def is_locked(name: str) -> bool:
    """Whether any process holds lock(name), or died less than its `seconds` ago; True where Redis does not answer."""
    if settings.REDIS_URL:
        from redis import RedisError  # an extra

        try:
            return bool(redis_client().exists(f"lease:{name}"))
        except RedisError:
            return True
    return Lease.objects.filter(name=name, expires_at__gte=time.time()).exists()


def _renew(name: str, holder: str, seconds: float, done: threading.Event) -> None:
    try:
        while not done.wait(seconds / 3):
            close_old_connections()
            try:
                _acquire(name, holder, seconds)
            except Exception as error:  # the database or Redis is away
                log.warning("the lease %s could not be renewed: %s; the next round tries again", name, error)
    finally:
        connection.close()


def _acquire(name: str, holder: str, seconds: float) -> bool:
    """Take the lease, or renew it; False where another holder has it."""
    if settings.REDIS_URL:
        client, key = redis_client(), f"lease:{name}"
        if client.set(key, holder, nx=True, px=int(seconds * 1000)):
            return True
        return client.get(key) == holder.encode() and bool(client.pexpire(key, int(seconds * 1000)))
    now = time.time()
    free = Lease.objects.filter(Q(expires_at__lt=now) | Q(holder=holder), name=name)
    if free.update(holder=holder, expires_at=now + seconds):
        return True
    with transaction.atomic():
        if Lease.objects.filter(name=name).exists():
            return False
        Lease.objects.bulk_create([Lease(name=name)], ignore_conflicts=True)
    return bool(free.update(holder=holder, expires_at=now + seconds))


def _release(name: str, holder: str) -> None:
    if settings.REDIS_URL:
        if redis_client().get(f"lease:{name}") == holder.encode():
            redis_client().delete(f"lease:{name}")
        return
    Lease.objects.filter(name=name, holder=holder).delete()  # most names are those of one user or file, used once
