"""Bounds of the transport, over real sockets: what is too large is refused; who is silent, slow or many is cut.

These are bounds of grpcio. What the native transport bounds is tested in `tests/rpc/test_native_server.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest

from authz.rpc.transport import channel_options
from authz.settings.limits import LimitsSettings
from tests.wire.http2 import DATA, GOAWAY, PING, PREFACE, RESET, SETTINGS, connected, frame, headers, message

pytestmark = pytest.mark.anyio

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
MAX_MESSAGE = 10_000
ECHO, WAIT, POUR = "/test.Bounds/Echo", "/test.Bounds/Wait", "/test.Bounds/Pour"
LATE = 5.0
"""Seconds beyond its time after which something is late, on a machine that does other things too."""


class Server:
    """A server with the bounds of `limits`; counts what its handlers see."""

    def __init__(self, **limits: Any) -> None:
        settings = LimitsSettings(**limits)
        options = channel_options(settings, MAX_MESSAGE)
        self._server = grpc.aio.server(options=options, maximum_concurrent_rpcs=settings.max_concurrent_calls)
        handlers: dict[str, Any] = {
            "Echo": grpc.unary_unary_rpc_method_handler(self._echo),
            "Wait": grpc.unary_unary_rpc_method_handler(self._wait),
            "Pour": grpc.unary_stream_rpc_method_handler(self._pour),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Bounds", handlers),))
        self.port = 0
        self.calls = 0
        self.poured = 0
        self.ended = asyncio.Event()

    async def _echo(self, payload: bytes, _context: Any) -> bytes:
        self.calls += 1
        return payload

    async def _wait(self, payload: bytes, _context: Any) -> bytes:
        self.calls += 1
        await asyncio.sleep(60)
        return payload

    async def _pour(self, _payload: bytes, context: Any) -> None:
        try:
            while True:
                await context.write(bytes(10_000))
                self.poured += 1
        finally:
            self.ended.set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Server]:
        """Serve on a free port."""
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        yield self
        await self._server.stop(None)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[grpc.aio.Channel]:
        """A well-behaved client."""
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            yield channel

    async def assert_lives(self) -> None:
        """A new client is answered."""
        async with self.client() as channel:
            assert await status_of(channel, ECHO) is grpc.StatusCode.OK


async def status_of(channel: grpc.aio.Channel, path: str, payload: bytes = b"x", **details: Any) -> grpc.StatusCode:
    """How a call ends."""
    call: Any = channel.unary_unary(path)
    try:
        await call(payload, timeout=LATE, **details)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_metadata_that_is_too_large() -> None:
    """More metadata than allowed is refused before a handler sees it; a little less is not."""
    async with Server(max_metadata_bytes=4096).serving() as server, server.client() as channel:
        assert await status_of(channel, ECHO, metadata=(("x", "y" * 3000),)) is grpc.StatusCode.OK
        for size in (4096, 6000, 100_000):
            assert await status_of(channel, ECHO, metadata=(("x", "y" * size),)) is EXHAUSTED
        many = tuple((f"x{number}", "y") for number in range(500))
        assert await status_of(channel, ECHO, metadata=many) is EXHAUSTED
        assert server.calls == 1
        await server.assert_lives()


async def test_messages_that_are_too_large() -> None:
    """A message above the bound is refused, also when it says so first and would be sent slowly."""
    async with Server().serving() as server, server.client() as channel:
        assert await status_of(channel, ECHO, bytes(MAX_MESSAGE)) is grpc.StatusCode.OK
        assert await status_of(channel, ECHO, bytes(MAX_MESSAGE + 1)) is EXHAUSTED
        async with connected(server.port) as peer:
            peer.send(headers(1, ECHO), frame(DATA, 0, 1, b"\0\x7f\xff\xff\xff" + bytes(100)))
            await peer.read_for(1)
            assert any(kind == RESET for kind, *_ in peer.frames)
        assert server.calls == 1


@pytest.mark.parametrize("said", [b"", PREFACE[:10], PREFACE, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00"])
async def test_peers_that_do_not_shake_hands(said: bytes) -> None:
    """Who opens a connection and does not say what HTTP/2 demands is cut when the time for handshakes is over."""
    async with Server(handshake_timeout=0.4).serving() as server, connected(server.port, greets=False) as peer:
        peer.send(said)
        assert await peer.closed_within(0.4 + LATE) is not None
        await server.assert_lives()


async def test_idle_connections() -> None:
    """A connection without calls is cut, however lively its peer is."""
    async with Server(connection_idle=0.5).serving() as server, connected(server.port) as peer:
        passed = await peer.closed_within(0.5 + LATE, is_alive=True)
        assert passed is not None
        assert passed > 0.3


@pytest.mark.parametrize(
    "half",
    [headers(1, ECHO)[:30], headers(1, ECHO), headers(1, ECHO) + frame(DATA, 0, 1, b"\0\0\0\1\0half")],
    ids=["half of the headers", "headers without a message", "half a message"],
)
async def test_requests_that_stop_half_way(half: bytes) -> None:
    """Who begins a request and does not end it is cut when the connection is old, however lively he is."""
    bounds = {"connection_age": 0.6, "connection_age_grace": 0.2, "connection_idle": 60}
    async with Server(**bounds).serving() as server, connected(server.port) as peer:
        peer.send(half)
        passed = await peer.closed_within(0.8 * 1.1 + LATE, is_alive=True)
        assert passed is not None
        assert passed > 0.4
        assert server.calls == 0
        await server.assert_lives()


async def test_peers_that_died() -> None:
    """Who does not answer whether he lives is cut, with his calls; who does is not."""
    bounds = {"keepalive_time": 0.3, "keepalive_timeout": 0.3}
    async with (
        Server(**bounds).serving() as server,
        connected(server.port) as dead,
        connected(server.port) as living,
    ):
        for peer in (dead, living):
            peer.send(headers(1, WAIT), message(1))
        passed, still = await asyncio.gather(dead.closed_within(0.6 + LATE), living.closed_within(2, is_alive=True))
        assert passed is not None
        assert still is None


async def test_calls_end_within_the_grace_of_an_old_connection() -> None:
    """An old connection is asked to go, may end its calls for a while, and is cut then."""
    bounds = {"connection_age": 0.5, "connection_age_grace": 0.5}
    async with Server(**bounds).serving() as server, connected(server.port) as peer:
        peer.send(headers(1, WAIT), message(1))
        passed = await peer.closed_within(1.1 + LATE, is_alive=True)
        assert passed is not None
        assert passed > 0.8
        assert any(kind == GOAWAY for kind, *_ in peer.frames)


async def test_floods_of_pings() -> None:
    """Who pings faster than allowed is cut; the server goes on."""
    async with Server(min_ping_interval=10).serving() as server, connected(server.port) as peer:
        for _ in range(1000):
            peer.send(frame(PING, 0, 0, b"12345678"))
        assert await peer.closed_within(LATE) is not None
        await server.assert_lives()


async def test_floods_of_settings() -> None:
    """Ten thousand changes of settings are answered or cut, and harm nobody."""
    async with Server(connection_idle=1).serving() as server, connected(server.port) as peer:
        peer.send(frame(SETTINGS, 0, 0) * 10_000)
        await server.assert_lives()
        assert await peer.closed_within(1 + LATE) is not None


async def test_streams_of_one_connection() -> None:
    """A connection has no more calls open than allowed, whatever its client thinks."""
    async with Server(max_concurrent_streams=4).serving() as server, connected(server.port) as peer:
        for number in range(20):
            peer.send(headers(1 + 2 * number, WAIT), message(1 + 2 * number))
        await peer.read_for(0.5)
        assert server.calls == 4
        await server.assert_lives()


async def test_calls_that_are_taken_back_at_once() -> None:
    """Thousands of calls that are begun and reset (CVE-2023-44487) leave nothing behind and keep nobody waiting."""
    async with Server(max_concurrent_streams=100).serving() as server, connected(server.port) as peer:
        for number in range(5000):
            stream = 1 + 2 * number
            peer.send(headers(stream, WAIT), frame(RESET, 0, stream, b"\0\0\0\x08"))
        started = time.monotonic()
        await server.assert_lives()
        assert time.monotonic() - started < LATE
        await peer.read_for(0.2)
        assert server.calls <= 5000
        await server.assert_lives()


async def test_connections_are_counted() -> None:
    """Connections beyond the bound are cut at once; when others have gone there is room again."""
    async with Server(max_connections=8).serving() as server:
        async with AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(connected(server.port)) for _ in range(12)]
            found = await asyncio.gather(*(peer.closed_within(0.5) for peer in peers))
            assert [passed is None for passed in found] == [True] * 8 + [False] * 4
        for _ in range(50):
            await asyncio.sleep(0.02)
        await server.assert_lives()


async def test_calls_are_counted() -> None:
    """Calls beyond the bound are refused at once; when others have ended there is room again."""
    async with Server(max_concurrent_calls=10).serving() as server, server.client() as channel:
        waiting = [asyncio.create_task(status_of(channel, WAIT)) for _ in range(10)]
        while server.calls < 10:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)
        assert await status_of(channel, ECHO) is EXHAUSTED
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.sleep(0.1)
        assert await status_of(channel, ECHO) is grpc.StatusCode.OK


async def test_an_answer_that_is_not_read() -> None:
    """A stream that is not read stops its writer after some windows' worth, and ends at its deadline."""
    async with Server().serving() as server, connected(server.port) as peer:
        peer.send(headers(1, POUR, [("grpc-timeout", "1S")]), message(1))
        await asyncio.sleep(0.5)
        poured = server.poured
        assert poured < 100
        await asyncio.sleep(0.3)
        assert server.poured == poured
        async with asyncio.timeout(LATE):
            await server.ended.wait()
