"""A peer that speaks HTTP/2 by hand, so that it can misbehave. Used by the tests of bounds and floods."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
ACK = END_STREAM = 1
END_HEADERS = 4


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def headers(stream: int, path: str, extra: Sequence[tuple[str, str]] = (), *, encoding: str = "utf-8") -> bytes:
    """The beginning of a call. In `latin-1` a text can stand for any bytes."""
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"), ("te", "trailers")]
    fields += [("content-type", "application/grpc"), *extra]
    return frame(HEADERS, END_HEADERS, stream, b"".join(_field(name, value.encode(encoding)) for name, value in fields))


def message(stream: int, payload: bytes = b"") -> bytes:
    """The whole request of a call, and its end."""
    return frame(DATA, END_STREAM, stream, b"\0" + struct.pack(">I", len(payload)) + payload)


def _field(name: str, value: bytes) -> bytes:
    return b"\0" + _length(len(name)) + name.encode() + _length(len(value)) + value


def _length(number: int) -> bytes:
    """An integer with a prefix of seven bits (RFC 7541, 5.1)."""
    if number < 127:
        return bytes([number])
    encoded, number = bytes([127]), number - 127
    while number >= 128:
        encoded, number = encoded + bytes([number % 128 + 128]), number // 128
    return encoded + bytes([number])


class Peer:
    """One connection. `frames` is what came in so far: kind, flags, stream, payload."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.frames: list[tuple[int, int, int, bytes]] = []

    def send(self, *parts: bytes) -> None:
        """Send, whether or not it arrives."""
        self._writer.write(b"".join(parts))

    def shake_hands(self) -> None:
        """What every client says first."""
        self.send(PREFACE, frame(SETTINGS, 0, 0), frame(SETTINGS, ACK, 0))

    async def closed_within(self, seconds: float, *, is_alive: bool = False) -> float | None:
        """Read until the connection is cut: after how many seconds; None when it was not. `is_alive` answers pings."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await self.next_frame()
                    kind, flags, _, payload = self.frames[-1]
                    if is_alive and kind == PING and not flags & ACK:
                        self.send(frame(PING, ACK, 0, payload))
        except TimeoutError:
            return None
        except (asyncio.IncompleteReadError, ConnectionError):
            return time.monotonic() - started

    async def next_frame(self) -> None:
        """Read one frame."""
        head = await self._reader.readexactly(9)
        payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
        self.frames.append((head[3], head[4], int.from_bytes(head[5:], "big"), payload))

    async def read_for(self, seconds: float) -> None:
        """Read what comes for some time."""
        await self.closed_within(seconds)

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


@asynccontextmanager
async def connected(port: int, *, greets: bool = True) -> AsyncIterator[Peer]:
    """A connection, with the handshake of HTTP/2 unless `greets` is False."""
    peer = Peer(*await asyncio.open_connection("127.0.0.1", port))
    if greets:
        peer.shake_hands()
    try:
        yield peer
    finally:
        await peer.close()
