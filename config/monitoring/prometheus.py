"""What /metrics says, in Prometheus' text format."""

import time

from django.apps import apps
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from config.models import Count, Heartbeat, Update
from config.monitoring import health, status_counts
from config.monitoring.metrics import BOUNDS, EVER

METRICS_TYPE = CONTENT_TYPE_PLAIN_0_0_4

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
    "updates_dropped": ("Updates of chats in which too many waited, left unhandled", "updates.dropped"),
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
        for part, sign in health.signs().items():  # the workers of a dead cluster soon have no age at all
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
        for figure, (model, field) in status_counts.STATES.items():
            family = GaugeMetricFamily(f"kinoteka_{figure}", f"By {field}", labels=[field])
            counted, _at = status_counts.states(figure)
            for state, _label in apps.get_model(model)._meta.get_field(field).choices:
                family.add_metric([str(state)], counted.get(state, 0))
            yield family

    def waiting(self):
        family = GaugeMetricFamily("kinoteka_queue_depth", "Jobs that wait, by cluster", labels=["cluster"])
        for name, depth in health.known_queue_depths().items():
            family.add_metric([name], depth)
        if family.samples:
            yield family
        pending = Update.objects.filter(state__lt=Update.State.HANDLED).count()
        yield GaugeMetricFamily("kinoteka_updates_pending", "Updates not yet handled", value=pending)


def render():
    """All metrics in Prometheus' text format. Raises DatabaseError."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return generate_latest(registry)
