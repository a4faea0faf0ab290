"""What telemetry costs on the path of a call, and that it is not even imported when nobody asks."""

from __future__ import annotations

import subprocess
import sys
from timeit import repeat

import pytest

from authz.clock import SystemClock
from authz.telemetry import Readiness, Telemetry, Watch
from authz.telemetry.calls import Calls, labels_of
from authz.telemetry.traces import Traces
from tests.telemetry.support import METHODS, SERVICE, completed, traceparent

SLACK = 5
"""How much slower than the machine on which the bounds were set a test machine may be."""


def watch(kind: str) -> Watch:
    """Telemetry of some kind for one method."""
    clock, labels = SystemClock(), labels_of(METHODS)
    calls = Calls(labels.values()) if kind == "metrics" else None
    traces = Traces(lambda *_: None, 0.0) if kind == "unsampled" else None
    return Telemetry(Readiness(clock.monotonic), labels, calls, traces).watch(SERVICE, "Check")


@pytest.mark.parametrize(("kind", "microseconds"), [("off", 1.0), ("metrics", 3.0), ("unsampled", 6.0)])
def test_a_call_pays_little(kind: str, microseconds: float) -> None:
    """
    Under 1 µs when off, 3 µs with metrics, 6 µs when traced and not sampled, the caller's headers included.
    """
    watched, ends = watch(kind), completed(decisions=(True,))
    headers = (("user-agent", "grpc"), ("authorization", "Bearer x"), ("a", "b"))
    if kind == "unsampled":
        headers += (("traceparent", traceparent(flags="00")),)
    best = min(repeat(lambda: watched.end(watched.begin(headers), ends), number=1000, repeat=5)) / 1000
    assert best * 1e6 < microseconds * SLACK


def test_what_is_not_asked_for_is_not_imported() -> None:
    """
    The SDK, its exporters and the Prometheus client stay out of a process that does not use them.
    """
    code = (
        "import sys, authz.telemetry;"
        "print([m for m in sys.modules if m.split('.')[0] in ('opentelemetry', 'prometheus_client', 'requests')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
