"""All connections of an HTTP server: how many there may be, and who of them is late. Used by `server`, `connection`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from authz.http.connection import Connection
    from authz.settings.limits import LimitsSettings
    from authz.settings.web import WebSettings

MOST_ARRIVING = 128 * 1024 * 1024
"""How many bytes of requests that are not whole may be held; then large ones are refused."""
LOOK_SECONDS = 0.25
"""How often it is looked for clients that are late."""


class Bounds(NamedTuple):
    """What connections are held to; times are in seconds."""

    max_connections: int
    max_head_bytes: int
    arrival: float
    stall: float
    idle: float
    age: float

    @classmethod
    def of(cls, http: WebSettings, limits: LimitsSettings) -> Bounds:
        """Those that the settings choose."""
        return cls(
            limits.max_connections,
            limits.max_metadata_bytes,
            http.arrival_timeout,
            http.stall_timeout,
            limits.connection_idle,
            limits.connection_age,
        )


class Connections:
    """See the module.

    Args:
        bounds: see there.
        monotonic: seconds on a clock that never goes back.

    """

    def __init__(self, bounds: Bounds, monotonic: Callable[[], float]) -> None:
        self.bounds = bounds
        self.now = monotonic
        self.open: set[Connection] = set()
        self.refused = 0
        """How many were cut or not taken."""
        self.arriving = 0
        """How many bytes are held of requests that are not whole."""
        self.all_gone = asyncio.Event()
        self._looking: asyncio.TimerHandle | None = None

    def add(self, connection: Connection) -> bool:
        """Take a connection, unless there are too many."""
        if len(self.open) >= self.bounds.max_connections:
            self.refused += 1
            return False
        self.open.add(connection)
        self.all_gone.clear()
        if self._looking is None:
            self._look()
        return True

    def remove(self, connection: Connection) -> None:
        """A connection has ended."""
        self.open.discard(connection)
        if not self.open:
            self.all_gone.set()

    def _look(self) -> None:
        now = self.now()
        for connection in list(self.open):
            self.refused += connection.look(now)
        loop = asyncio.get_running_loop()
        self._looking = loop.call_later(LOOK_SECONDS, self._look) if self.open else None
