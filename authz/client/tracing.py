"""The trace context of the caller, as metadata. Used for every call; does nothing without `opentelemetry-api`.

Only `traceparent` and `tracestate` are sent: baggage may hold what is nobody else's business.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

Metadata = tuple[tuple[str, str], ...]


def _nothing() -> Metadata:
    return ()


def _tracer() -> Callable[[], Metadata]:
    try:
        module = import_module("opentelemetry.trace.propagation.tracecontext")
    except ImportError:
        return _nothing
    inject = module.TraceContextTextMapPropagator().inject

    def current() -> Metadata:
        carrier: dict[str, str] = {}
        inject(carrier)
        return tuple(carrier.items())

    return current


trace_metadata: Callable[[], Metadata] = _tracer()
"""`traceparent` and `tracestate` of the current span; empty without one."""
