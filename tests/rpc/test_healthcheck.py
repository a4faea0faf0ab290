"""Health over real sockets: open to everybody, within bounds, and honest about readiness."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from authz.access.limits.peers import PeerLimiter
from authz.clock import SystemClock
from authz.rpc.healthcheck import SERVICE, HealthCheck
from authz.settings.limits import LimitsSettings
from tests.wire.http2 import connected, headers, message

pytestmark = pytest.mark.anyio

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
NAMES = ("", "readiness", "test.Service")
SECONDS = 10.0


@asynccontextmanager
async def served(peers: PeerLimiter | None = None, max_watches: int = 4) -> AsyncIterator[tuple[HealthCheck, int, Any]]:
    """The health of a server, its port, and a stub."""
    server = grpc.aio.server()
    health = HealthCheck(["test.Service"], peers.admit if peers else None, max_watches)
    health.add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield health, port, health_pb2_grpc.HealthStub(channel)
    async with asyncio.timeout(SECONDS):
        await server.stop(SECONDS)


async def status_of(stub: Any, name: str) -> int:
    """The status of a name."""
    return int((await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=SECONDS)).status)


def watch(stub: Any, name: str = "") -> Any:
    """A stream of the status of a name."""
    return stub.Watch(health_pb2.HealthCheckRequest(service=name), timeout=SECONDS)


async def test_liveness_is_not_readiness() -> None:
    """A process that is not ready lives; when it drains it is not ready, and lives until it ends."""
    async with served() as (health, _, stub):
        for is_ready in (False, True, False):
            health.tell(is_ready=is_ready)
            assert [await status_of(stub, name) for name in NAMES] == [SERVING if is_ready else NOT_SERVING] * 3
            assert await status_of(stub, "liveness") == SERVING
        health.close()
        assert await status_of(stub, "") == NOT_SERVING
        assert await status_of(stub, "liveness") == SERVING


async def test_names_that_nobody_knows() -> None:
    """Check says that there is no such name; Watch says so too, and waits."""
    async with served() as (_, _, stub):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await status_of(stub, "nobody")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert (await watch(stub, "nobody").read()).status == UNKNOWN


async def test_all_names() -> None:
    """List answers with the status of every name."""
    async with served() as (health, _, stub):
        health.tell(is_ready=True)
        found = await stub.List(health_pb2.HealthListRequest(), timeout=SECONDS)
        assert {name: each.status for name, each in found.statuses.items()} == dict.fromkeys(
            ["liveness", *NAMES], SERVING
        )


async def test_watching() -> None:
    """A stream tells every change, and ends when the server drains."""
    async with served() as (health, _, stub):
        stream = watch(stub)
        assert (await stream.read()).status == NOT_SERVING
        health.tell(is_ready=True)
        assert (await stream.read()).status == SERVING
        health.tell(is_ready=True)
        health.close()
        assert (await stream.read()).status == NOT_SERVING
        assert await stream.read() is grpc.aio.EOF


async def test_streams_are_bounded() -> None:
    """Beyond the bound a stream is refused with the time to come again; when one ends there is room."""
    async with served(max_watches=2) as (_, _, stub):
        streams = [watch(stub) for _ in range(2)]
        for stream in streams:
            await stream.read()
        third = watch(stub)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await third.read()
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert dict(await third.trailing_metadata())["retry-after"] == "1"
        streams[0].cancel()
        await asyncio.sleep(0.2)
        assert (await watch(stub).read()).status == NOT_SERVING


async def test_a_stream_that_is_not_read_holds_up_nobody() -> None:
    """A watcher that takes nothing from its connection keeps no other watcher, and not the server, from going on."""
    async with served() as (health, port, stub), connected(port) as peer:
        window = b"\x00\x04\x00\x00\x00\x00"  # SETTINGS_INITIAL_WINDOW_SIZE 0: nothing may be sent
        peer.send(b"\x00\x00\x06\x04\x00\x00\x00\x00\x00" + window)
        peer.send(headers(1, f"/{SERVICE}/Watch"), message(1))
        await asyncio.sleep(0.2)
        stream = watch(stub)
        assert (await stream.read()).status == NOT_SERVING
        health.tell(is_ready=True)
        assert (await stream.read()).status == SERVING
        health.close()


async def test_addresses_are_limited() -> None:
    """Who asks for health too often is refused with the time to come again, whichever call he makes."""
    peers = PeerLimiter(LimitsSettings(peer="3/hour"), SystemClock())
    async with served(peers) as (_, _, stub):
        for _ in range(3):
            assert await status_of(stub, "") == NOT_SERVING
        for call in (stub.Check(health_pb2.HealthCheckRequest()), stub.List(health_pb2.HealthListRequest())):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert 1100 < int(str(dict(caught.value.trailing_metadata())["retry-after"])) <= 1200
        with pytest.raises(grpc.aio.AioRpcError):
            await watch(stub).read()
