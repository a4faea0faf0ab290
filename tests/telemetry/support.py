"""Calls that have ended, a clock that obeys, and a collector. Used by the tests in this folder."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from authz.call import ANONYMOUS, Authentication, Call, Completed, Principal, Scope

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HOLDER = Principal("issuer/anne", Authentication.TOKEN)
METHODS = ("/openfga.v1.OpenFGAService/Check", "/openfga.v1.OpenFGAService/Write")
SERVICE = "openfga.v1.OpenFGAService"


class TestClock:
    """A clock that stands still until told."""

    __test__ = False

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        """The time of day."""
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self.seconds


def completed(code: str = "OK", reason: str = "", principal: Principal = HOLDER, **details: Any) -> Completed:
    """A check that has ended."""
    scope = details.pop("scope", Scope.CHECK)
    seconds = details.pop("seconds", 0.0004)
    return Completed(Call("request-1", principal), scope, START, seconds, code, reason, **details)


def refused(reason: str = "auth_failed_invalid_bearer_token") -> Completed:
    """A call of somebody who could not prove anything."""
    return completed("UNAUTHENTICATED", reason, ANONYMOUS)


def traceparent(trace: str = TRACE, parent: str = PARENT, flags: str = "01", version: str = "00") -> str:
    """A header of W3C Trace Context."""
    return f"{version}-{trace}-{parent}-{flags}"


class Received:
    """What a collector got."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.headers: list[dict[str, str]] = []
        self.traces: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []

    def spans(self) -> list[Any]:
        """All spans so far."""
        return [
            span
            for request in self.traces
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def last_metrics(self) -> dict[str, Any]:
        """The metrics of the last delivery by name."""
        return {
            metric.name: metric
            for resource in self.metrics[-1].resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@contextmanager
def collector() -> Iterator[Received]:
    """A collector over HTTP on loopback."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.headers.append({name.lower(): value for name, value in self.headers.items()})
            if received.status == 200:
                if self.path == "/v1/traces":
                    received.traces.append(ExportTraceServiceRequest.FromString(body))
                else:
                    received.metrics.append(ExportMetricsServiceRequest.FromString(body))
            self.send_response(received.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    received.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def attributes(span: Any) -> dict[str, Any]:
    """The attributes of a span or point as they came over the wire."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes}
