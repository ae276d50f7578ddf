"""Whose turn it is and who is at work, over all processes: through Redis where REDIS_URL is set, else the database."""

import logging
import os
import threading
import time
import uuid
from contextlib import contextmanager
from functools import cache

from django.conf import settings
from django.db import close_old_connections, connection, transaction
from django.db.models import Q

from config.models import Lease, RateLimit

log = logging.getLogger(__name__)

# --- Turns: a limit of so many a second

# What is stored may be no moment at all: a limit of nan or inf leaves its like behind, and all would go by it.
SANE = "next_at < 1e300"  # PostgreSQL has its NaN above everything

# One process asks for one background turn at a time, so that twenty threads do not crowd the database.
_queues: dict[str, threading.Lock] = {}
_queues_lock = threading.Lock()


def acquire(name, per_second, priority=False):
    """Sleep until `name` may be done once more, at most `per_second` times a second over all processes.

    Turns are equally spaced; one that comes late lets the next follow at once, so that wake-up delays cost nothing.
    An urgent caller (a person waits) books the next free turn and passes everybody who waits without booking.
    per_second of 0 or less means no limit.
    """
    if per_second <= 0:
        return
    interval = 1 / per_second
    if priority:
        time.sleep(max(0.0, _take(name, interval, book=True)))
        return
    with _queues_lock:
        queue = _queues.setdefault(name, threading.Lock())
    with queue:
        while (wait := _take(name, interval, book=False)) > 0:
            time.sleep(wait)


def try_acquire(name, per_second, late=0.0):
    """Take a turn of `name` if one is free: 0 if it is ours, else the seconds until another try is worth making.

    For callers who have something better to do than to sleep, and for limits over a window of time: turns never begin
    closer together than 1/per_second, but for `late` seconds by which one that comes late may be made up for. Pauses
    hold even where per_second is 0 (no limit).
    """
    return _take(name, 1 / per_second if per_second > 0 else 0.0, book=False, late=late)


def block_for(name, seconds):
    """Let no turn of `name` begin for so many seconds, whoever asks."""
    _push(name, seconds)


def _take(name, interval, book, late=None):
    """Seconds until the turn taken (booked), or until another try (not booked: 0 means the turn is ours)."""
    if book:
        late = 0
    elif late is None:
        late = interval  # a turn may begin one interval in the past: the delay of waking up is caught up with
    if settings.REDIS_URL:
        return float(_redis_take()(keys=[f"turn:{name}"], args=[interval, int(book), late]))
    now = now_sql()
    taken = _update_turn(
        f"UPDATE turns SET next_at = CASE WHEN next_at > {now} - %s AND {SANE} THEN next_at ELSE {now} - %s END + %s"
        f" WHERE name = %s AND (%s OR next_at <= {now} OR NOT {SANE}) RETURNING next_at - {now}",
        [late, late, interval, name, book],
    )
    if taken is not None:
        return taken - interval if book else 0.0
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT next_at - {now} FROM turns WHERE name = %s", [name])
        row = cursor.fetchone()
    if row is None:
        RateLimit.objects.bulk_create([RateLimit(name=name)], ignore_conflicts=True)
        return _take(name, interval, book, late)
    return max(row[0], 0.001)


def _push(name, seconds):
    if settings.REDIS_URL:
        _redis_pause()(keys=[f"turn:{name}"], args=[seconds])
        return
    RateLimit.objects.bulk_create([RateLimit(name=name)], ignore_conflicts=True)
    now = now_sql()
    _update_turn(
        f"UPDATE turns SET next_at = CASE WHEN next_at > {now} + %s AND {SANE} THEN next_at ELSE {now} + %s END"
        " WHERE name = %s RETURNING 0",
        [seconds, seconds, name],
    )


def now_sql():
    """The clock of the database server, as SQL: machines need not agree on the time. SQLite is on this one."""
    if connection.vendor == "postgresql":
        return "EXTRACT(EPOCH FROM clock_timestamp())::float8"
    return f"{time.time():.6f}"


def _update_turn(sql, params):
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        row = cursor.fetchone()
    return row and row[0]


STORED = """
local now = redis.call('TIME'); now = now[1] + now[2] / 1e6
local at = tonumber(redis.call('GET', KEYS[1]) or 0) or 0
if not (at < 1e300) then at = 0 end
"""
TAKE = f"""{STORED}
local interval, book, late = tonumber(ARGV[1]), ARGV[2] == '1', tonumber(ARGV[3])
if not book and at > now then return tostring(at - now) end
local base = math.max(at, now - late)
redis.call('SET', KEYS[1], string.format('%.6f', base + interval), 'EX', 86400)
return tostring(book and math.max(0, base - now) or 0)
"""
PAUSE = f"""{STORED}
redis.call('SET', KEYS[1], string.format('%.6f', math.max(at, now + ARGV[1])), 'EX', 86400)
"""


@cache
def redis_client():
    import redis  # an extra: installed where REDIS_URL is set

    return redis.Redis.from_url(settings.REDIS_ADDRESS, **settings.REDIS_OPTIONS, health_check_interval=30)


@cache
def _redis_take():
    return redis_client().register_script(TAKE)


@cache
def _redis_pause():
    return redis_client().register_script(PAUSE)


# --- Leases: work for one process at a time

ALREADY_RUNNING = "another worker is at it"  # the result of a job that found its lease taken


@contextmanager
def lock(name, seconds=30):
    """Hold `name` against all other processes while the block runs; yields False where somebody else holds it.

    The lease is renewed by a thread as long as this process lives, and a process that dies leaves it free after
    `seconds`. A lease keeps work from being done beside itself for nothing; it is no lock: what is done under it must
    still be a conditional update.
    """
    holder = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
    if not _hold(name, holder, seconds):
        yield False
        return
    done = threading.Event()
    keeper = threading.Thread(target=_renew, args=(name, holder, seconds, done), daemon=True)
    keeper.start()
    try:
        yield True
    finally:
        done.set()
        keeper.join()
        _release(name, holder)


def is_locked(name):
    """Whether a process is at the work that only_one(name) keeps for one; half a minute after its death it is not.

    Where Redis is away, one may be: nobody is called dead then.
    """
    if settings.REDIS_URL:
        from redis import RedisError  # an extra, as in redis_client()

        try:
            return bool(redis_client().exists(f"lease:{name}"))
        except RedisError:
            return True
    return Lease.objects.filter(name=name, expires_at__gte=time.time()).exists()


def _renew(name, holder, seconds, done):
    try:
        while not done.wait(seconds / 3):
            close_old_connections()
            try:
                _hold(name, holder, seconds)
            except Exception as error:
                log.warning("the lease %s could not be renewed: %s; the next round tries again", name, error)
    finally:
        connection.close()


def _hold(name, holder, seconds):
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


def _release(name, holder):
    if settings.REDIS_URL:
        if redis_client().get(f"lease:{name}") == holder.encode():
            redis_client().delete(f"lease:{name}")
        return
    Lease.objects.filter(name=name, holder=holder).delete()  # names of work for one person or file come once only
