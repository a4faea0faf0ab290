"""HTTP/1.1 over a bare socket: what no well-behaved client would send, and exactly what comes back."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from authz.settings import Settings

HOST = b"Host: 127.0.0.1\r\n"
_JSON = b"Content-Type: application/json\r\n"
PATIENCE = 20.0
"""How many seconds an answer may take on a machine that does other things too."""
SHORT = 0.4
"""For bounds that a test waits for."""


def get(path: str = "/stores", headers: bytes = b"", verb: str = "GET") -> bytes:
    """A request without a body."""
    return f"{verb} {path} HTTP/1.1\r\n".encode("latin-1") + HOST + headers + b"\r\n"


def post(path: str = "/stores", body: bytes = b'{"name":"shop"}', headers: bytes = b"", length: int = -1) -> bytes:
    """A request with a JSON body, whose length may be a lie."""
    length = len(body) if length < 0 else length
    head = f"POST {path} HTTP/1.1\r\n".encode("latin-1") + HOST + _JSON + headers
    return head + b"Content-Length: %d\r\n\r\n" % length + body


def chunked(*parts: bytes, path: str = "/stores", headers: bytes = b"", end: bytes = b"0\r\n\r\n") -> bytes:
    """A request whose body comes in chunks."""
    head = (
        f"POST {path} HTTP/1.1\r\n".encode("latin-1") + HOST + _JSON + headers + b"Transfer-Encoding: chunked\r\n\r\n"
    )
    return head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + end


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one request."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The header, which may be there once."""
        found = [value for key, value in self.headers if key == name]
        assert len(found) <= 1, f"`{name}` is there {len(found)} times"
        return found[0] if found else None

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and code of a refusal, which must have the form of one."""
        assert set(self.json) == {"code", "message"}
        assert self.header("content-type") == "application/json"
        return self.status, self.json["code"]


class Peer:
    """A client that sends what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def send(self, *parts: bytes) -> None:
        """Send without waiting."""
        for part in parts:
            self.writer.write(part)

    async def answer(self, *, has_body: bool = True) -> Answer:
        """The next answer; ConnectionError or IncompleteReadError when there is none."""
        async with asyncio.timeout(PATIENCE):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(head[0].split(" ")[1])
            pairs = [line.partition(": ") for line in head[1:] if line]
            headers = [(name.lower(), value) for name, _, value in pairs]
            told = dict(headers)
            body = b""
            if told.get("transfer-encoding") == "chunked":
                body = await self._chunks()
            elif has_body and status >= 200:
                body = await self._reader.readexactly(int(told.get("content-length", "0")))
        return Answer(status, headers, body)

    async def call(self, *parts: bytes) -> Answer:
        """Send, and wait for the answer."""
        self.send(*parts)
        return await self.answer()

    async def is_closed(self, within: float = PATIENCE) -> bool:
        """Whether the server closes the connection in time, and says nothing before."""
        try:
            async with asyncio.timeout(within):
                return await self._reader.read(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    async def rest(self) -> bytes:
        """All that comes until the server closes."""
        found = b""
        with suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                while part := await self._reader.read(65536):
                    found += part
        return found

    async def _chunks(self) -> bytes:
        found = b""
        while True:
            size = int(await self._reader.readline(), 16)
            found += await self._reader.readexactly(size)
            await self._reader.readline()
            if size == 0:
                return found


@asynccontextmanager
async def peer_of(address: str, tls: ssl.SSLContext | None = None, limit: int = 2**16) -> AsyncIterator[Peer]:
    """A connection while the block runs."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=tls, limit=limit)
    try:
        yield Peer(reader, writer)
    finally:
        writer.transport.abort()


async def ask(address: str, *parts: bytes) -> Answer:
    """One request over a connection of its own."""
    async with peer_of(address) as peer:
        return await peer.call(*parts)


def http_settings(folder: Path, **given: Any) -> Settings:
    """Free ports and a fresh SQLite database; bugs raise."""
    settings = {
        "grpc_addr": "127.0.0.1:0",
        "http_addr": "127.0.0.1:0",
        "datastore_uri": f"sqlite:///{folder}/authz.db",
        "raise_bugs": True,
        "shutdown_grace": 0.5,
    }
    return Settings.model_validate(settings | given)
