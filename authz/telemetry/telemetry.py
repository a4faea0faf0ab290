"""What is measured and told of one process. Built by `opening`; the chain takes a `Watch` for each method from it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from authz.telemetry.calls import OTHER, Calls
from authz.telemetry.meter import Meter
from authz.telemetry.readiness import Readiness
from authz.telemetry.watch import Watch

if TYPE_CHECKING:
    from authz.clock import Clock
    from authz.telemetry.listener import Page
    from authz.telemetry.traces import Traces


class Telemetry:
    """Metrics, traces and health. Parts of the service register with `meter` and `readiness`."""

    def __init__(
        self,
        readiness: Readiness,
        labels: Mapping[str, str] = MappingProxyType({}),
        calls: Calls | None = None,
        traces: Traces | None = None,
    ) -> None:
        self.meter = Meter()
        self.readiness = readiness
        self.address = ""
        """HOST:PORT of the operator's pages; empty when there are none, or another process serves them."""
        self.pages: Mapping[str, Page] = {}
        """The operator's pages, for those who serve them: the listener, the supervisor, HTTP."""
        self._labels = labels
        self._calls = calls
        self._traces = traces
        if calls is not None:
            calls.register(self.meter)

    @classmethod
    def off(cls, clock: Clock) -> Telemetry:
        """Telemetry that nobody asked for: takes everything, measures nothing, costs nearly nothing."""
        return cls(Readiness(clock.monotonic))

    def watch(self, service: str, method: str) -> Watch:
        """What the chain of a method calls. All methods that do not exist are one: callers can make no series."""
        label = self._labels.get(f"/{service}/{method}", OTHER)
        name = f"{service}/{OTHER if label == OTHER else method}"
        row = None if self._calls is None else self._calls.row(label)
        return Watch(name, self._calls, row, self._traces)
