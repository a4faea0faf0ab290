"""Make OpenTelemetry spans of calls that have ended. Called by `traces` for sampled calls; opened by `telemetry`.

Imports the SDK, so it is itself imported only when calls are traced.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor

    from authz.call import Completed
    from authz.telemetry.traces import Span

Attributes = dict[str, str | int]

_NUMBERS = {
    name: number
    for number, name in enumerate(
        (
            "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
            "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
            "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
        )
    )
}  # fmt: skip
# https://opentelemetry.io/docs/specs/semconv/rpc/grpc/: of a server's statuses these are errors of the server
_OUR_FAULT = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_ROOT = Context()
_DECISIONS = {True: "allowed", False: "denied", None: "failed"}


class SpanWriter:
    """Spans under the ids that `traces` chose. Used on the event loop only."""

    def __init__(self, processor: SpanProcessor, resource: Resource) -> None:
        self._ids = _ChosenIds()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False, id_generator=self._ids
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("authz")

    def write(self, span: Span, name: str, completed: Completed) -> None:
        """Record a call that has ended, as one span."""
        self._ids.trace_id = int(span.trace_id, 16)
        begun = int(completed.started_at.timestamp() * 1_000_000) * 1000
        recorded = self._tracer.start_span(
            name, _context_of(span), SpanKind.SERVER, _attributes(name, completed), start_time=begun
        )
        if completed.code in _OUR_FAULT:
            recorded.set_status(Status(StatusCode.ERROR, completed.reason))
        recorded.end(begun + int(completed.seconds * 1e9))

    def close(self) -> None:
        """Deliver what is left. Blocks for as long as the exporter's timeouts allow."""
        self._provider.shutdown()


class _ChosenIds(RandomIdGenerator):
    """Gives the trace id that was chosen when the call began."""

    trace_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id


def _context_of(span: Span) -> Context:
    parent = span.parent
    if parent is None:
        return _ROOT
    state = TraceState.from_header([span.state]) if span.state else TraceState()
    remote = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), True, _SAMPLED, state)  # noqa: FBT003
    return set_span_in_context(NonRecordingSpan(remote), _ROOT)


def _attributes(name: str, completed: Completed) -> Attributes:
    """What a span tells: ids, counts and outcomes; never who asked about whom."""
    service, _, method = name.partition("/")
    found: Attributes = {
        "rpc.system": "grpc",
        "rpc.service": service,
        "rpc.method": method,
        "rpc.grpc.status_code": _NUMBERS.get(completed.code, _NUMBERS["UNKNOWN"]),
        "authz.request_id": completed.call.request_id,
    }
    optional = (
        ("authz.store_id", completed.store_id),
        ("authz.model_id", completed.model_id),
        ("authz.reason", completed.reason),
        ("authz.results", completed.results),
        ("authz.revision", completed.revision),
    )
    found.update({key: value for key, value in optional if value not in ("", None)})
    decisions = completed.decisions
    if len(decisions) == 1:
        found["authz.decision"] = _DECISIONS[decisions[0]]
    elif decisions:
        for decision, count in Counter(decisions).items():
            found[f"authz.decisions.{_DECISIONS[decision]}"] = count
    return found
