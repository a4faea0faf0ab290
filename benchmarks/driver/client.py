"""A client process: connections to one server, and the load on them. Started by `fleet`, which sends it jobs."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
import time
from collections.abc import Awaitable, Iterable, Iterator, MutableSequence
from contextlib import AsyncExitStack
from itertools import cycle
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.driver.flips import ASK, TOKEN, Flips, Reply
from benchmarks.driver.grpc_wire import GrpcWire
from benchmarks.driver.http_wire import HttpWire
from benchmarks.driver.items import METHODS, Item, Script, differs, read
from benchmarks.driver.job import Job, Times
from benchmarks.driver.loops import closed_loop, open_loop, poisson
from benchmarks.driver.tally import RIGHT, Counted, Outcome, Tally, Window
from benchmarks.driver.timer import Timer
from benchmarks.driver.wire import CONNECT_SECONDS, Wire, unreachable
from benchmarks.extras import BenchmarkError

_TELL_SECONDS = 0.2

Progress = MutableSequence[int]
"""Calls, errors and wrong answers so far; shared with the process that shows them."""


def serve(pipe: Connection, progress: Progress) -> None:
    """Carry out jobs until the pipe ends: a `Job` is answered with "ready", its `Times` with what was counted."""
    sys.setswitchinterval(0.0005)
    parent = os.getppid()
    scripts: dict[Any, Script] = {}
    with asyncio.Runner(loop_factory=_loop) as runner:
        while os.getppid() == parent:
            try:
                job = pipe.recv() if pipe.poll(1.0) else None
            except (EOFError, KeyboardInterrupt):
                return
            if job is None:
                continue
            try:
                if job.script not in scripts:
                    scripts = {job.script: read(job.script)}
                    gc.collect()
                    gc.freeze()  # the script is not searched for garbage in the midst of a measurement
                runner.run(_carry_out(job, scripts[job.script], pipe, progress))
            except (EOFError, BrokenPipeError, KeyboardInterrupt):
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, the parent reports it
                told = str(error) if isinstance(error, BenchmarkError) else f"{type(error).__name__}: {error}"
                if not _is_sent(pipe, told):
                    return


def _is_sent(pipe: Connection, told: str) -> bool:
    try:
        pipe.send(told)
    except OSError:  # nobody listens any more
        return False
    return True


def _loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _carry_out(job: Job, script: Script, pipe: Connection, progress: Progress) -> None:
    share = max(job.load.connections // job.parts, 1)
    async with AsyncExitStack() as stack:
        caller = Caller(job, share)
        stack.push_async_callback(caller.close)
        await caller.connect(script.items[job.part :: job.parts] or script.items)
        pipe.send("ready")
        times = await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        timer = stack.enter_context(Timer())
        pipe.send(await _Run(job, script, caller, timer, times).run(progress))


class Caller:
    """Asks over a wire, and compares the answers with the truth."""

    def __init__(self, job: Job, connections: int) -> None:
        self._address = job.address
        if job.wire == "http":
            calls_at_once = connections * (job.load.streams if job.load.loop == "closed" else 1)
            self._wire: Wire = HttpWire(job.address, job.token, job.call_seconds, calls_at_once)
        else:
            self._wire = GrpcWire(job.address, job.token, job.call_seconds, connections)

    async def connect(self, items: Iterable[Item]) -> None:
        """Return when all are connected and all is prepared to ask the items.

        Raises:
            BenchmarkError: they are not in time.

        """
        self._wire.prepare((METHODS[item.operation], item.payload) for item in items)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._wire.connect()
        except (TimeoutError, OSError):
            raise unreachable(self._address) from None

    async def ask(self, item: Item) -> Outcome:
        """Ask, and compare the answer with the truth."""
        called = await self._wire.call(METHODS[item.operation], item.payload)
        if called.error:
            return Outcome(error=called.error)
        wrong = differs(item, called.answer)
        return Outcome(wrong=wrong) if wrong else RIGHT

    async def call(self, method: str, payload: bytes, demand: str) -> Reply:
        """Call a method with a demand on consistency."""
        called = await self._wire.call(method, payload, (ASK, demand) if demand else None)
        return Reply(called.answer, called.beside.get(TOKEN, ""), called.error)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._wire.close()


class _Run:
    """One job at its times."""

    def __init__(self, job: Job, script: Script, caller: Caller, timer: Timer, times: Times) -> None:
        self._job = job
        self._caller = caller
        self._timer = timer
        self._times = times
        self._tally = Tally(Window(times.start, times.end))
        # Each process begins elsewhere, so that no two ask the same at the same time.
        mine = script.items[job.part :: job.parts] or script.items
        self._items = cycle(mine)
        self._flips = Flips(script.flips[job.part :: job.parts], caller.call, fresh=job.fresh)

    async def run(self, progress: Progress) -> Counted:
        telling = asyncio.create_task(self._tell(progress))
        measuring = asyncio.create_task(self._cpu())
        await asyncio.sleep(max(self._times.begin - self._timer.now(), 0) / 1e9)
        await asyncio.gather(self._reads(), self._writes())
        await self._flips.clear()
        telling.cancel()
        return self._tally.counted(await measuring)

    async def _reads(self) -> None:
        load, parts = self._job.load, self._job.parts
        if load.loop == "closed":
            streams = max(load.connections * load.streams // parts, 1)
            await closed_loop(self._check, self._timer, self._tally, streams)
        elif load.rate:
            await open_loop(self._check, self._timer, self._tally, self._schedule(load.rate, "reads"))

    async def _writes(self) -> None:
        if self._job.load.writes:
            with Timer() as timer:
                schedule = self._schedule(self._job.load.writes, "writes")
                await open_loop(self._write, timer, self._tally, schedule)

    def _schedule(self, rate: float, purpose: str) -> Iterator[int]:
        job = self._job
        return poisson(rate / job.parts, self._times.begin, f"{job.seed} {purpose} {job.part}")

    def _check(self) -> tuple[str, Awaitable[Outcome]]:
        item = next(self._items)
        return f"{item.operation}/{item.kind}", self._caller.ask(item)

    def _write(self) -> tuple[str, Awaitable[Outcome]]:
        return "write/tuple", self._flips.flip(self._tally, self._timer.now)

    async def _cpu(self) -> float:
        """Processor seconds of this process within the window."""
        await asyncio.sleep(max(self._times.start - self._timer.now(), 0) / 1e9)
        before = _processor_seconds()
        await asyncio.sleep(max(self._times.end - self._timer.now(), 0) / 1e9)
        return _processor_seconds() - before

    async def _tell(self, progress: Progress) -> None:
        while True:
            progress[0], progress[1], progress[2] = self._tally.done, self._tally.failed, self._tally.wrong
            await asyncio.sleep(_TELL_SECONDS)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def monotonic() -> int:
    """The clock of `Times`."""
    return time.monotonic_ns()
