"""What /metrics answers, in Prometheus' text format."""

import time
from collections.abc import Iterator
from typing import NamedTuple

from django.apps import apps
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from config.models import Heartbeat, MetricCount, Update
from config.monitoring import health
from config.monitoring.metrics import ALL_TIME, LATENCY_BUCKETS_SECONDS, count_by_status

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class LabelledCounter(NamedTuple):
    description: str
    label: str
    counters: dict[str, str]  # {label value: name in config.monitoring.metrics}


LABELLED_COUNTERS = {
    "cards": LabelledCounter(
        "Cards sent", "method", {"file_id": "cards.by_file_id", "upload": "cards.by_bytes", "text": "cards.as_text"}
    ),
    "imports": LabelledCounter("Imports ended", "outcome", {"done": "imports.done", "failed": "imports.failed"}),
    "posters": LabelledCounter(
        "Posters uploaded to Telegram, or not", "outcome", {"uploaded": "posters.uploaded", "failed": "posters.failed"}
    ),
}
COUNTERS = {
    "updates_failed": ("Updates that ended in an error", "updates.failed"),
    "updates_dropped": ("Updates of chats in which too many waited, left unhandled", "updates.dropped"),
    "images": ("Images requested of TMDb", "tmdb.images"),
}
STATUS_GAUGES = {"movies": ("movies.Movie", "poster_status"), "users": ("users.User", "sync_status")}


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
        yield self.http_requests()
        yield self.update_durations()
        yield from self.rows_by_status()
        yield from self.queues()
        yield from self.heartbeats()

    def total(self, name: str) -> int:
        return self.totals.get(name, 0)

    def http_requests(self) -> Metric:
        family = CounterMetricFamily("kinoteka_http_requests", "API requests", labels=["service", "code"])
        for service in ("telegram", "tmdb"):
            refused = self.total(f"{service}.429")
            family.add_metric([service, "429"], refused)
            family.add_metric([service, "other"], max(0, self.total(f"{service}.requests") - refused))
        return family

    def update_durations(self) -> Metric:
        description = "From the arrival of an update to the end of its handling"
        family = HistogramMetricFamily("kinoteka_update_duration_seconds", description)
        buckets, so_far = [], 0
        for bound in LATENCY_BUCKETS_SECONDS:
            so_far += self.total(f"updates.within:{bound}")
            buckets.append(("+Inf" if bound == float("inf") else str(bound), so_far))
        family.add_metric([], buckets, sum_value=self.total("updates.ms") / 1000)
        return family

    def rows_by_status(self) -> Iterator[Metric]:
        for metric, (label, field) in STATUS_GAUGES.items():
            model = apps.get_model(label)
            family = GaugeMetricFamily(f"kinoteka_{metric}", f"By {field}", labels=["status"])
            counts = count_by_status(model, field).counts
            for status, _name in model._meta.get_field(field).choices:
                family.add_metric([str(status)], counts.get(status, 0))
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
        ages = GaugeMetricFamily(
            "kinoteka_heartbeat_age_seconds", "Since the latest heartbeat", labels=["component", "instance"]
        )
        for kind, name, seen_at in Heartbeat.objects.values_list("kind", "name", "seen_at"):
            ages.add_metric([kind, name], max(0.0, time.time() - seen_at))
        yield ages
        up = GaugeMetricFamily("kinoteka_component_up", "0: no heartbeat for too long", labels=["component"])
        for component, heartbeat in health.check_heartbeats().items():  # also those without any heartbeat left
            up.add_metric([component], int(not heartbeat["stale"]))
        yield up


def render() -> bytes:
    """All metrics in Prometheus' text format. Raises DatabaseError."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return generate_latest(registry)
