"""Whether the event loop turns, and how late it comes. Run by `telemetry`; asked by the listener's `/livez`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from authz.telemetry.buckets import Buckets
from authz.telemetry.catalogue import LAG_SECONDS

if TYPE_CHECKING:
    from authz.clock import Clock

INTERVAL = 0.1
"""Seconds between two looks."""


class LoopMonitor:
    """Measures how late a timer of the event loop rings."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due = float("inf")
        self.lags = Buckets(LAG_SECONDS)

    @property
    def lateness(self) -> float:
        """Seconds by which the event loop is late at this moment; 0 before the first look. Asked from any thread."""
        return max(0.0, self._clock.monotonic() - self._due)

    async def watch_forever(self) -> None:
        """Look every `INTERVAL` until cancelled."""
        while True:
            self._due = self._clock.monotonic() + INTERVAL
            await asyncio.sleep(INTERVAL)
            self.lags.record(self.lateness)
