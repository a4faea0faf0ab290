"""Calls that come in by the native transport: what it bounds, what it does not, and that nothing else listens."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import psutil
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.rpc.exchange import Exchange
from authz.rpc.server import GrpcServer
from authz.rpc.transport import Transport
from authz.settings.limits import LimitsSettings
from tests.rpc.support import edge, method, well_formed
from tests.wire.http2 import DATA, END_STREAM, GOAWAY, HEADERS, RESET, Peer, connected, frame, headers, message

pytest.importorskip("pygrpc_native", reason="pygrpc-native is not installed: it comes with authz[native]")
pytestmark = pytest.mark.anyio

LATE = 5.0
NO_WINDOW = frame(4, 0, 0, b"\x00\x04\x00\x00\x00\x00")
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
MAX_MESSAGE = 10_000
ANSWER = pb.GetStoreResponse(id="1", name="x" * 1000)


class Subject:
    """A server with three methods: one answers, one waits until it is told to go on, one pours."""

    def __init__(self, **limits: Any) -> None:
        self.calls = 0
        self.poured = 0
        self.ended: list[str] = []
        self.go_on = asyncio.Event()
        self.echo = method(self._echo)
        self.wait = method(self._wait)
        self.pour = method(self._pour, is_streaming=True)
        self.methods = [
            type(self.echo)("test.Native", name, each.request, each.handler, each.scope, each.is_streaming)
            for name, each in (("Echo", self.echo), ("Wait", self.wait), ("Pour", self.pour))
        ]
        self.edge = edge(max_message_bytes=MAX_MESSAGE)
        transport = Transport(LimitsSettings(**limits), kind="native")
        self.server = GrpcServer(self.edge, self.methods, transport)
        self.port = 0

    async def _echo(self, _services: object, _exchange: Exchange, _request: object) -> Message:
        self.calls += 1
        return ANSWER

    async def _wait(self, _services: object, _exchange: Exchange, _request: object) -> Message:
        self.calls += 1
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("answered")
        return ANSWER

    async def _pour(self, _services: object, exchange: Exchange, _request: object) -> None:
        try:
            while not self.go_on.is_set():
                await exchange.send(ANSWER)
                self.poured += 1
        finally:
            self.ended.append("poured")

    @property
    def address(self) -> str:
        """Where it serves."""
        return f"127.0.0.1:{self.port}"

    @property
    def running(self) -> int:
        """How many calls are open."""
        return len(self.server._listener._running)  # type: ignore[attr-defined]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left of any call."""
        return not self.running and not self.server._listener._door._open  # type: ignore[attr-defined]


@asynccontextmanager
async def serving(**limits: Any) -> AsyncIterator[Subject]:
    """A server while the block runs."""
    subject = Subject(**limits)
    subject.port = subject.server.listen("127.0.0.1:0")
    await subject.server.start()
    await subject.server.ready()
    yield subject
    async with asyncio.timeout(LATE):
        await subject.server.drain(0.1)
    assert subject.is_empty


@asynccontextmanager
async def client(subject: Subject) -> AsyncIterator[grpc.aio.Channel]:
    """A well-behaved client."""
    async with grpc.aio.insecure_channel(subject.address) as channel:
        yield channel


def path(name: str) -> str:
    """A method of the subject."""
    return f"/test.Native/{name}"


