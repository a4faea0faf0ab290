"""What no path of a call can end: the server of grpcio as we use it, with calls that nobody expects."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.rpc.exchange import Exchange
from authz.rpc.server import GrpcServer
from authz.rpc.transport import Transport
from authz.settings.limits import LimitsSettings
from tests.rpc.support import edge, method, well_formed
from tests.wire.http2 import HEADERS, connected, headers, message

pytestmark = pytest.mark.anyio

LATE = 5.0
ANSWER = pb.GetStoreResponse(id="1", name="one")
SERVICE = "test.Intake"


class Subject:
    """A server with a method that answers, and one that waits until it is told to go on."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.waiting = 0
        made = [("Echo", method(self._echo)), ("Wait", method(self._wait))]
        methods = [type(each)(SERVICE, name, each.request, each.handler, each.scope) for name, each in made]
        self.server = GrpcServer(edge(), methods, Transport(LimitsSettings(max_concurrent_calls=3)))
        self.port = self.server.listen("127.0.0.1:0")

    async def _echo(self, _services: object, _exchange: Exchange, _request: object) -> Message:
        return ANSWER

    async def _wait(self, _services: object, _exchange: Exchange, _request: object) -> Message:
        self.waiting += 1
        await self.go_on.wait()
        return ANSWER


@pytest.fixture
async def subject() -> AsyncIterator[Subject]:
    """A server that serves; it must end in time."""
    made = Subject()
    await made.server.start()
    await made.server.ready()
    yield made
    async with asyncio.timeout(LATE):
        await made.server.drain(0.1)


async def status_of(subject: Subject, path: str) -> grpc.StatusCode:
    """How a call ends, over a connection of its own."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{subject.port}") as channel:
        call: Any = channel.unary_unary(path)
        try:
            assert await call(well_formed().SerializeToString(), timeout=LATE) == ANSWER.SerializeToString()
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize(
    "path", ["/test.Intake/Echo\xff", "\xff", "/\xc3\x28/\x80", "", "/", "x", "/test.Intake/Echo/"]
)
async def test_paths_that_are_no_method(subject: Subject, path: str) -> None:
    """Whatever bytes stand for a method, the call is refused at most, and all others are answered as before."""
    async with connected(subject.port) as peer:
        peer.send(headers(1, path, encoding="latin-1"), message(1))
        await peer.read_for(0.2)
        assert not any(b"unicode" in frame[3].lower() for frame in peer.frames)
    assert await status_of(subject, f"/{SERVICE}/Echo") is grpc.StatusCode.OK


async def test_calls_of_no_method_end(subject: Subject) -> None:
    """They are answered, in our service and in others, however many there are."""
    async with connected(subject.port) as peer:
        for number in range(50):
            peer.send(
                headers(1 + 2 * number, f"/test.Intake/\xff{number}", encoding="latin-1"), message(1 + 2 * number)
            )
        await peer.read_for(0.5)
        assert sum(kind == HEADERS for kind, *_ in peer.frames) >= 50
    for path in (f"/{SERVICE}/Destroy", "/other.Service/Echo"):
        assert await status_of(subject, path) is grpc.StatusCode.UNIMPLEMENTED


async def test_calls_are_counted(subject: Subject) -> None:
    """Calls beyond the bound are refused at once, those of no method too; when others have ended there is room."""
    running = [asyncio.create_task(status_of(subject, f"/{SERVICE}/Wait")) for _ in range(3)]
    async with asyncio.timeout(LATE):
        while subject.waiting < 3:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)
    for path in (f"/{SERVICE}/Echo", f"/{SERVICE}/Destroy"):
        assert await status_of(subject, path) is grpc.StatusCode.RESOURCE_EXHAUSTED
    subject.go_on.set()
    assert await asyncio.gather(*running) == [grpc.StatusCode.OK] * 3
    await asyncio.sleep(0.05)
    assert await status_of(subject, f"/{SERVICE}/Echo") is grpc.StatusCode.OK


async def test_who_takes_no_more_calls_ends(subject: Subject) -> None:
    """Whatever ends it, nothing goes on that looks alive and answers no more: the process is asked to drain and end."""

    async def fail() -> None:
        raise RuntimeError("whatever it is")

    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    try:
        core = subject.server._listener._server._server  # type: ignore[attr-defined]
        core._begin(fail(), core._end)
        async with asyncio.timeout(LATE):
            await asked.wait()
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
