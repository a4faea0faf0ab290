"""One worker as its supervisor sees it: its process, and the socket to it. Used by `crew`."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from authz.app.codes import SERVICE_ERROR
from authz.app.framing import GONE, Assignment, News, first_message, message, receive

_WAITED_FOR = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_MODULE = "authz.app.worker"


class PageAnswer(NamedTuple):
    """What a worker answers for a page."""

    status: int
    body: str


class NotStarted(Exception):
    """A worker that ended before it was ready; the exit code of the service, and why."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


class Link:
    """A worker that runs or has ended. Made by `start`, on the event loop of the supervisor."""

    def __init__(self, number: int, process: subprocess.Popen[bytes]) -> None:
        self.number = number
        self.process = process
        self.is_ready = self.was_ready = False
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._news: dict[str, asyncio.Event] = {News.PREPARED: asyncio.Event(), News.READY: asyncio.Event()}
        self._failure: NotStarted | None = None
        self._asked: dict[int, asyncio.Future[PageAnswer]] = {}
        self._number = 0

    @classmethod
    async def start(cls, assignment: Assignment) -> Link:
        """Start a worker; it waits for words.

        Raises:
            OSError: no process can be started.

        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = _spawn(assignment, theirs.fileno())
            except BaseException:
                ours.close()
                raise
        link = cls(assignment.number, process)
        try:
            await link._connect(ours, assignment)
        except BaseException:
            process.kill()
            process.wait()
            raise
        return link

    def say(self, word: str) -> None:
        """Tell the worker what to do."""
        self._send(message(word=word))

    async def reach(self, news: str) -> None:
        """Wait until the worker tells this.

        Raises:
            NotStarted: it ended before.

        """
        event = asyncio.create_task(self._news[news].wait())
        either: set[asyncio.Future[Any]] = {event, self._ended}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if event.done():
            self.is_ready = self.was_ready = news == News.READY and not self._ended.done()
            return
        event.cancel()
        if self._listening is not None:
            await self._listening
        why = f"worker {self.number} {how(self._ended.result())} before it was ready"
        raise self._failure or NotStarted(SERVICE_ERROR, why)

    async def page(self, path: str) -> PageAnswer | None:
        """A page of the worker; None when it ends meanwhile."""
        self._number += 1
        number = self._number
        asked = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._send(message(id=number, page=path))
            either: set[asyncio.Future[Any]] = {asked, self._ended}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return asked.result() if asked.done() else None
        finally:
            del self._asked[number]

    async def end(self) -> int:
        """Wait for the end of the process; returns its exit code, negative for a signal."""
        code = await asyncio.shield(self._ended)
        if self._listening is not None:
            await self._listening
        if self._writer is not None:
            self._writer.close()
        return code

    async def _connect(self, ours: socket.socket, assignment: Assignment) -> None:
        reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        self._writer.write(first_message(assignment))
        self._listening = asyncio.create_task(self._listen(reader))
        self._watch()

    def _watch(self) -> None:
        """Learn when the process ends."""
        loop = asyncio.get_running_loop()

        def gone(code: int) -> None:
            self.is_ready = False
            self._ended.set_result(code)

        def wait() -> None:
            code = self.process.wait()
            with suppress(RuntimeError):  # the loop has ended before
                loop.call_soon_threadsafe(gone, code)

        threading.Thread(target=wait, name=f"authz-worker-{self.number}", daemon=True).start()

    def _send(self, raw: bytes) -> None:
        if self._writer is not None and not self._ended.done():
            self._writer.write(raw)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with suppress(*GONE):
            while True:
                said = orjson.loads(await receive(reader))
                if "answer" in said:
                    asked = self._asked.get(said["answer"])
                    if asked is not None and not asked.done():
                        asked.set_result(PageAnswer(said["status"], said["body"]))
                elif said["news"] == News.FAILED:
                    self._failure = NotStarted(said["code"], said["why"])
                else:
                    self._news[said["news"]].set()


def how(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _spawn(assignment: Assignment, descriptor: int) -> subprocess.Popen[bytes]:
    passed: Sequence[int | None] = (descriptor, assignment.signal, assignment.output)
    # The modules of the supervisor itself, wherever it found them.
    path = os.pathsep.join(str(Path(each).absolute()) for each in sys.path)
    # Until the worker can hear signals they wait, or Ctrl-C would end it with Python's own words.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED_FOR)
    try:
        return subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-P", "-m", _MODULE, str(descriptor)],
            stdin=subprocess.DEVNULL,
            pass_fds=[each for each in passed if each is not None],
            env={**os.environ, "PYTHONPATH": path},
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
