"""A worker's end of the socket to its supervisor: words come in, news and pages go out. Used by `worker`.

It has a thread and an event loop of its own, so that it answers when the service does not, and notices at once when
the supervisor is gone, however that ended.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson

from authz.app.codes import FORCED
from authz.app.framing import GONE, LENGTH_BYTES, Assignment, message, read_assignment, receive

if TYPE_CHECKING:
    from authz.telemetry.listener import Page

ORPHAN_SECONDS = 15.0
"""How long a worker without supervisor may take to end, before it is ended."""
_NOT_FOUND, _FAILED = 404, 500


class Lifeline:
    """See the module. `assignment` is received first, on the calling thread; then `start`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._pages: Mapping[str, Page] = {}
        self._started = threading.Event()
        self._is_closing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop
        self._writer: asyncio.StreamWriter
        self._conversing: asyncio.Task[None]
        self._thread: threading.Thread

    def assignment(self) -> Assignment:
        """What to do. Blocks. Raises EOFError when the supervisor is gone."""
        return read_assignment(self._exactly(int.from_bytes(self._exactly(LENGTH_BYTES), "big")))

    def start(self, hear: Callable[[str], object], lose: Callable[[], object]) -> None:
        """Call `hear` with every word, and `lose` when the supervisor is gone; both on a thread of this object."""
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(hear, lose)), name="authz-lifeline", daemon=True
        )
        self._thread.start()
        self._started.wait()

    def serve_pages(self, pages: Mapping[str, Page]) -> None:
        """Answer the supervisor with these pages."""
        self._pages = pages

    def tell(self, news: str, **members: Any) -> None:
        """Send news. Called on any thread."""
        with suppress(RuntimeError):  # the loop has ended, and with it the supervisor
            self._loop.call_soon_threadsafe(self._writer.write, message(news=news, **members))

    def close(self) -> None:
        """Send what is to be sent and end. Blocks for a moment."""
        self._is_closing = True
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._conversing.cancel)
        self._thread.join(1.0)

    async def _run(self, hear: Callable[[str], object], lose: Callable[[], object]) -> None:
        self._loop = asyncio.get_running_loop()
        reader, self._writer = await asyncio.open_unix_connection(sock=self._connection)
        self._conversing = asyncio.create_task(self._converse(reader, hear))
        self._started.set()
        await asyncio.wait({self._conversing})
        if not self._is_closing:
            lose()
            # In time to spare of the service, which may not turn its loop any more.
            time.sleep(ORPHAN_SECONDS)  # noqa: ASYNC251 - nothing else is left to do here
            os._exit(FORCED)
        with suppress(*GONE, TimeoutError):
            await asyncio.wait_for(self._writer.drain(), 1.0)
        self._writer.close()
        with suppress(*GONE, TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), 1.0)

    async def _converse(self, reader: asyncio.StreamReader, hear: Callable[[str], object]) -> None:
        with suppress(*GONE):
            while True:
                said = orjson.loads(await receive(reader))
                if "page" in said:
                    task = asyncio.create_task(self._answer(said["id"], said["page"]))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                else:
                    hear(said["word"])

    async def _answer(self, number: int, path: str) -> None:
        page = self._pages.get(path)
        status, body = _NOT_FOUND, b""
        if page is not None:
            try:
                status, _, body = await page("")
            except Exception:  # noqa: BLE001 - the supervisor is told that this page cannot be had
                status = _FAILED
        self._writer.write(message(answer=number, status=status, body=body.decode()))

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self._connection.recv(count - len(found))
            if not part:
                raise EOFError("the supervisor is gone")
            found += part
        return found
