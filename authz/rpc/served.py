"""What a listener serves, and how a call that has arrived becomes an exchange. Used by `server` and the listeners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from authz.call import Call
from authz.rpc.door import Door
from authz.rpc.edge import Edge
from authz.rpc.exchange import Exchange, Method
from authz.rpc.healthcheck import HealthCheck
from authz.rpc.metadata import REQUEST_ID, request_id

Metadata = tuple[tuple[str, str | bytes], ...]
Opening = Callable[[bytes, str, Metadata, float | None], Exchange]
"""Makes an exchange of the request, the caller's address, the metadata, and the seconds that the caller still waits."""


class Served(NamedTuple):
    """All calls of a process, whichever way they come in."""

    edge: Edge
    methods: Sequence[Method]
    door: Door
    health: HealthCheck

    @property
    def services(self) -> list[str]:
        """The names of the services."""
        return sorted({method.service for method in self.methods})


class Listener(Protocol):
    """Takes calls off the wire."""

    def listen(self, address: str) -> int:
        """Open the address; returns the port. Raises RuntimeError when that cannot be done."""

    async def start(self) -> None:
        """Begin to take calls."""

    async def stop(self, grace: float) -> None:
        """Take no more calls; those that run may still take so many seconds."""


def opening(edge: Edge, method: Method) -> Opening:
    """How calls of a method begin."""
    monotonic = edge.services.clock.monotonic
    allowed, path = method.timeout(edge.services.limits), method.path

    def begin(payload: bytes, peer: str, metadata: Metadata, remaining: float | None) -> Exchange:
        seconds = allowed if remaining is None or remaining > allowed else remaining
        given = ""
        for key, value in metadata:
            if key == REQUEST_ID:
                given = value if isinstance(value, str) else ""
                break
        name = request_id(given)
        call = Call(name, deadline=monotonic() + seconds, peer=peer, method=path)
        return Exchange(method, call, metadata, payload, seconds, initial=[(REQUEST_ID, name)])

    return begin
