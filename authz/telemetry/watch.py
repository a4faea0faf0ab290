"""What the chain asks of telemetry for each call of one method. Made by `telemetry`, called by the step `observe`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz.telemetry.traces import caller_trace

if TYPE_CHECKING:
    from authz.call import Completed
    from authz.telemetry.calls import Calls, Row
    from authz.telemetry.context import Metadata
    from authz.telemetry.traces import Span, Traces


class Watch:
    """One method as telemetry sees it. Every `begin` is followed by one `end`."""

    __slots__ = ("_calls", "_name", "_row", "_traces")

    def __init__(self, name: str, calls: Calls | None, row: Row | None, traces: Traces | None) -> None:
        self._name = name
        self._calls = calls
        self._row = row
        self._traces = traces

    def begin(self, metadata: Metadata) -> Span:
        """A call begins; its `trace_id` belongs into the call, so that its record and its span can be joined."""
        row = self._row
        if row is not None:
            row.active += 1
        traces = self._traces
        return caller_trace(metadata) if traces is None else traces.begin(metadata)

    def end(self, span: Span, completed: Completed) -> None:
        """The call has ended."""
        calls, row = self._calls, self._row
        if calls is not None and row is not None:
            row.active -= 1
            calls.count(row, completed)
        if span.is_sampled and self._traces is not None:
            self._traces.end(span, self._name, completed)
