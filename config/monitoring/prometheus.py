"""What /metrics answers, in Prometheus' text format."""

import re
import time
from collections.abc import Iterator
from typing import NamedTuple

from django.apps import apps
from django.utils.module_loading import import_string
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from config import __version__
from config.models import Heartbeat, MetricCount, Update
from config.monitoring import disk, health, webhook
from config.monitoring.metrics import ALL_TIME, LATENCY_BUCKETS_SECONDS, count_by_status

OLDEST_WAITING_POSTER = "movies.models.oldest_waiting_poster"  # of the app above, by dotted path
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class LabelledCounter(NamedTuple):
    description: str
    label: str
    counters: dict[str, str]  # {label value: name in config.monitoring.metrics}


LABELLED_COUNTERS = {
    "cards": LabelledCounter(
        "Cards sent: by Telegram's file_id, by uploading the picture, or as a text",
        "method",
        {"file_id": "cards.by_file_id", "upload": "cards.by_bytes", "text": "cards.as_text"},
    ),
    "imports": LabelledCounter(
        "Imports of ratings from TMDb that have ended", "outcome", {"done": "imports.done", "failed": "imports.failed"}
    ),
    "posters": LabelledCounter(
        "Posters uploaded to Telegram, or not", "outcome", {"uploaded": "posters.uploaded", "failed": "posters.failed"}
    ),
}
COUNTERS = {
    "updates_failed": ("Updates whose handler ended in an error; the person was told so", "updates.failed"),
    "jobs_failed": ("Background jobs that ended in an error", "jobs.failed"),
    "broadcast_messages": ("Messages of broadcasts that were sent, or tried", "broadcasts.sent"),
    "updates_dropped": ("Updates of chats in which too many waited, left unhandled", "updates.dropped"),
    "images": ("Posters and other images requested of TMDb", "tmdb.images"),
}
STATUS_GAUGES = {
    "movies": (
        "Films, by the state of their poster",
        *("movies.Movie", "poster_status"),
        {-1: "no_poster", 0: "waits_for_download", 1: "on_disk", 2: "in_telegram"},
    ),
    "users": (
        "People, by the state of the import from TMDb",
        *("users.User", "sync_status"),
        {-1: "failed", 0: "not_connected", 1: "queued", 2: "imported"},
    ),
}


