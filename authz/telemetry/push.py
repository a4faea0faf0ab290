"""Send all metrics to a collector every few seconds. Opened by `telemetry` when settings say so.

One thread of its own: reading the numbers and waiting for the collector never touch the event loop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import structlog
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from authz.telemetry.buckets import Distribution
from authz.telemetry.catalogue import Kind

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from authz.telemetry.meter import Family, Meter, Point
    from authz.telemetry.otlp import Delivery

_CUMULATIVE = AggregationTemporality.CUMULATIVE
_SCOPE = InstrumentationScope("authz")
_UNKNOWN = cast("float", None)
"""Smallest and greatest value: optional on the wire, and not kept."""

_log = structlog.get_logger(__name__)


class MetricPush:
    """The thread that sends. `close` sends once more."""

    def __init__(
        self, meter: Meter, delivery: Delivery, resource: Resource, now: Callable[[], datetime], interval: float
    ) -> None:
        self._meter = meter
        self._delivery = delivery
        self._resource = resource
        self._now = now
        self._interval = interval
        self._began = _nanoseconds(now())
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="authz-metrics-push", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Send what is counted and end. Blocks for as long as the collector's timeout allows."""
        self._delivery.hurry()
        self._is_closing.set()
        self._thread.join()
        self._delivery.close()

    def _run(self) -> None:
        while not self._is_closing.wait(self._interval):
            self._push()
        self._push()

    def _push(self) -> None:
        try:
            now = _nanoseconds(self._now())
            self._delivery.deliver(metrics_data(self._meter.collect(), self._resource, self._began, now))
        except Exception as error:  # noqa: BLE001 - the next round may go better; the service does not depend on it
            _log.error("metrics_not_sent", exc_info=error)


def metrics_data(families: Sequence[Family], resource: Resource, began: int, now: int) -> MetricsData:
    """The numbers as OpenTelemetry's data model has them; times in nanoseconds since 1970."""
    metrics = [
        Metric(family.metric.name, family.metric.help, family.metric.unit or "1", _data(family, began, now))
        for family in families
        if family.points
    ]
    return MetricsData([ResourceMetrics(resource, [ScopeMetrics(_SCOPE, metrics, "")], "")])


def _data(family: Family, began: int, now: int) -> Sum | Gauge | Histogram:
    labels = family.metric.labels
    if family.metric.kind is Kind.HISTOGRAM:
        points = [_histogram(labels, family.metric.bounds, point, began, now) for point in family.points]
        return Histogram(points, _CUMULATIVE)
    numbers = [
        NumberDataPoint(_attributes(labels, point), began, now, point.value)
        for point in family.points
        if not isinstance(point.value, Distribution)
    ]
    if family.metric.kind is Kind.COUNTER:
        return Sum(numbers, _CUMULATIVE, is_monotonic=True)
    return Gauge(numbers)


def _histogram(
    labels: tuple[str, ...], bounds: tuple[float, ...], point: Point, began: int, now: int
) -> HistogramDataPoint:
    value = cast("Distribution", point.value)
    return HistogramDataPoint(
        attributes=_attributes(labels, point),
        start_time_unix_nano=began,
        time_unix_nano=now,
        count=sum(value.counts),
        sum=value.total,
        bucket_counts=value.counts,
        explicit_bounds=bounds,
        min=_UNKNOWN,
        max=_UNKNOWN,
    )


def _attributes(labels: tuple[str, ...], point: Point) -> dict[str, Any]:
    return dict(zip(labels, point.labels, strict=True))


def _nanoseconds(when: datetime) -> int:
    return int(when.timestamp() * 1_000_000) * 1000
