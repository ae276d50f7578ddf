"""Rate limits over all processes (GCRA): in Redis where REDIS_URL is set, else in the database.

A limit is a name and the UNIX time of its next free slot. Slots are evenly spaced; a caller with priority reserves the
next one at once and so overtakes those who wait for a free one. While Redis is away, full or read-only, the database
keeps the limits, for all processes together as ever.

With each slot the time of its writing is stored: where that lies ahead, the clock was set back since, and the slot is
taken as free now.
"""

import threading
import time
from functools import cache, partial
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection

from config.best_effort import attempt
from config.database import now_sql, redis_client
from config.jobs.time_limit import seconds_left
from config.models import RateLimit

if TYPE_CHECKING:
    from redis.commands.core import Script

# Whether a stored time counts. A limit of nan or inf would block the name for ever (PostgreSQL sorts NaN above
# everything), as would a row that was written before the clock was set back.
VALID = "next_at < {now} + 86400 AND updated_at < {now} + 1"

# One thread of a process at a time waits for a slot of a name: twenty would query the database twenty times as often.
_waiting: dict[str, threading.Lock] = {}
_waiting_lock = threading.Lock()


def acquire(name: str, per_second: float, priority: bool = False) -> None:
    """Sleep until `name` may be done once more, at most `per_second` times a second over all processes.

    A caller that wakes up late lets the next follow sooner, so that wake-up delays cost no throughput. `priority`: a
    user waits for it. `per_second` of 0 or less: no limit. Returns early where a job's time is over.
    """
    if per_second <= 0:
        return
    interval = 1 / per_second
    if priority:
        time.sleep(max(0.0, _take(name, interval, reserve=True)))
        return
    with _waiting_lock:
        waiting = _waiting.setdefault(name, threading.Lock())
    with waiting:
        while (wait := _take(name, interval, burst_tolerance=interval)) > 0 and (left := seconds_left()) > 0:
            time.sleep(min(wait, left))


def try_acquire(name: str, per_second: float, burst_tolerance: float = 0.0) -> float:
    """Take a slot of `name` if one is free, without sleeping.

    Returns 0.0 where the slot was taken, else the seconds after which another try is worth making. A caller that comes
    late may be followed by up to `burst_tolerance` seconds sooner; with 0.0 slots are never closer than 1/per_second,
    which a limit over a window of time needs. `per_second` of 0 means no limit but what block_for() sets.
    """
    return _take(name, 1 / per_second if per_second > 0 else 0.0, burst_tolerance=burst_tolerance)


def block_for(name: str, seconds: float) -> None:
    """Give out no slot of `name` for so many seconds, in any process."""
    if _in_redis(LUA_BLOCK, name, seconds) is not None:
        return
    RateLimit.objects.bulk_create([RateLimit(name=name)], ignore_conflicts=True)
    now = now_sql()
    _fetch_number(
        f"UPDATE rate_limits SET next_at = CASE WHEN next_at > {now} + %s AND {VALID.format(now=now)} THEN next_at"
        f" ELSE {now} + %s END, updated_at = {now} WHERE name = %s RETURNING 0",
        [seconds, seconds, name],
    )


def _take(name: str, interval: float, reserve: bool = False, burst_tolerance: float = 0.0) -> float:
    """Seconds until the slot that was taken (reserve), or until the next try (else; 0.0: the slot was taken)."""
    seconds = _in_redis(LUA_TAKE, name, interval, int(reserve), burst_tolerance)
    if seconds is not None:
        return seconds
    now = now_sql()
    valid = VALID.format(now=now)
    taken = _fetch_number(
        f"UPDATE rate_limits SET next_at = CASE WHEN next_at > {now} - %s AND {valid} THEN next_at"
        f" ELSE {now} - %s END + %s, updated_at = {now}"
        f" WHERE name = %s AND (%s OR next_at <= {now} OR NOT ({valid})) RETURNING next_at - {now}",
        [burst_tolerance, burst_tolerance, interval, name, reserve],
    )
    if taken is not None:
        return taken - interval if reserve else 0.0
    wait = _fetch_number(f"SELECT next_at - {now} FROM rate_limits WHERE name = %s", [name])
    if wait is None:
        RateLimit.objects.bulk_create([RateLimit(name=name)], ignore_conflicts=True)
        return _take(name, interval, reserve, burst_tolerance)
    return max(wait, 0.001)


def _fetch_number(sql: str, params: list[float | str | bool]) -> float | None:
    """The number that the statement returns; None where it meets no row."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        row = cursor.fetchone()
    return row[0] if row else None


def _in_redis(script: str, name: str, *arguments: float) -> float | None:
    """The seconds that the script returns; None where the database has to serve."""
    if not settings.REDIS_URL:
        return None
    run = partial(_registered(script), keys=[f"rate_limit:{name}"], args=arguments)
    return attempt("Redis keeps no rate limits", lambda: float(run()), None)


@cache
def _registered(script: str) -> "Script":
    return redis_client().register_script(script)


LUA_READ = """
local now = redis.call('TIME'); now = now[1] + now[2] / 1e6
local at, updated = string.match(redis.call('GET', KEYS[1]) or '', '^([%d.]+) ([%d.]+)$')
at = tonumber(at) or 0
if at > now + 86400 or (tonumber(updated) or 0) > now + 1 then at = 0 end
local function store(at)
    redis.call('SET', KEYS[1], string.format('%.6f %.6f', at, now), 'EX', 86400)
end
"""
LUA_TAKE = f"""{LUA_READ}
local interval, reserve, tolerance = tonumber(ARGV[1]), ARGV[2] == '1', tonumber(ARGV[3])
if not reserve and at > now then return tostring(at - now) end
local base = math.max(at, now - tolerance)
store(base + interval)
return tostring(reserve and math.max(0, base - now) or 0)
"""
LUA_BLOCK = f"""{LUA_READ}
store(math.max(at, now + ARGV[1]))
return '0'
"""
