"""Health for those who operate the service (grpc.health.v1). Served by `server` outside the chain: open to everybody.

`liveness` says that the process runs: who restarts processes asks for it. `readiness`, the empty name and the names of
the services say whether calls are welcome: who sends calls asks for those. Whoever asks is held to the limits of his
address, the streams of `Watch` are bounded in number, and one that is not read holds up nobody.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn, Protocol

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from authz.rpc.errors import RETRY_AFTER
from authz.rpc.tls import peer_address

if TYPE_CHECKING:
    from google.protobuf.message import Message

    Admit = Callable[[str], float | None]

SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
LIVENESS = "liveness"
READINESS = "readiness"

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
_AGAIN_SECONDS = 1.0


class Context(Protocol):
    """A call, as grpcio and the native listener show it."""

    def peer(self) -> str:
        """Who calls, as grpc names it."""

    async def write(self, message: Message, /) -> None:
        """Send one of many answers."""

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: tuple[tuple[str, str], ...] = (), /
    ) -> NoReturn:
        """End the call with a status."""


class HealthCheck:
    """Answers Check, List and Watch.

    Args:
        services: the names of the services whose calls are welcome when the process is ready.
        admit: says how many seconds an address must wait, or None; None when addresses are not limited.
        max_watches: how many streams of Watch there may be.

    """

    def __init__(self, services: Sequence[str], admit: Admit | None, max_watches: int) -> None:
        self._ready_names = ("", READINESS, *services)
        self._statuses = {LIVENESS: _SERVING, **dict.fromkeys(self._ready_names, _NOT_SERVING)}
        self._admit = admit
        self._max_watches = max_watches
        self._watches = 0
        self._changed = asyncio.Event()
        self._is_closed = False

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve this."""
        health_pb2_grpc.add_HealthServicer_to_server(self, server)

    def tell(self, *, is_ready: bool) -> None:
        """Say whether calls are welcome."""
        self._statuses.update(dict.fromkeys(self._ready_names, _SERVING if is_ready else _NOT_SERVING))
        self._wake()

    def close(self) -> None:
        """Say that calls are not welcome, and end all streams, for whoever watches should watch somebody else."""
        self._is_closed = True
        self.tell(is_ready=False)

    async def Check(  # noqa: N802 - the name of the call
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """The status of one name."""
        await self._limit(context)
        status = self._statuses.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return health_pb2.HealthCheckResponse(status=status)

    async def List(  # noqa: N802 - the name of the call
        self, _request: health_pb2.HealthListRequest, context: Context
    ) -> health_pb2.HealthListResponse:
        """The status of every name."""
        await self._limit(context)
        statuses = {name: health_pb2.HealthCheckResponse(status=status) for name, status in self._statuses.items()}
        return health_pb2.HealthListResponse(statuses=statuses)

    async def Watch(  # noqa: N802 - the name of the call
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> None:
        """The status of one name now, and whenever it changes."""
        await self._limit(context)
        if self._watches >= self._max_watches:
            await _refuse(context, "too many streams of health", _AGAIN_SECONDS)
        self._watches += 1
        try:
            await self._watch(request.service, context)
        finally:
            self._watches -= 1

    async def _watch(self, service: str, context: Context) -> None:
        last = None
        while True:
            # Before the status is read: a change while it is sent is seen in the next round.
            changed, is_last = self._changed, self._is_closed
            status = self._statuses.get(service, _SERVICE_UNKNOWN)
            if status != last:
                await context.write(health_pb2.HealthCheckResponse(status=status))
                last = status
            if is_last:
                return
            await changed.wait()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _limit(self, context: Context) -> None:
        wait = None if self._admit is None else self._admit(peer_address(context.peer()))
        if wait is not None:
            await _refuse(context, "too many calls from this address", wait)


async def _refuse(context: Context, message: str, wait: float) -> NoReturn:
    metadata = ((RETRY_AFTER, str(math.ceil(wait))),)
    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, message, metadata)
