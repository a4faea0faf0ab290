"""Write batches to all sinks, again and again until each has them. Used by `recorder`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from authz.audit.chain import Payload
from authz.audit.sinks.sink import Sink, SinkProblem
from authz.clock import Clock
from authz.errors import AuthzError

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
"""Seconds before a failed write is tried again: doubled each time, up to the longest."""

_log = structlog.get_logger(__name__)


class Delivery:
    """The sinks. `changed` is called when `is_failing` changes: after `grace` seconds of writes that fail or do not
    end, and back."""

    def __init__(self, sinks: Sequence[Sink], grace: float, clock: Clock, changed: Callable[[], None]) -> None:
        self._sinks = sinks
        self._grace = grace
        self._monotonic = clock.monotonic
        self._changed = changed
        self._failing: set[str] = set()
        self.written = dict.fromkeys((sink.name for sink in sinks), 0)
        self.failures = dict.fromkeys((sink.name for sink in sinks), 0)

    @property
    def is_failing(self) -> bool:
        """Whether a sink has failed for longer than the grace."""
        return bool(self._failing)

    async def deliver(self, payloads: Sequence[Payload]) -> None:
        """Write a batch to every sink; returns when all have it."""
        if len(self._sinks) == 1:
            await self._write(self._sinks[0], payloads)
        else:
            await asyncio.gather(*(self._write(sink, payloads) for sink in self._sinks))

    async def close(self) -> None:
        """Close the sinks."""
        for sink in self._sinks:
            await sink.close()

    async def _write(self, sink: Sink, payloads: Sequence[Payload]) -> None:
        started, pause = self._monotonic(), FIRST_PAUSE
        # A write that neither fails nor ends is a failing one, too.
        overdue = asyncio.get_running_loop().call_later(self._grace, self._overdue, sink.name)
        try:
            while True:
                try:
                    await sink.write(payloads)
                except Exception as error:  # noqa: BLE001 - whatever it is, the records must be written
                    self._failed(sink.name, error, self._monotonic() - started)
                else:
                    break
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
        finally:
            overdue.cancel()
        self.written[sink.name] += len(payloads)
        if sink.name in self._failing:
            self._failing.discard(sink.name)
            _log.warning("audit_sink_recovered", sink=sink.name, seconds=round(self._monotonic() - started, 1))
            self._changed()

    def _failed(self, name: str, error: Exception, seconds: float) -> None:
        self.failures[name] += 1
        _log.error("audit_sink_failed", sink=name, why=_told(error), seconds=round(seconds, 1))
        if seconds >= self._grace:
            self._fail(name)

    def _overdue(self, name: str) -> None:
        if name not in self._failing:
            _log.error("audit_sink_overdue", sink=name, seconds=self._grace)
            self._fail(name)

    def _fail(self, name: str) -> None:
        if name not in self._failing:
            self._failing.add(name)
            self._changed()


def _told(error: Exception) -> str:
    if isinstance(error, AuthzError | SinkProblem):
        return str(error)
    # What others put into their messages may show what no log may show.
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
