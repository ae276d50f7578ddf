"""Whether the system is well, for programs: what /readyz and /metrics say."""

import logging
import time
from contextlib import contextmanager

from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Max
from django_q.brokers import get_broker
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from config import figures, signs
from config.jobs.enqueue import clusters
from config.jobs.schedules import CLOCK
from config.models import Count, Heartbeat, Update
from config.signs import BOUNDS, EVER

log = logging.getLogger(__name__)

METRICS_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SILENT = 90  # seconds without a sign of life that are too many of the bot, or of all workers together


# --- /readyz


def look():
    """(whether all is well, what was found): database, queue, and how long ago each part gave a sign of life."""
    database = _tried(_ask_database)
    in_database = database != "ok" and not settings.REDIS_URL  # where the queue is: no need to wait for it once more
    findings = {"database": database, "queue": database if in_database else _tried(queue_depths)}
    findings["signs"] = _signs() if findings["database"] == "ok" else {}
    late = [kind for kind, sign in findings["signs"].items() if sign["late"]]
    ready = findings["database"] == findings["queue"] == "ok" and not late
    return ready, {"ready": ready, **findings}


def _tried(question):
    try:
        question()
    except Exception as error:  # whatever the database's or Redis' client raises; its text may hold an address
        return f"away ({type(error).__name__})"
    return "ok"


def _ask_database():
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


def _signs():
    seen = dict(Heartbeat.objects.values_list("kind").annotate(Max("seen_at")))
    seen |= {f"worker {cluster}": at for cluster, at in workers_seen().items()}
    longest = {"worker": SILENT, "schedule": 60 * min(minutes for _func, minutes in CLOCK.values()) + 2 * SILENT}
    if not settings.TELEGRAM_WEBHOOK_URL:
        longest["bot"] = SILENT
    if settings.Q_CLUSTERS:  # what one leaves undone no other does
        longest |= {f"worker {cluster}": SILENT for cluster in clusters()}
    now = time.time()
    return {
        kind: {
            "seconds_ago": round(now - seen[kind]) if kind in seen else None,
            "late": kind not in seen or now - seen[kind] > seconds,
        }
        for kind, seconds in longest.items()
    }


def workers_seen():
    """{cluster: UNIX time of the last sign of life of any of its workers}; one without any is not in it."""
    seen = {}
    for name, at in Heartbeat.objects.filter(kind="worker").order_by("seen_at").values_list("name", "seen_at"):
        seen[signs.cluster_of(name)] = at
    return seen


def queue_depths():
    """{cluster: jobs that wait in its queue}."""
    return {name: get_broker(name).queue_size() for name in clusters()}


def known_queue_depths():
    """The same, empty where Redis is away: what else there is to see does not depend on it. Raises DatabaseError."""
    try:
        return queue_depths()
    except DatabaseError:
        raise
    except Exception as error:
        log.warning("the queue's depth is not known (%s)", type(error).__name__)
        return {}


# --- /metrics

COUNTERS = {
    # metric: (what it says, {its label's value: the name in the table of counts})
    "cards": ("Cards sent", "how", ("by_file_id", "by_bytes", "as_text"), "cards.{}"),
    "imports": ("Imports ended", "outcome", ("done", "failed"), "imports.{}"),
    "posters": ("Posters brought into Telegram, or not", "outcome", ("uploaded", "failed"), "posters.{}"),
    "requests": ("Requests made", "service", ("telegram", "tmdb"), "{}.requests"),
    "too_many_requests": ("Answers of 429", "service", ("telegram", "tmdb"), "{}.429"),
}
SINGLES = {
    "updates_failed": ("Updates that ended in an error", "updates.failed"),
    "updates_declined": ("Updates of people who flood, left unhandled", "updates.declined"),
    "webhook_answers": ("Calls that rode in the answer to a webhook", "telegram.answers"),
    "images": ("Images asked of TMDb", "tmdb.images"),
}


class Collector:
    """The metrics, from tables that all processes write: each scrape, whichever process answers it, tells the whole."""

    def collect(self):
        totals = dict(Count.objects.filter(minute=EVER).values_list("name", "number"))

        def total(name):
            return totals.get(f"total:{name}", 0)

        for metric, (what, label, values, name) in COUNTERS.items():
            family = CounterMetricFamily(f"kinoteka_{metric}", what, labels=[label])
            for value in values:
                family.add_metric([value], total(name.format(value)))
            yield family
        for metric, (what, name) in SINGLES.items():
            yield CounterMetricFamily(f"kinoteka_{metric}", what, value=total(name))
        yield self.latency(total)
        yield from self.states()
        yield from self.waiting()
        ages = GaugeMetricFamily("kinoteka_sign_of_life_age_seconds", "Since the last one", labels=["kind", "name"])
        for kind, name, seen_at in Heartbeat.objects.values_list("kind", "name", "seen_at"):
            ages.add_metric([kind, name], max(0.0, time.time() - seen_at))
        yield ages
        silent = GaugeMetricFamily("kinoteka_silent", "1: no sign of life for too long", labels=["part"])
        for part, sign in _signs().items():  # the workers of a dead cluster soon have no age at all
            silent.add_metric([part], sign["late"])
        yield silent

    def latency(self, total):
        family = HistogramMetricFamily(
            "kinoteka_update_seconds", "From the arrival of an update to the end of its answer"
        )
        buckets, so_far = [], 0
        for bound in BOUNDS:
            so_far += total(f"updates.within:{bound}")
            buckets.append(("+Inf" if bound == float("inf") else str(bound), so_far))
        family.add_metric([], buckets, sum_value=total("updates.ms") / 1000)
        return family

    def states(self):
        for figure, (model, field) in figures.STATES.items():
            family = GaugeMetricFamily(f"kinoteka_{figure}", f"By {field}", labels=[field])
            counted, _at = figures.states(figure)
            for state, _label in apps.get_model(model)._meta.get_field(field).choices:
                family.add_metric([str(state)], counted.get(state, 0))
            yield family

    def waiting(self):
        family = GaugeMetricFamily("kinoteka_queue_depth", "Jobs that wait, by cluster", labels=["cluster"])
        for name, depth in known_queue_depths().items():
            family.add_metric([name], depth)
        if family.samples:
            yield family
        open_ = Update.objects.exclude(state=Update.State.DONE).count()
        yield GaugeMetricFamily("kinoteka_updates_open", "Updates of the webhook not yet handled", value=open_)


def metrics():
    """All metrics in Prometheus' text format. Raises DatabaseError."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return generate_latest(registry)
