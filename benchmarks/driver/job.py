"""What a client process is told to do. Sent by `fleet` to `client`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple


class Load(NamedTuple):
    """How a server is asked; all figures are for all client processes together."""

    loop: Literal["closed", "open"]
    connections: int = 1
    streams: int = 1
    """Calls at a time on each connection, in the closed loop."""
    rate: float = 0.0
    """Calls per second, in the open loop."""
    writes: float = 0.0
    """Writes per second beside them, each followed by a check of what it has changed."""
    mix: tuple[tuple[str, float], ...] = (("check", 1.0),)

    @property
    def shown(self) -> str:
        """As it stands in tables."""
        asked = "+".join(operation for operation, _ in self.mix)
        how = f"open {self.rate:g}/s" if self.loop == "open" else f"closed {self.connections}x{self.streams}"
        return f"{asked} {how}" + (f" +{self.writes:g} writes/s" if self.writes else "")


class Job(NamedTuple):
    """A load on one server, for one process of several."""

    address: str
    script: Path
    load: Load
    part: int
    parts: int
    seed: str
    token: str = ""
    """Sent as bearer token, if any."""
    call_seconds: float = 10.0
    wire: Literal["grpc", "http"] = "grpc"
    """How it is asked."""
    fresh: bool = True
    """Whether the server promises that a write is seen by every check after its acknowledgement."""


class Times(NamedTuple):
    """When a job begins, when it begins to count, and when it ends: nanoseconds of the monotonic clock."""

    begin: int
    start: int
    end: int
