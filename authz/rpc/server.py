"""Serve the chain over gRPC, whichever library takes the calls off the wire. Built and started by `app`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from authz.rpc.door import Door
from authz.rpc.grpcio_server import GrpcioListener
from authz.rpc.healthcheck import HealthCheck
from authz.rpc.methods import METHODS
from authz.rpc.served import Listener, Served
from authz.rpc.transport import Transport

if TYPE_CHECKING:
    from authz.rpc.edge import Edge
    from authz.rpc.exchange import Method

_REFUSING_SECONDS = 0.25
_PLAIN = Transport()


class GrpcServer:
    """The gRPC server of one process: open, serve, drain."""

    def __init__(self, edge: Edge, methods: Sequence[Method] = METHODS, transport: Transport = _PLAIN) -> None:
        limits = transport.limits
        self._gate = edge.gate
        door = Door(limits.max_calls_per_peer, edge.services.clock.monotonic)
        edge.telemetry.meter.observe_source("authz.limits.turned.away", lambda: door.refused)
        names = sorted({method.service for method in methods})
        self._health = HealthCheck(names, transport.admit_peer, limits.max_watches)
        self._listener = _listener(Served(edge, methods, door, self._health), transport)

    def listen(self, address: str) -> int:
        """Open the address; returns the port, which is a free one for port 0.

        Raises:
            RuntimeError: the address is taken or cannot be opened.

        """
        return self._listener.listen(address)

    async def start(self) -> None:
        """Begin to answer, still telling health checks to wait."""
        await self._listener.start()

    async def ready(self) -> None:
        """Tell health checks that calls are welcome."""
        self._health.tell(is_ready=True)

    async def drain(self, grace: float) -> None:
        """Take no more calls and let running ones end within `grace` seconds.

        For a moment new calls are refused by us, as UNAVAILABLE: the listener would cancel those that it has not handed
        over yet, and clients do not try again what was cancelled.
        """
        self._gate.is_open = False
        self._health.close()
        await asyncio.sleep(min(_REFUSING_SECONDS, grace / 10))
        await self._listener.stop(grace)


def _listener(served: Served, transport: Transport) -> Listener:
    if transport.kind == "grpcio":
        return GrpcioListener(served, transport)
    # Loaded only here, for it is of an extra that need not be installed.
    from authz.rpc.native_server import NativeListener

    return NativeListener(served, transport)
