"""Deliver spans and metrics to a collector. Opened by `telemetry` when settings say so.

Imports the SDK and the exporters, so it is itself imported only then. Exporters are made anew when their headers
change, since they keep those that they began with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from authz.settings.telemetry import TelemetrySettings
    from authz.telemetry.headers import Headers

_QUEUE, _BATCH, _DELAY_MS = 4096, 512, 2000


class Outcomes:
    """How many deliveries went well and ill, by signal."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}

    def count(self, signal: str, *, is_done: bool) -> None:
        """Count one."""
        key = signal, "delivered" if is_done else "failed"
        self.counts[key] = self.counts.get(key, 0) + 1


class Collector(NamedTuple):
    """Where to deliver to."""

    settings: TelemetrySettings
    headers: Callable[[], Headers]
    monotonic: Callable[[], float]
    resource: Resource
    outcomes: Outcomes


class Delivery:
    """One kind of signal on its way to the collector. Used by one thread at a time."""

    def __init__(self, collector: Collector, signal: str, make: Callable[[TelemetrySettings, Headers], Any]) -> None:
        self._collector = collector
        self._signal = signal
        self._make = make
        self._headers = collector.headers()
        self._exporter = make(collector.settings, self._headers)
        self._until = float("inf")

    def deliver(self, batch: object) -> bool:
        """Send; returns whether the collector took it."""
        if self._collector.monotonic() > self._until:
            self._collector.outcomes.count(self._signal, is_done=False)
            return False
        self._renew()
        result = self._exporter.export(batch)
        is_done = result in (SpanExportResult.SUCCESS, MetricExportResult.SUCCESS)
        self._collector.outcomes.count(self._signal, is_done=is_done)
        return is_done

    def hurry(self) -> None:
        """What is not delivered within one more timeout is dropped."""
        self._until = self._collector.monotonic() + self._collector.settings.otlp_timeout

    def close(self) -> None:
        """Let go of the connection."""
        self._exporter.shutdown()

    def _renew(self) -> None:
        headers = self._collector.headers()
        if headers != self._headers:
            former, self._exporter = self._exporter, self._make(self._collector.settings, headers)
            self._headers = headers
            former.shutdown()


class SpanDelivery(SpanExporter):
    """What the SDK calls for each batch of spans."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch."""
        return SpanExportResult.SUCCESS if self._delivery.deliver(spans) else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """End."""
        self._delivery.close()


def span_processor(collector: Collector) -> tuple[BatchSpanProcessor, Delivery]:
    """A bounded queue of spans with a thread that delivers them; when it is full, the oldest are dropped."""
    delivery = Delivery(collector, "traces", _span_exporter)
    processor = BatchSpanProcessor(
        SpanDelivery(delivery),
        max_queue_size=_QUEUE,
        schedule_delay_millis=_DELAY_MS,
        max_export_batch_size=_BATCH,
        export_timeout_millis=collector.settings.otlp_timeout * 1000,
    )
    return processor, delivery


def metric_delivery(collector: Collector) -> Delivery:
    """Where metrics go."""
    return Delivery(collector, "metrics", _metric_exporter)


def resource_of(settings: TelemetrySettings, version: str, instance: str) -> Resource:
    """Who sends: the names that collectors know, and those of `OTEL_RESOURCE_ATTRIBUTES`."""
    return Resource.create(
        {"service.name": settings.service_name, "service.version": version, "service.instance.id": instance}
    )


def _span_exporter(settings: TelemetrySettings, headers: Headers) -> SpanExporter:
    if settings.otlp_protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter(endpoint=settings.otlp_endpoint, headers=headers, timeout=settings.otlp_timeout)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

    return HttpExporter(**_http(settings, headers, "traces"))


def _metric_exporter(settings: TelemetrySettings, headers: Headers) -> Any:
    if settings.otlp_protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter

        return GrpcExporter(endpoint=settings.otlp_endpoint, headers=headers, timeout=settings.otlp_timeout)
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter

    return HttpExporter(**_http(settings, headers, "metrics"))


def _http(settings: TelemetrySettings, headers: Headers, signal: str) -> dict[str, Any]:
    return {
        "endpoint": f"{settings.otlp_endpoint}/v1/{signal}",
        "headers": headers,
        "timeout": settings.otlp_timeout,
        "certificate_file": None if settings.otlp_ca_file is None else str(settings.otlp_ca_file),
    }