async def status_of(channel: grpc.aio.Channel, name: str, payload: bytes | None = None, **details: Any) -> Any:
    """How a call ends."""
    call: Any = channel.unary_unary(path(name))
    details.setdefault("timeout", LATE)
    try:
        await call(well_formed().SerializeToString() if payload is None else payload, **details)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def until(condition: Any) -> None:
    """Wait for something, not for ever."""
    for _ in range(int(LATE / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it does not come about")


def ends(peer: Peer) -> int:
    """How many calls have ended with a status."""
    return sum(kind == HEADERS and bool(flags & END_STREAM) for kind, flags, _, _ in peer.frames)


async def test_nothing_else_listens() -> None:
    """There is one socket that listens, and none behind it: what is not in the table of methods ends at the front."""
    own = psutil.Process(os.getpid())
    before = {each.laddr for each in own.net_connections("all") if each.status in ("LISTEN", "NONE")}
    async with serving() as subject, client(subject) as channel:
        after = {each.laddr for each in own.net_connections("all") if each.status in ("LISTEN", "NONE")}
        assert {getattr(each, "port", each) for each in after - before} == {subject.port}
        assert await status_of(channel, "Echo") is grpc.StatusCode.OK
        for unknown in (
            path("Nothing"),
            "/test.Native/",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            "/other.Service/Echo",
        ):
            call: Any = channel.unary_unary(unknown)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(b"x")
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert subject.calls == 1


async def test_requests_that_are_too_large() -> None:
    """A request above the bound is refused, once it is there, also when it was sent compressed."""
    async with serving() as subject, client(subject) as channel:
        for payload in (bytes(MAX_MESSAGE + 1), bytes(1_000_000)):
            assert await status_of(channel, "Echo", payload) is EXHAUSTED
            assert await status_of(channel, "Echo", payload, compression=grpc.Compression.Gzip) is EXHAUSTED
        assert await status_of(channel, "Echo", bytes(MAX_MESSAGE)) is grpc.StatusCode.INVALID_ARGUMENT
        assert subject.calls == 0


async def test_metadata_that_is_too_large() -> None:
    """More metadata than allowed never reaches a handler; a little less does."""
    async with serving(max_metadata_bytes=4096) as subject, client(subject) as channel:
        assert await status_of(channel, "Echo", metadata=(("x", "y" * 3000),)) is grpc.StatusCode.OK
        for size in (4096, 6000, 100_000):
            assert await status_of(channel, "Echo", metadata=(("x", "y" * size),)) is not grpc.StatusCode.OK
        assert subject.calls == 1
        assert await status_of(channel, "Echo") is grpc.StatusCode.OK


@pytest.mark.parametrize("half", [b"", frame(DATA, 0, 1, b"\0\0\0\1\0half")], ids=["no message", "half a message"])
async def test_requests_that_do_not_come(half: bytes) -> None:
    """A request that stops half way costs no call of ours; its caller's own deadline ends it, and nothing else does."""
    async with serving() as subject, connected(subject.port) as patient, connected(subject.port) as hurried:
        patient.send(headers(1, path("Echo")), half)
        hurried.send(headers(1, path("Echo"), [("grpc-timeout", "200m")]), half)
        async with asyncio.timeout(LATE):
            while not ends(hurried):
                await hurried.next_frame()
        await patient.read_for(0.3)
        assert ends(patient) == 0
        assert (subject.calls, subject.running) == (0, 0)


async def test_an_address_has_its_share() -> None:
    """More open calls than its share are refused to an address at once; when some have ended there is room."""
    async with serving(max_calls_per_peer=10) as subject, client(subject) as channel:
        waiting = [asyncio.create_task(status_of(channel, "Wait")) for _ in range(10)]
        await until(lambda: subject.calls == 10)
        assert await status_of(channel, "Echo") is EXHAUSTED
        subject.go_on.set()
        assert set(await asyncio.gather(*waiting)) == {grpc.StatusCode.OK}
        assert await status_of(channel, "Echo") is grpc.StatusCode.OK


async def test_calls_are_counted() -> None:
    """Calls beyond the bound are refused at once; when others have gone there is room again."""
    async with serving(max_concurrent_calls=10) as subject, client(subject) as channel:
        waiting = [asyncio.create_task(status_of(channel, "Wait")) for _ in range(10)]
        await until(lambda: subject.calls == 10)
        assert await status_of(channel, "Echo") is EXHAUSTED
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await until(lambda: subject.ended == ["cancelled"] * 10)
        await until(lambda: subject.is_empty)
        assert await status_of(channel, "Echo") is grpc.StatusCode.OK


async def test_streams_of_one_connection() -> None:
    """A connection has no more calls open than allowed, whatever its client thinks."""
    async with serving(max_concurrent_streams=4) as subject, connected(subject.port) as peer:
        request = well_formed().SerializeToString()
        for number in range(20):
            peer.send(headers(1 + 2 * number, path("Wait")), message(1 + 2 * number, request))
        await peer.read_for(0.3)
        assert subject.calls == 4
        assert len({stream for kind, _, stream, _ in peer.frames if kind == RESET}) == 16


async def test_calls_that_are_taken_back_at_once() -> None:
    """Who begins calls and resets them again and again (CVE-2023-44487) keeps nobody out, and leaves nothing behind."""
    request = well_formed().SerializeToString()
    async with serving() as subject, client(subject) as channel, connected(subject.port) as peer:
        for number in range(2000):
            stream = 1 + 2 * number
            peer.send(headers(stream, path("Wait")), message(stream, request), frame(RESET, 0, stream, b"\0\0\0\x08"))
        assert await status_of(channel, "Echo") is grpc.StatusCode.OK
        await peer.closed_within(0.5)  # mostly cut, unless the calls end as fast as they come
        await until(lambda: subject.is_empty)


async def test_deadlines_of_callers() -> None:
    """A call that its caller waits for no longer is ended, and recorded as such."""
    async with serving() as subject, client(subject) as channel:
        assert await status_of(channel, "Wait", timeout=0.2) is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: subject.is_empty)
        assert subject.ended == ["cancelled"]


async def test_peers_that_died() -> None:
    """Who does not answer whether he lives is cut, with his calls; who does is not."""
    bounds = {"keepalive_time": 0.3, "keepalive_timeout": 0.3}
    request = well_formed().SerializeToString()
    async with serving(**bounds) as subject, connected(subject.port) as dead, connected(subject.port) as living:
        for peer in (dead, living):
            peer.send(headers(1, path("Wait")), message(1, request))
        passed, still = await asyncio.gather(dead.closed_within(0.6 + LATE), living.closed_within(1.5, is_alive=True))
        assert passed is not None
        assert still is None
        await until(lambda: subject.running == 1)


async def test_streams_that_are_read() -> None:
    """A stream is poured as fast as its peer takes it, and ends when its peer goes."""
    async with serving() as subject, client(subject) as channel:
        call: Any = channel.unary_stream(path("Pour"))
        stream = call(well_formed().SerializeToString())
        for _ in range(500):
            assert await stream.read() == ANSWER.SerializeToString()
        stream.cancel()
        await until(lambda: subject.is_empty)
        assert subject.ended == ["poured"]


async def test_streams_that_are_not_read() -> None:
    """Streams that nobody reads stop after a few messages, hold no thread, end at their deadline, and harm nobody."""
    request = well_formed().SerializeToString()
    async with serving() as subject, connected(subject.port) as peer, client(subject) as channel:
        peer.send(NO_WINDOW)
        before = psutil.Process().num_threads()
        for number in range(50):
            stream = 1 + 2 * number
            peer.send(headers(stream, path("Pour"), [("grpc-timeout", "700m")]), message(stream, request))
        await until(lambda: subject.running == 50)
        assert await status_of(channel, "Echo") is grpc.StatusCode.OK
        assert subject.poured <= 50 * 4
        assert psutil.Process().num_threads() <= before + 1
        await until(lambda: subject.is_empty)
        assert await status_of(channel, "Echo") is grpc.StatusCode.OK


async def test_health() -> None:
    """Check, List and Watch answer as behind grpcio, and a watched stream turns when the server drains."""
    async with serving() as subject, client(subject) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        asked = health_pb2.HealthCheckRequest(service="test.Native")
        assert (await stub.Check(asked)).status == health_pb2.HealthCheckResponse.SERVING
        assert set((await stub.List(health_pb2.HealthListRequest())).statuses) >= {"liveness", "readiness", ""}
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="nobody"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        garbage: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await garbage(b"\xff\xff")
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        stream = stub.Watch(asked)
        assert (await stream.read()).status == health_pb2.HealthCheckResponse.SERVING
        draining = asyncio.create_task(subject.server.drain(0.5))
        assert (await stream.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert await stream.read() is grpc.aio.EOF
        await draining


async def test_drain() -> None:
    """What runs is answered within the grace, what comes is refused as UNAVAILABLE, and what stays is ended so."""
    async with serving() as subject, AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(client(subject)) for _ in range(2)]
        first = asyncio.create_task(status_of(one, "Wait"))
        await until(lambda: subject.calls == 1)
        draining = asyncio.create_task(subject.server.drain(3.0))
        await asyncio.sleep(0.05)
        assert await status_of(two, "Echo") is grpc.StatusCode.UNAVAILABLE
        await asyncio.sleep(0.3)
        assert await status_of(two, "Echo") is grpc.StatusCode.UNAVAILABLE
        subject.go_on.set()
        await draining
        assert await first is grpc.StatusCode.OK
    async with serving() as subject, client(subject) as channel:
        first = asyncio.create_task(status_of(channel, "Wait"))
        await until(lambda: subject.calls == 1)
        slow = asyncio.create_task(subject.server.drain(60.0))
        await asyncio.sleep(0.05)
        async with asyncio.timeout(LATE):
            await subject.server.drain(0)
            await slow
        assert await first is grpc.StatusCode.UNAVAILABLE
        assert subject.ended == ["cancelled"]


async def test_an_address_that_is_taken() -> None:
    """Two servers share a port only when both mean to."""
    async with serving() as subject:
        for shares in (False, True):
            second = GrpcServer(subject.edge, subject.methods, Transport(kind="native", reuse_port=shares))
            with pytest.raises(RuntimeError):
                second.listen(subject.address)
    shared = [GrpcServer(subject.edge, subject.methods, Transport(kind="native", reuse_port=True)) for _ in range(2)]
    port = shared[0].listen("127.0.0.1:0")
    assert shared[1].listen(f"127.0.0.1:{port}") == port
    for server in shared:
        await server.drain(0)


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1"), ("localhost", None)])
async def test_who_calls(host: str, address: str | None) -> None:
    """A call has the address of its caller, as behind grpcio."""
    seen: list[str] = []

    async def see(_services: object, exchange: Exchange, _request: object) -> Message:
        seen.append(exchange.call.peer)
        return ANSWER

    known = method(see)
    server = GrpcServer(edge(), [known], Transport(kind="native"))
    port = server.listen(f"{host}:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"{host}:{port}") as channel:
        call: Any = channel.unary_unary(known.path)
        await call(well_formed().SerializeToString())
    await server.drain(0)
    assert seen[0] in ([address] if address else ["127.0.0.1", "::1"])


async def test_what_is_no_http_2_is_cut() -> None:
    """HTTP/1, TLS and garbage end the connection at once."""
    async with serving() as subject:
        for said in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00" + bytes(600)):
            async with connected(subject.port, greets=False) as peer:
                peer.send(said)
                assert await peer.closed_within(LATE) is not None
        async with connected(subject.port) as peer:
            peer.send(b"\xff" * 100)
            assert await peer.closed_within(LATE) is not None
            assert any(kind == GOAWAY for kind, *_ in peer.frames)
