"""The ways in which calls reach a process: gRPC, and HTTP unless it is off. Opened by `service`, which drains both."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz.http.server import HttpServer
    from authz.rpc.server import GrpcServer


@dataclass(frozen=True, slots=True)
class Listeners:
    """Both servers, and where they listen as HOST:PORT; no address where HTTP is off."""

    grpc: GrpcServer
    grpc_address: str
    http: HttpServer | None = None
    http_address: str = ""

    async def drain(self, grace: float) -> None:
        """Take no more calls, and let running ones end within `grace` seconds."""
        closing = [self.grpc.drain(grace)]
        if self.http is not None:
            closing.append(self.http.drain(grace))
        await asyncio.gather(*closing)
