"""Show all metrics to Prometheus. Called by `listener` for each scrape.

Imports the client library, so it is itself imported only when metrics are served.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, cast

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from authz.telemetry.buckets import Distribution
from authz.telemetry.catalogue import Kind

if TYPE_CHECKING:
    from prometheus_client import Metric as PrometheusMetric

    from authz.telemetry.merging import Merged
    from authz.telemetry.meter import Family, Meter


class Exposition:
    """The text that Prometheus reads, in the format that it asks for: its own, or OpenMetrics."""

    def __init__(self, meter: Meter | Merged) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Reader(meter))

    def render(self, accept: str) -> tuple[str, bytes]:
        """The content type and the text, for what the header `Accept` says."""
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)


class _Reader(Collector):
    def __init__(self, meter: Meter | Merged) -> None:
        self._meter = meter

    def collect(self) -> Iterator[PrometheusMetric]:
        return map(_family, self._meter.collect())

    def describe(self) -> Iterator[PrometheusMetric]:
        return iter(())


def _family(family: Family) -> PrometheusMetric:
    metric = family.metric
    if metric.kind is Kind.HISTOGRAM:
        return _histogram(family)
    made: CounterMetricFamily | GaugeMetricFamily
    if metric.kind is Kind.COUNTER:
        made = CounterMetricFamily(metric.prometheus, metric.help, labels=metric.labels)
    else:
        made = GaugeMetricFamily(metric.prometheus, metric.help, labels=metric.labels)
    for point in family.points:
        made.add_metric(point.labels, cast("float", point.value))
    return made


def _histogram(family: Family) -> HistogramMetricFamily:
    metric = family.metric
    made = HistogramMetricFamily(metric.prometheus, metric.help, labels=metric.labels)
    bounds = [*(f"{bound:g}" for bound in metric.bounds), "+Inf"]
    for point in family.points:
        value = cast("Distribution", point.value)
        made.add_metric(point.labels, list(zip(bounds, accumulate(value.counts), strict=True)), value.total)
    return made
