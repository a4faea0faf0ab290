"""Calls over HTTP/1.1 with JSON. Made by `client`.

A connection carries one call at a time, so there are as many as there are calls at once; they are opened before they
are needed as far as that is known, and kept. Requests are made JSON beforehand, and answers are parsed by httptools, so
that the driver takes little of the processors that it shares with the server.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, cast

import httptools
import orjson
from google.protobuf.json_format import MessageToDict, ParseDict

from authz._proto.openfga.v1 import openfga_service_pb2 as service
from benchmarks.driver.wire import Called

MAX_CONNECTIONS = 512
"""Of one process; calls beyond wait for one of them, and their wait counts."""

_KINDS: dict[str, tuple[str, Any, Any]] = {
    "Check": ("check", service.CheckRequest, service.CheckResponse),
    "BatchCheck": ("batch-check", service.BatchCheckRequest, service.BatchCheckResponse),
    "ListObjects": ("list-objects", service.ListObjectsRequest, service.ListObjectsResponse),
    "Write": ("write", service.WriteRequest, service.WriteResponse),
}
_OK = 200


class HttpWire:
    """See `Wire`."""

    def __init__(self, address: str, token: str, timeout: float, connections: int) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._timeout = timeout
        self._wanted = connections
        lines = [f"Host: {address}", "Content-Type: application/json"]
        lines += [f"Authorization: Bearer {token}"] if token else []
        self._lines = "".join(f"{line}\r\n" for line in lines)
        self._idle: deque[_Connection] = deque()
        self._open: set[_Connection] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._requests: dict[tuple[str, bytes], tuple[bytes, bytes]] = {}

    def prepare(self, calls: Iterable[tuple[str, bytes]]) -> None:
        """See `Wire`."""
        for method, payload in calls:
            self._request(method, payload)

    async def connect(self) -> None:
        """See `Wire`."""
        self._idle.extend(await asyncio.gather(*(self._connection() for _ in range(self._wanted))))

    async def call(self, method: str, payload: bytes, demand: tuple[str, str] | None = None) -> Called:
        """See `Wire`."""
        head, body = self._request(method, payload)
        more = f"{demand[0]}: {demand[1]}\r\n".encode() if demand else b""
        connection = None
        try:
            async with asyncio.timeout(self._timeout):
                connection = await self._take()
                status, answer, beside = await connection.ask(b"".join((head, more, b"\r\n", body)))
        except TimeoutError:
            self._drop(connection)
            return Called(error="DEADLINE_EXCEEDED")
        except OSError:
            self._drop(connection)
            return Called(error="UNAVAILABLE")
        self._give_back(connection)
        if status != _OK:
            return Called(error=f"HTTP {status} {_code(answer)}")
        return Called(_message(method, answer), beside=beside)

    async def close(self) -> None:
        """See `Wire`."""
        for connection in self._open:
            connection.transport.abort()

    def _request(self, method: str, payload: bytes) -> tuple[bytes, bytes]:
        found = self._requests.get((method, payload))
        if found is None:
            name, kind, _ = _KINDS[method]
            members = MessageToDict(kind.FromString(payload), preserving_proto_field_name=True)
            path = f"/stores/{members.pop('store_id')}/{name}"
            body = orjson.dumps(members)
            head = f"POST {path} HTTP/1.1\r\n{self._lines}Content-Length: {len(body)}\r\n".encode()
            found = self._requests[method, payload] = head, body
        return found

    async def _take(self) -> _Connection:
        while not self._idle:
            if len(self._open) < MAX_CONNECTIONS:
                return await self._connection()
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting
        return self._idle.pop()

    def _give_back(self, connection: _Connection) -> None:
        if connection.is_lost:
            self._drop(connection)
            return
        self._idle.append(connection)
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                break

    def _drop(self, connection: _Connection | None) -> None:
        if connection is not None:
            self._open.discard(connection)
            connection.transport.abort()

    async def _connection(self) -> _Connection:
        _, found = await asyncio.get_running_loop().create_connection(_Connection, self._host, self._port)
        self._open.add(found)
        return found


class _Connection(asyncio.Protocol):
    """One connection; asks one thing at a time."""

    def __init__(self) -> None:
        self.is_lost = False
        self._answer: asyncio.Future[tuple[int, bytes, dict[str, str]]] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._headers: dict[str, str] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol
        self.is_lost = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("the server ended the connection"))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    async def ask(self, request: bytes) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of the answer; raises OSError when the connection ends."""
        if self.is_lost:
            raise ConnectionResetError("the server has ended the connection")
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer

    def on_message_begin(self) -> None:
        self._body, self._headers = b"", {}

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.startswith(b"authz-"):
            self._headers[name.decode("ascii")] = value.decode("ascii")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((self._parser.get_status_code(), self._body, self._headers))


def _code(body: bytes) -> str:
    """Why a call was refused, as far as the answer says it."""
    try:
        return str(orjson.loads(body)["code"])
    except (ValueError, TypeError, KeyError):
        return "for no reason"


@lru_cache(maxsize=4096)
def _message(method: str, body: bytes) -> bytes:
    """An answer as the driver compares it; answers to checks are two, and lists come again."""
    found: bytes = ParseDict(orjson.loads(body), _KINDS[method][2](), ignore_unknown_fields=True).SerializeToString()
    return found
