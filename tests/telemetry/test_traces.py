"""Traces: which calls have a span, what it says, and how it gets to the collector."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from pydantic import SecretStr

from authz.call import Completed, Scope
from authz.clock import SystemClock
from authz.settings.telemetry import TelemetrySettings
from authz.telemetry import Span, Telemetry, open_telemetry
from authz.telemetry.traces import Traces
from authz.tuples import TupleKey
from tests.telemetry.support import (
    METHODS,
    PARENT,
    SERVICE,
    START,
    TRACE,
    attributes,
    collector,
    completed,
    refused,
    traceparent,
)

FROM_CALLER = (("traceparent", traceparent()), ("tracestate", "vendor=1"))


class Written:
    """The spans that were handed on."""

    def __init__(self, ratio: float) -> None:
        self.spans: list[Span] = []
        self.traces = Traces(self._write, ratio)

    def _write(self, span: Span, _name: str, _completed: Completed) -> None:
        self.spans.append(span)

    def call(self, *headers: tuple[str, str], ends: Completed | None = None) -> Span:
        """One call."""
        span = self.traces.begin(headers)
        self.traces.end(span, "s/m", ends or completed())
        return span


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[Telemetry]:
    """Telemetry by these settings."""
    given = TelemetrySettings(**settings)
    async with open_telemetry(given, methods=METHODS, clock=SystemClock(), version="1.2.3") as telemetry:
        yield telemetry


def test_a_call_without_a_parent_begins_a_trace() -> None:
    """
    Its id is 32 hex digits and its own, and it is there whether the call is sampled or not.
    """
    written = Written(0.0)
    ids = {written.call().trace_id for _ in range(100)}
    assert len(ids) == 100
    assert all(len(each) == 32 and int(each, 16) for each in ids)
    assert written.spans == []


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_the_caller_decides(ratio: float) -> None:
    """
    Within the trace of a caller, its flag counts and not the ratio.
    """
    written = Written(ratio)
    span = written.call(*FROM_CALLER)
    assert written.spans == [span]
    assert span.trace_id == TRACE
    assert span.state == "vendor=1"
    assert written.call(("traceparent", traceparent(flags="00"))).trace_id == TRACE
    assert len(written.spans) == 1


def test_the_ratio_holds() -> None:
    """
    About that part of the calls is sampled.
    """
    written = Written(0.25)
    for _ in range(2000):
        written.call()
    assert 350 < len(written.spans) < 650


def test_a_caller_that_is_refused_at_the_door_imposes_no_spans() -> None:
    """
    A flood of calls without proof cannot fill the collector by asking to be sampled.
    """
    written = Written(0.0)
    for ends in (refused(), completed("RESOURCE_EXHAUSTED", "throttled_timeout_error")):
        written.call(*FROM_CALLER, ends=ends)
    assert written.spans == []
    assert Written(1.0).call(*FROM_CALLER, ends=refused()).is_sampled


def test_without_traces_the_callers_id_is_still_known() -> None:
    """
    Audit records can be joined with the caller's traces although we make none.
    """
    watch = Telemetry.off(SystemClock()).watch(SERVICE, "Check")
    assert watch.begin(FROM_CALLER).trace_id == TRACE
    assert watch.begin(()).trace_id == ""
    watch.end(watch.begin(FROM_CALLER), completed())


@pytest.mark.anyio
async def test_a_span_says_what_was_decided_and_not_about_whom() -> None:
    """
    Ids, counts and outcomes arrive at the collector within the caller's trace; objects, users and principals do not.
    """
    ends = completed(
        store_id="01STORE",
        model_id="01MODEL",
        decisions=(True,),
        revision=7,
        keys=(TupleKey("doc:secret", "r", "u:anne"),),
    )
    with collector() as received:
        async with opened(traces="otlp", otlp_endpoint=received.url) as telemetry:
            watch = telemetry.watch(SERVICE, "Check")
            watch.end(watch.begin(FROM_CALLER), ends)
    (span,) = received.spans()
    assert span.name == f"{SERVICE}/Check"
    assert span.kind == span.SPAN_KIND_SERVER
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.trace_state) == (TRACE, PARENT, "vendor=1")
    assert span.start_time_unix_nano == int(START.timestamp()) * 10**9
    assert span.end_time_unix_nano - span.start_time_unix_nano == 400_000
    assert span.status.code == span.status.STATUS_CODE_UNSET
    assert attributes(span) == {
        "rpc.system": "grpc",
        "rpc.service": SERVICE,
        "rpc.method": "Check",
        "rpc.grpc.status_code": 0,
        "authz.request_id": "request-1",
        "authz.store_id": "01STORE",
        "authz.model_id": "01MODEL",
        "authz.decision": "allowed",
        "authz.revision": 7,
    }
    sent = received.traces[0].SerializeToString()
    assert not any(word in sent for word in (b"secret", b"anne", b"issuer"))
    resource = attributes(received.traces[0].resource_spans[0].resource)
    assert (resource["service.name"], resource["service.version"]) == ("authz", "1.2.3")


@pytest.mark.anyio
async def test_batches_are_counted_and_failures_are_named() -> None:
    """
    A batch tells how many were allowed, denied and failed; a call that failed by our fault is an error.
    """
    with collector() as received:
        async with opened(traces="otlp", otlp_endpoint=received.url) as telemetry:
            watch = telemetry.watch(SERVICE, "BatchCheckOfTomorrow")
            for ends in (
                completed(decisions=(True, False, False, None)),
                completed("UNAVAILABLE", "unavailable", scope=Scope.WRITE),
                completed("NOT_FOUND", "store_id_not_found"),
            ):
                watch.end(watch.begin(()), ends)
    batch, broken, missing = received.spans()
    counts = {key: value for key, value in attributes(batch).items() if key.startswith("authz.decision")}
    assert counts == {"authz.decisions.allowed": 1, "authz.decisions.denied": 2, "authz.decisions.failed": 1}
    assert batch.name == f"{SERVICE}/_OTHER"
    assert (broken.status.code, broken.status.message) == (broken.status.STATUS_CODE_ERROR, "unavailable")
    assert attributes(broken)["rpc.grpc.status_code"] == 14
    assert missing.status.code == missing.status.STATUS_CODE_UNSET
    assert attributes(missing)["authz.reason"] == "store_id_not_found"
    assert len({span.trace_id for span in received.spans()}) == 3


@pytest.mark.anyio
async def test_a_malformed_state_costs_only_itself() -> None:
    """
    The span stays in its trace.
    """
    with collector() as received:
        async with opened(traces="otlp", otlp_endpoint=received.url) as telemetry:
            watch = telemetry.watch(SERVICE, "Check")
            watch.end(watch.begin((("traceparent", traceparent()), ("tracestate", "=;==, ,\x7f"))), completed())
    (span,) = received.spans()
    assert (span.trace_id.hex(), span.trace_state) == (TRACE, "")


@pytest.mark.anyio
async def test_headers_rotate(tmp_path: Path) -> None:
    """
    A collector's token that changes in its file is used from then on, without a restart.
    """
    file = tmp_path / "headers"
    file.write_text("Authorization=Bearer%20first\n")
    with collector() as received:
        settings: dict[str, Any] = {"metrics_push": "otlp", "metrics_push_interval": 0.05}
        async with opened(otlp_endpoint=received.url, otlp_headers_file=file, **settings):
            _wait_for(lambda: any(h["authorization"] == "Bearer first" for h in received.headers))
            file.write_text("Authorization=Bearer%20the-second\n")
            _wait_for(lambda: any(h["authorization"] == "Bearer the-second" for h in received.headers))


@pytest.mark.anyio
async def test_a_collector_that_is_away_delays_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """
    The end takes no longer than the timeout, no secret is logged, and no thread is left.
    """
    threads = set(threading.enumerate())
    started = time.monotonic()
    secret = SecretStr("authorization=hidden-token")
    async with opened(
        traces="otlp", metrics_push="otlp", otlp_endpoint="http://127.0.0.1:9", otlp_timeout=0.3, otlp_headers=secret
    ) as telemetry:
        watch = telemetry.watch(SERVICE, "Check")
        for _ in range(600):
            watch.end(watch.begin(()), completed())
        assert time.monotonic() - started < 1.0
    assert time.monotonic() - started < 4.0
    assert "hidden-token" not in caplog.text
    assert {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio")} <= threads


@pytest.mark.anyio
async def test_spans_over_grpc() -> None:
    """
    The other protocol of collectors works the same, headers included.
    """
    got: list[Any] = []

    class Servicer(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:
            got.append((request, dict(context.invocation_metadata())))
            return trace_service_pb2.ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        async with opened(
            traces="otlp",
            otlp_protocol="grpc",
            otlp_endpoint=f"http://127.0.0.1:{port}",
            otlp_headers=SecretStr("X-Token=one"),
        ) as telemetry:
            watch = telemetry.watch(SERVICE, "Check")
            watch.end(watch.begin(()), completed())
    finally:
        server.stop(0).wait()
    ((request, metadata),) = got
    assert request.resource_spans[0].scope_spans[0].spans[0].name == f"{SERVICE}/Check"
    assert metadata["x-token"] == "one"


def _wait_for(condition: Any) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
