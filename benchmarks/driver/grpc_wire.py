"""Calls over gRPC. Made by `client`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import cycle
from typing import Any

import grpc

from benchmarks.driver.items import METHODS, SERVICE
from benchmarks.driver.wire import Called

_OPTIONS = (
    # Otherwise grpc lets all channels of a process share one connection.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
)


class GrpcWire:
    """See `Wire`: channels, each with a connection of its own that carries any number of calls at a time."""

    def __init__(self, address: str, token: str, timeout: float, connections: int) -> None:
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._timeout = timeout
        self._channels = [grpc.aio.insecure_channel(address, options=_OPTIONS) for _ in range(connections)]
        self._calls: dict[str, Iterator[Any]] = {
            name: cycle([channel.unary_unary(f"{SERVICE}{name}") for channel in self._channels])
            for name in (*METHODS.values(), "Write")
        }

    def prepare(self, calls: Iterable[tuple[str, bytes]]) -> None:
        """Nothing: requests are kept in the form in which they travel."""

    async def connect(self) -> None:
        """See `Wire`."""
        await asyncio.gather(*(channel.channel_ready() for channel in self._channels))

    async def call(self, method: str, payload: bytes, demand: tuple[str, str] | None = None) -> Called:
        """See `Wire`."""
        metadata = (*self._metadata, demand) if demand else self._metadata
        call = next(self._calls[method])(payload, timeout=self._timeout, metadata=metadata)
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            return Called(error=error.code().name)
        # Few calls ask for it, and it costs as much as some calls do.
        return Called(answer, beside=dict(await call.initial_metadata()) if method == "Write" else {})

    async def close(self) -> None:
        """See `Wire`."""
        for channel in self._channels:
            await channel.close(None)
