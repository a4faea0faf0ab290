"""How calls come in: with their request in time, and not too many of one address. Over real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from authz.rpc import door as doors
from authz.rpc.door import Door
from authz.rpc.tls import peer_address
from tests.wire.http2 import DATA, END_STREAM, HEADERS, PING, Peer, connected, frame, headers, message

pytestmark = pytest.mark.anyio

ECHO = "/test.Door/Echo"
ARRIVAL = 0.4
LATE = 5.0
NO_WINDOW = frame(4, 0, 0, b"\x00\x04\x00\x00\x00\x00")


class Server:
    """A server whose only method answers with its request; `refusing` makes it refuse instead."""

    def __init__(self, most: int = 100) -> None:
        self.door = Door(most, time.monotonic)
        self.calls = 0
        self.refusing = False
        self.open = asyncio.Event()
        self.open.set()
        self.port = 0

    async def _echo(self, _requests: object, context: Any) -> bytes:
        payload = await self.door.receive(context, peer_address(context.peer()), ARRIVAL)
        self.calls += 1
        await self.open.wait()
        if self.refusing:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you")
        return payload

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Server]:
        """Serve on a free port."""
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        handlers: dict[str, Any] = {"Echo": grpc.stream_unary_rpc_method_handler(self._echo)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Door", handlers),))
        self.port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        yield self
        await server.stop(None)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left of any call."""
        return not (self.door._open or self.door._arriving or self.door._late)


@asynccontextmanager
async def client(server: Server) -> AsyncIterator[Any]:
    """A well-behaved client's call."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel.unary_unary(ECHO)


def statuses(peer: Peer) -> int:
    """How many calls have ended with a status."""
    return sum(kind == HEADERS and bool(flags & END_STREAM) for kind, flags, _, _ in peer.frames)


async def until(condition: Any) -> None:
    """Wait for something, not for ever."""
    for _ in range(int(LATE / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it does not come about")


async def test_requests_come_through() -> None:
    """What was sent arrives, from many callers at a time, and nothing is left of them."""
    async with Server().serving() as server, client(server) as call:
        sent = [bytes([number]) * number for number in range(50)]
        assert await asyncio.gather(*(call(payload) for payload in sent)) == sent
        await until(lambda: server.is_empty)
        assert server.door.refused == 0


@pytest.mark.parametrize("half", [b"", frame(DATA, 0, 1, b"\0\0\0\1\0half")], ids=["no message", "half a message"])
async def test_requests_that_do_not_come(half: bytes) -> None:
    """A call whose message does not arrive ends in time, with a status, and its handler never sees it."""
    async with Server().serving() as server, connected(server.port) as peer:
        started = time.monotonic()
        peer.send(headers(1, ECHO), half)
        while not statuses(peer):
            await peer.next_frame()
        assert ARRIVAL * 0.9 < time.monotonic() - started < ARRIVAL + doors.LOOK_SECONDS + LATE
        await until(lambda: server.is_empty)
        assert (server.calls, server.door.refused) == (0, 1)


async def test_a_call_without_a_request() -> None:
    """A call that ends before its request is an error of its caller."""
    async with Server().serving() as server, connected(server.port) as peer:
        peer.send(headers(1, ECHO), frame(DATA, END_STREAM, 1))
        while not statuses(peer):
            await peer.next_frame()
        await until(lambda: server.is_empty)
        assert server.calls == 0


async def test_callers_who_leave_before_their_request() -> None:
    """Hundreds of calls that are begun and taken back leave nothing behind."""
    async with Server().serving() as server, connected(server.port) as peer:
        for number in range(100):
            peer.send(headers(1 + 2 * number, ECHO), frame(3, 0, 1 + 2 * number, b"\0\0\0\x08"))
        peer.send(frame(PING, 0, 0, bytes(8)))
        await peer.read_for(ARRIVAL + 2 * doors.LOOK_SECONDS)
        await until(lambda: server.is_empty)
        assert server.calls == 0
        async with client(server) as call:
            assert await call(b"x") == b"x"


async def test_an_address_has_its_share() -> None:
    """More open calls than its share are refused to an address at once; when some have ended there is room."""
    async with Server(most=10).serving() as server, client(server) as call:
        server.open.clear()
        waiting = [asyncio.create_task(call(b"x").code()) for _ in range(10)]
        await until(lambda: server.calls == 10)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"x")
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        server.open.set()
        assert await asyncio.gather(*waiting) == [grpc.StatusCode.OK] * 10
        assert await call(b"x") == b"x"


async def test_answers_that_nobody_takes_count_for_their_address() -> None:
    """Calls whose caller makes no room for the answer stay open, and use up its share, not everybody's."""
    async with Server(most=10).serving() as server, connected(server.port) as peer:
        peer.send(NO_WINDOW)
        for number in range(30):
            peer.send(headers(1 + 2 * number, ECHO), message(1 + 2 * number, b"x"))
        await until(lambda: server.door.refused == 20)
        assert server.calls == 10
        await peer.close()
        await until(lambda: server.is_empty)


async def test_refusals_leave_whatever_the_peer_takes() -> None:
    """A peer that makes no room for answers is refused all the same, and holds nothing."""
    async with Server().serving() as server, connected(server.port) as peer:
        server.refusing = True
        peer.send(NO_WINDOW)
        for number in range(30):
            peer.send(headers(1 + 2 * number, ECHO), message(1 + 2 * number, b"x"))
        while statuses(peer) < 30:
            await peer.next_frame()
        await until(lambda: server.is_empty)
