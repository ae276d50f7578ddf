"""Whether the system is well, for programs: what /readyz says."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Max
from django_q.brokers import get_broker

from config.jobs.enqueue import cluster_names
from config.jobs.schedules import SCHEDULES
from config.models import Heartbeat
from config.monitoring import heartbeats

log = logging.getLogger(__name__)

STALE_AFTER_SECONDS = 90  # seconds without a sign of life that are too many of the bot, or of all workers together


# --- /readyz


def check():
    """(whether all is well, what was found): database, queue, and how long ago each part gave a sign of life."""
    database = _status_of(_query_database)
    in_database = database != "ok" and not settings.REDIS_URL  # where the queue is: no need to wait for it once more
    findings = {"database": database, "queue": database if in_database else _status_of(queue_depths)}
    findings["signs"] = check_heartbeats() if findings["database"] == "ok" else {}
    late = [kind for kind, sign in findings["signs"].items() if sign["late"]]
    ready = findings["database"] == findings["queue"] == "ok" and not late
    return ready, {"ready": ready, **findings}


def _status_of(question) -> str:
    try:
        question()
    except Exception as error:  # whatever the database's or Redis' client raises; its text may hold an address
        return f"away ({type(error).__name__})"
    return "ok"


def _query_database() -> None:
    if not connection.settings_dict["OPTIONS"].get("pool"):
        Heartbeat.objects.exists()  # without its tables a database is no use either
        return
    with _direct(connection) as direct, direct.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {Heartbeat._meta.db_table} LIMIT 1")  # noqa: S608


@contextmanager
def _direct(pooled):
    """A connection past the pool, which would wait for a server that is away."""
    direct = pooled.copy()
    direct.settings_dict["OPTIONS"].pop("pool")
    try:
        yield direct
    finally:
        direct.close()


def check_heartbeats():
    seen = dict(Heartbeat.objects.values_list("kind").annotate(Max("seen_at")))
    seen |= {f"worker {cluster}": at for cluster, at in workers_last_seen().items()}
    longest = {
        "worker": STALE_AFTER_SECONDS,
        "schedule": 60 * min(minutes for _func, minutes in SCHEDULES.values()) + 2 * STALE_AFTER_SECONDS,
    }
    if not settings.TELEGRAM_WEBHOOK_URL:
        longest["bot"] = STALE_AFTER_SECONDS
    if settings.Q_CLUSTERS:  # what one leaves undone no other does
        longest |= {f"worker {cluster}": STALE_AFTER_SECONDS for cluster in cluster_names()}
    now = time.time()
    return {
        kind: {
            "seconds_ago": round(now - seen[kind]) if kind in seen else None,
            "late": kind not in seen or now - seen[kind] > seconds,
        }
        for kind, seconds in longest.items()
    }


def workers_last_seen():
    """{cluster: UNIX time of the last sign of life of any of its workers}; one without any is not in it."""
    seen = {}
    for name, at in Heartbeat.objects.filter(kind="worker").order_by("seen_at").values_list("name", "seen_at"):
        seen[heartbeats.cluster_of_worker(name)] = at
    return seen


def queue_depths() -> dict[str, int]:
    """{cluster: jobs that wait in its queue}."""
    return {name: get_broker(name).queue_size() for name in cluster_names()}


def queue_depths_if_known() -> dict[str, int]:
    """The same, empty where Redis is away: what else there is to see does not depend on it. Raises DatabaseError."""
    try:
        return queue_depths()
    except DatabaseError:
        raise
    except Exception as error:
        log.warning("the queue's depth is not known (%s)", type(error).__name__)
        return {}
