"""Open and close the telemetry that settings ask for; what they do not ask for is neither imported nor run.

Called by `app`.
"""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

from authz.telemetry.calls import Calls, labels_of
from authz.telemetry.headers import header_source
from authz.telemetry.loop import LoopMonitor
from authz.telemetry.process import observe_process
from authz.telemetry.readiness import Readiness
from authz.telemetry.telemetry import Telemetry
from authz.telemetry.traces import Traces

if TYPE_CHECKING:
    from authz.clock import Clock
    from authz.settings.telemetry import TelemetrySettings
    from authz.telemetry.meter import Meter
    from authz.telemetry.otlp import Collector


@asynccontextmanager
async def open_telemetry(
    settings: TelemetrySettings,
    *,
    methods: Sequence[str],
    clock: Clock,
    version: str,
    is_listening: bool = True,
    is_shown: bool = False,
) -> AsyncIterator[Telemetry]:
    """Telemetry for as long as the block runs; what is counted by then is delivered at its end.

    Args:
        settings: the table `[telemetry]`, held to `check_telemetry` before.
        methods: the paths of all methods that exist, `/SERVICE/METHOD`.
        clock: the time.
        version: of the program.
        is_listening: False for a worker, whose supervisor serves the operator's pages.
        is_shown: whether metrics are shown elsewhere, whatever the settings say.

    Raises:
        Unavailable: the address of the operator's pages cannot be opened.

    """
    is_metered = bool(settings.metrics_addr) or settings.metrics_push != "off" or is_shown
    labels = labels_of(methods)
    calls = Calls(labels.values()) if is_metered else None
    async with AsyncExitStack() as stack:
        is_delivering = settings.traces != "off" or settings.metrics_push != "off"
        collector = _collector(settings, clock, version) if is_delivering else None
        traces = _open_traces(stack, collector) if collector and settings.traces == "otlp" else None
        telemetry = Telemetry(Readiness(clock.monotonic), labels, calls, traces)
        if is_metered:
            observe_process(telemetry.meter, clock, version)
            _open_pages(stack, settings, telemetry, clock, is_listening=is_listening)
        if collector is not None:
            _observe_collector(telemetry.meter, collector, traces)
        if collector is not None and settings.metrics_push == "otlp":
            _open_push(stack, telemetry.meter, collector, clock)
        yield telemetry


def _collector(settings: TelemetrySettings, clock: Clock, version: str) -> Collector:
    from authz.telemetry.otlp import Collector, Outcomes, resource_of

    headers = header_source(settings.otlp_headers, settings.otlp_headers_file, clock.monotonic)
    resource = resource_of(settings, version, f"{platform.node()}:{os.getpid()}")
    return Collector(settings, headers, clock.monotonic, resource, Outcomes())


def _open_traces(stack: AsyncExitStack, collector: Collector) -> Traces:
    from authz.telemetry.otlp import span_processor
    from authz.telemetry.spans import SpanWriter

    processor, delivery = span_processor(collector)
    writer = SpanWriter(processor, collector.resource)
    stack.push_async_callback(asyncio.to_thread, writer.close)
    stack.callback(delivery.hurry)
    return Traces(writer.write, collector.settings.sample_ratio)


def _open_push(stack: AsyncExitStack, meter: Meter, collector: Collector, clock: Clock) -> None:
    from authz.telemetry.otlp import metric_delivery
    from authz.telemetry.push import MetricPush

    interval = collector.settings.metrics_push_interval
    push = MetricPush(meter, metric_delivery(collector), collector.resource, clock.now, interval)
    push.start()
    stack.push_async_callback(asyncio.to_thread, push.close)


def _observe_collector(meter: Meter, collector: Collector, traces: Traces | None) -> None:
    meter.observe_source("authz.telemetry.exports", lambda: collector.outcomes.counts)
    if traces is not None:
        meter.observe_source("authz.telemetry.spans", lambda: traces.spans)


def _open_pages(
    stack: AsyncExitStack, settings: TelemetrySettings, telemetry: Telemetry, clock: Clock, *, is_listening: bool
) -> None:
    monitor = LoopMonitor(clock)
    telemetry.meter.observe_source("authz.event.loop.lag", monitor.lags.read)
    watching = asyncio.create_task(monitor.watch_forever())
    stack.push_async_callback(_end, watching)
    from authz.telemetry.pages import pages_of, worker_pages_of

    make = pages_of if is_listening else worker_pages_of
    telemetry.pages = make(telemetry.meter, telemetry.readiness, monitor, settings.max_loop_lag)
    if is_listening and settings.metrics_addr:
        from authz.telemetry.listener import Listener

        listener = Listener(settings.metrics_addr, telemetry.pages)
        telemetry.address = listener.open()
        stack.push_async_callback(asyncio.to_thread, listener.close)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
