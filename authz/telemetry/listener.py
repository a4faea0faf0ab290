"""A small HTTP server for those who operate the service: metrics and health. Opened by `telemetry`.

It has a thread and an event loop of its own, so that it answers when the service does not. Every connection carries one
GET and is cut at a deadline; when there are too many, the oldest make room. Bodies are never read.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import NamedTuple

import structlog

from authz.addresses import is_loopback, is_loopback_host
from authz.errors import Unavailable

MAX_CONNECTIONS = 32
MAX_HEAD_BYTES = 8192
DEADLINE_SECONDS = 5.0
"""How long one connection may last, from the first byte asked to the last one sent."""

_JSON = "application/json"
_REASONS = http.client.responses
_BAD, _FORBIDDEN, _NOT_FOUND, _NOT_ALLOWED, _FAILED = 400, 403, 404, 405, 500

_LAST_TURNS = 4

_log = structlog.get_logger(__name__)


class Answer(NamedTuple):
    """What a page answers with."""

    status: int
    content_type: str
    body: bytes


Page = Callable[[str], Awaitable[Answer]]
"""Answers a GET, given the header `Accept`. Runs on the listener's event loop."""


class Listener:
    """The server. Pages by their path."""

    def __init__(self, address: str, pages: Mapping[str, Page], *, deadline: float = DEADLINE_SECONDS) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._pages = pages
        self._deadline = deadline
        self._is_local = is_loopback(address)
        self._connections: dict[asyncio.Task[None], None] = {}
        self._closing: Callable[[], object] = lambda: None
        self._thread: threading.Thread | None = None

    def open(self) -> str:
        """Begin to answer; returns HOST:PORT.

        Raises:
            Unavailable: the address cannot be opened.

        """
        listening = self._listen()
        started = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listening, started)), name="authz-operator", daemon=True
        )
        self._thread.start()
        started.wait()
        return f"{self._host}:{listening.getsockname()[1]}"

    def close(self) -> None:
        """Cut all connections and end. Blocks for a moment."""
        if self._thread is not None:
            self._closing()
            self._thread.join()
            self._thread = None

    def _listen(self) -> socket.socket:
        host = self._host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            return socket.create_server((host, self._port), family=family)
        except OSError:
            raise Unavailable(
                f"cannot listen on `{self._host}:{self._port}`: the address is taken or not of this machine"
            ) from None

    async def _serve(self, listening: socket.socket, started: threading.Event) -> None:
        closing = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._closing = partial(loop.call_soon_threadsafe, closing.set)
        server = await asyncio.start_server(self._accept, sock=listening, limit=MAX_HEAD_BYTES)
        started.set()
        await closing.wait()
        # A connection that was accepted, but has not begun when its server is closed, is dropped by asyncio with its
        # socket open. So nothing is accepted any more, and what was accepted begins, before the server is closed.
        loop.remove_reader(listening)
        await asyncio.sleep(0)
        server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        # Tasks tell of their end in the next turn, and transports let go of their sockets in the one after.
        for _ in range(_LAST_TURNS):
            await asyncio.sleep(0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            next(iter(self._connections)).cancel()
        task = asyncio.ensure_future(self._converse(reader, writer))
        self._connections[task] = None
        task.add_done_callback(partial(self._forget, writer))

    def _forget(self, writer: asyncio.StreamWriter, task: asyncio.Task[None]) -> None:
        # Here and not in the task: one that has to make room before its first turn never runs.
        writer.transport.abort()
        self._connections.pop(task, None)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._deadline):
                answer = await self._answer(reader)
                writer.write(_message(answer))
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the peer was too slow, went away, or had to make room; there is nobody to tell

    async def _answer(self, reader: asyncio.StreamReader) -> Answer:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, headers = _parse(head)
        except (asyncio.LimitOverrunError, ValueError, http.client.HTTPException):
            return _plain(_BAD)
        if method != "GET":
            return _plain(_NOT_ALLOWED)
        if self._is_local and not _is_local_name(headers.get("host", "")):
            return _plain(_FORBIDDEN)
        page = self._pages.get(target.partition("?")[0])
        if page is None:
            return _plain(_NOT_FOUND)
        try:
            return await page(headers.get("accept", ""))
        except Exception as error:  # noqa: BLE001 - the operator gets an answer, and the log says why
            _log.error("operator_page_failed", page=target, exc_info=error)
            return _plain(_FAILED)


def _parse(head: bytes) -> tuple[str, str, dict[str, str]]:
    """The request line and the headers; raises ValueError or HTTPException for what is not HTTP/1."""
    line, _, rest = head.partition(b"\r\n")
    method, target, version = line.decode("ascii").split(" ")
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise ValueError("not HTTP/1")
    message = http.client.parse_headers(io.BytesIO(rest))
    return method, target, {name.lower(): str(value) for name, value in message.items()}


def _is_local_name(host: str) -> bool:
    # A page in the operator's browser can make any name mean 127.0.0.1, but it cannot ask by another name than its own.
    name = host if host.endswith("]") or ":" not in host else host.rpartition(":")[0]
    return not host or is_loopback_host(name.strip("[]"))


def _plain(status: int) -> Answer:
    return Answer(status, _JSON, b'{"message":"%s"}' % _REASONS[status].lower().encode())


def _message(answer: Answer) -> bytes:
    head = [
        f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    if answer.status == _NOT_ALLOWED:
        head.append("Allow: GET")
    return "\r\n".join([*head, "", ""]).encode("ascii") + answer.body
