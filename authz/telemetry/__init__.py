"""Metrics, traces, liveness and readiness for those who operate the service. Opened by `app`; asked by `rpc`."""

from __future__ import annotations

from authz.telemetry.buckets import Buckets, Distribution
from authz.telemetry.checking import check_telemetry
from authz.telemetry.datastore import measured
from authz.telemetry.meter import Meter
from authz.telemetry.opening import open_telemetry
from authz.telemetry.parts import observe_alerts, observe_audit, observe_directives, observe_events, observe_replica
from authz.telemetry.readiness import Readiness
from authz.telemetry.telemetry import Telemetry
from authz.telemetry.traces import NO_SPAN, Span
from authz.telemetry.watch import Watch

__all__ = [
    "NO_SPAN",
    "Buckets",
    "Distribution",
    "Meter",
    "Readiness",
    "Span",
    "Telemetry",
    "Watch",
    "check_telemetry",
    "measured",
    "observe_alerts",
    "observe_audit",
    "observe_directives",
    "observe_events",
    "observe_replica",
    "open_telemetry",
]