class Collector:
    """The metrics, from tables that all processes write: it does not matter which process is scraped."""

    def collect(self) -> Iterator[Metric]:
        totals = dict(MetricCount.objects.filter(minute=ALL_TIME).values_list("name", "number"))
        self.totals = {name.removeprefix("total:"): number for name, number in totals.items()}
        for metric, (description, label, counters) in LABELLED_COUNTERS.items():
            family = CounterMetricFamily(f"kinoteka_{metric}", description, labels=[label])
            for value, name in counters.items():
                family.add_metric([value], self.total(name))
            yield family
        for metric, (description, name) in COUNTERS.items():
            yield CounterMetricFamily(f"kinoteka_{metric}", description, value=self.total(name))
        yield InfoMetricFamily("kinoteka_build", "The version that runs", value={"version": __version__})
        yield self.http_requests()
        yield self.http_errors()
        yield self.durations("update", "How long the handling of an update took", "updates")
        for service, title in (("tmdb", "TMDb"), ("telegram", "Telegram")):
            yield self.durations(f"{service}_request", f"How long {title} took to answer a request", service)
        yield from self.rows_by_status()
        yield from self.queues()
        yield from self.heartbeats()
        yield from self.posters()
        yield from self.disk()
        yield from self.webhook()

    def total(self, name: str) -> int:
        return self.totals.get(name, 0)

    def http_requests(self) -> Metric:
        family = CounterMetricFamily("kinoteka_http_requests", "API requests", labels=["service", "code"])
        for service in ("telegram", "tmdb"):
            refused = self.total(f"{service}.429")
            family.add_metric([service, "429"], refused)
            family.add_metric([service, "other"], max(0, self.total(f"{service}.requests") - refused))
        return family

    def http_errors(self) -> Metric:
        description = "API requests without an answer, or answered with 500 and above"
        family = CounterMetricFamily("kinoteka_http_errors", description, labels=["service"])
        for service in ("telegram", "tmdb"):
            family.add_metric([service], self.total(f"{service}.errors"))
        return family

    def durations(self, metric: str, description: str, counter: str) -> Metric:
        family = HistogramMetricFamily(f"kinoteka_{metric}_duration_seconds", description)
        buckets, so_far = [], 0
        for bound in LATENCY_BUCKETS_SECONDS:
            so_far += self.total(f"{counter}.within:{bound}")
            buckets.append(("+Inf" if bound == float("inf") else str(bound), so_far))
        family.add_metric([], buckets, sum_value=self.total(f"{counter}.ms") / 1000)
        return family

    def rows_by_status(self) -> Iterator[Metric]:
        for metric, (description, label, field, names) in STATUS_GAUGES.items():
            model = apps.get_model(label)
            family = GaugeMetricFamily(f"kinoteka_{metric}", description, labels=["status"])
            counts = count_by_status(model, field).counts
            for status, name in names.items():
                family.add_metric([name], counts.get(status, 0))
            yield family

    def queues(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("kinoteka_queue_depth", "Jobs that wait, by cluster", labels=["cluster"])
        for name, depth in health.queue_depths_if_known().items():
            family.add_metric([name], depth)
        if family.samples:
            yield family
        pending = Update.objects.filter(state__lt=Update.State.HANDLED).count()
        yield GaugeMetricFamily("kinoteka_updates_pending", "Updates not yet handled", value=pending)

    def heartbeats(self) -> Iterator[Metric]:
        """The latest of each component on each machine: a process id would make a new series with every start."""
        seen: dict[tuple[str, str], float] = {}
        for kind, name, seen_at in Heartbeat.objects.values_list("kind", "name", "seen_at"):
            instance = re.sub(r" \d+$", "", name)
            seen[kind, instance] = max(seen_at, seen.get((kind, instance), 0.0))
        latest = GaugeMetricFamily(
            "kinoteka_heartbeat_timestamp_seconds",
            "UNIX time of the latest heartbeat of a bot, a cluster's workers or a schedule",
            labels=["component", "instance"],
        )
        for (kind, instance), seen_at in seen.items():
            latest.add_metric([kind, instance], seen_at)
        yield latest
        up = GaugeMetricFamily("kinoteka_component_up", "0: no heartbeat for too long", labels=["component"])
        for component, heartbeat in health.check_heartbeats().items():  # also those without any heartbeat left
            up.add_metric([component], int(not heartbeat["stale"]))
        yield up

    def posters(self) -> Iterator[Metric]:
        since = import_string(OLDEST_WAITING_POSTER)()
        description = "For how long the oldest due poster has waited for its download or upload; 0: none is due"
        age = max(0.0, time.time() - since) if since else 0.0
        yield GaugeMetricFamily("kinoteka_oldest_waiting_poster_seconds", description, value=age)

    def disk(self) -> Iterator[Metric]:
        free, total = disk.posters()
        yield GaugeMetricFamily("kinoteka_disk_free_bytes", "Free on the disk where posters wait", value=free)
        yield GaugeMetricFamily("kinoteka_disk_size_bytes", "Size of the disk where posters wait", value=total)

    def webhook(self) -> Iterator[Metric]:
        """What Telegram said within the last ten minutes; nothing where that is not known."""
        state = webhook.known()
        if state is None:
            return
        yield GaugeMetricFamily(
            "kinoteka_webhook_pending_updates", "Updates that wait at Telegram", value=state["pending"]
        )
        yield GaugeMetricFamily(
            "kinoteka_webhook_last_error_timestamp_seconds",
            "UNIX time of Telegram's last failed delivery; 0: none",
            value=state["last_error_at"],
        )
        problems = webhook.problems(state)
        yield GaugeMetricFamily("kinoteka_webhook_ok", "0: see check_services", value=int(not problems))
        yield GaugeMetricFamily(
            "kinoteka_inline_mode", "Whether @BotFather has inline mode on for the bot", value=int(state["inline_mode"])
        )


def render() -> bytes:
    """All metrics in Prometheus' text format. Raises DatabaseError."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return generate_latest(registry)
