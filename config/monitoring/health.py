"""Readiness: whether the database, the queue and every component work, for /readyz and /metrics."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypedDict

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Max
from django_q.brokers import get_broker

from config.checks import settings_are_whole
from config.jobs.enqueue import cluster_names
from config.jobs.schedules import SCHEDULES
from config.models import Heartbeat
from config.monitoring import webhook
from config.monitoring.heartbeats import cluster_of_worker

log = logging.getLogger(__name__)

STALE_AFTER_SECONDS = 90  # without a heartbeat of the bot, or of all workers together


class HeartbeatAge(TypedDict):
    age_seconds: int | None  # None: no heartbeat at all
    stale: bool


class Readiness(TypedDict):
    """The body of /readyz."""

    ready: bool
    database: str  # "ok" or what is wrong
    queue: str
    heartbeats: dict[str, HeartbeatAge]  # by component; empty where the database does not answer
    webhook: list[str] | str  # what is wrong; "ok", "not used" or "not checked"
    inline_mode: str  # "on", "off" or "not checked"
    settings: list[str] | str  # what is unsafe, or "ok"


def check() -> Readiness:
    """Query the database and the queue, and look up when each component last sent a heartbeat."""
    database = _status_of(_query_database)
    queue_is_away = database != "ok" and not settings.REDIS_URL  # it is in the database: no need to wait once more
    queue = database if queue_is_away else _status_of(queue_depths)
    heartbeats = check_heartbeats() if database == "ok" else {}
    stale = any(heartbeat["stale"] for heartbeat in heartbeats.values())
    ready = database == queue == "ok" and not stale
    state = webhook.known() if ready else None  # kept in the cache, which may be in what is away
    return {
        "ready": ready,
        "database": database,
        "queue": queue,
        "heartbeats": heartbeats,
        "webhook": _webhook_status(state),
        "inline_mode": "not checked" if state is None else "on" if state["inline_mode"] else "off",
        "settings": [problem.msg for problem in settings_are_whole(None)] or "ok",
    }


def _webhook_status(state: webhook.State | None) -> list[str] | str:
    """What is wrong with the webhook; without an answer of Telegram's only what our own settings tell."""
    if found := [problem.text for problem in webhook.problems_in_english(state)]:
        return found
    if not settings.TELEGRAM_WEBHOOK_URL:
        return "not used"
    return "ok" if state else "not checked"


def _status_of(query: Callable[[], object]) -> str:
    try:
        query()
    except Exception as error:  # of the database's or Redis' client; its text may hold an address
        return f"away ({type(error).__name__})"
    return "ok"


def _query_database() -> None:
    if not connection.settings_dict["OPTIONS"].get("pool"):
        Heartbeat.objects.exists()  # a database without our tables is of no use either
        return
    with _without_pool(connection) as direct, direct.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {Heartbeat._meta.db_table} LIMIT 1")  # noqa: S608


@contextmanager
def _without_pool(pooled: BaseDatabaseWrapper) -> Iterator[BaseDatabaseWrapper]:
    """A connection past the pool, which would wait for a server that is away."""
    direct = pooled.copy()
    direct.settings_dict["OPTIONS"].pop("pool")
    try:
        yield direct
    finally:
        direct.close()


def check_heartbeats() -> dict[str, HeartbeatAge]:
    """The age of the latest heartbeat of each component that has to run. Raises DatabaseError."""
    seen = dict(Heartbeat.objects.values_list("kind").annotate(Max("seen_at")))
    seen |= {f"worker {cluster}": at for cluster, at in workers_last_seen().items()}
    shortest = 60 * min(minutes for _func, minutes in SCHEDULES.values())
    max_ages = {"worker": STALE_AFTER_SECONDS, "schedule": shortest + 2 * STALE_AFTER_SECONDS}
    if not settings.TELEGRAM_WEBHOOK_URL:
        max_ages["bot"] = STALE_AFTER_SECONDS
    if settings.Q_CLUSTERS:  # no cluster does another's jobs
        max_ages |= {f"worker {cluster}": STALE_AFTER_SECONDS for cluster in cluster_names()}
    now = time.time()
    return {
        component: {
            "age_seconds": round(now - seen[component]) if component in seen else None,
            "stale": component not in seen or not -STALE_AFTER_SECONDS <= now - seen[component] <= max_age,
        }
        for component, max_age in max_ages.items()
    }


def workers_last_seen() -> dict[str, float]:
    """{cluster: UNIX time of the latest heartbeat of any of its workers}, without clusters that have none."""
    seen = {}
    for name, at in Heartbeat.objects.filter(kind="worker").order_by("seen_at").values_list("name", "seen_at"):
        seen[cluster_of_worker(name)] = at
    return seen


def queue_depths() -> dict[str, int]:
    """{cluster: jobs that wait in its queue}."""
    return {name: get_broker(name).queue_size() for name in cluster_names()}


def queue_depths_if_known() -> dict[str, int]:
    """The same, empty where Redis is away: all other metrics are known without it. Raises DatabaseError."""
    try:
        return queue_depths()
    except DatabaseError:
        raise
    except Exception as error:
        log.warning("the queue's depth is not known (%s)", type(error).__name__)
        return {}
