"""When calls are made: one after the other (closed loop), or at intended times (open loop). Run by `client`.

In the open loop a call's latency counts from the time at which it was intended, whether or not it could be made then:
a server that stalls makes every call late that was due meanwhile, not only those that were under way. Otherwise the
driver would ask less just when answers are slow, and leave out what callers feel ("coordinated omission").
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Protocol

from benchmarks.driver.tally import Outcome, Tally

MAX_RUNNING = 2_000
"""Calls of one process that are under way at once; further ones wait, and their wait counts."""
FAILURE_PAUSE = 0.02
"""Seconds a closed stream rests after an error, so that a server that refuses is not asked in a tight loop."""
DRAIN_SECONDS = 15.0


class Time(Protocol):
    """The clock that loops go by."""

    def now(self) -> int:
        """Nanoseconds."""
        ...

    async def until(self, moment: int) -> None:
        """Return when it is that time, as closely as the machine allows."""
        ...


Do = Callable[[], tuple[str, Awaitable[Outcome]]]
"""Begins the next call: its label, and what ends with its outcome."""


async def closed_loop(do: Do, time: Time, tally: Tally, streams: int) -> None:
    """So many calls at a time, each followed by the next as soon as it is answered."""

    async def stream() -> None:
        while (begun := time.now()) < tally.window.end:
            label, call = do()
            outcome = await call
            tally.settle(label, begun, outcome.ended or time.now(), outcome)
            if outcome.error:
                await asyncio.sleep(FAILURE_PAUSE)

    await asyncio.gather(*(stream() for _ in range(streams)))


async def open_loop(do: Do, time: Time, tally: Tally, schedule: Iterator[int]) -> None:
    """A call at each time of the schedule until the window ends, whatever became of those before."""
    running: set[asyncio.Task[None]] = set()

    async def one(label: str, call: Awaitable[Outcome], intended: int) -> None:
        outcome = await call
        tally.settle(label, intended, outcome.ended or time.now(), outcome)

    for intended in schedule:
        if intended >= tally.window.end:
            break
        if time.now() < intended:
            await time.until(intended)
        while len(running) >= MAX_RUNNING and time.now() < tally.window.end:
            await asyncio.wait(running, timeout=0.1, return_when=asyncio.FIRST_COMPLETED)
        label, call = do()
        if time.now() >= tally.window.end:
            tally.give_up(label, intended)
            if asyncio.iscoroutine(call):
                call.close()
            continue
        tally.sent(intended, time.now())
        task = asyncio.ensure_future(one(label, call, intended))
        running.add(task)
        task.add_done_callback(running.discard)
    await _drain(running)


async def _drain(running: set[asyncio.Task[None]]) -> None:
    """Wait for what is under way; calls have deadlines of their own, so that this ends."""
    if running:
        _, late = await asyncio.wait(running, timeout=DRAIN_SECONDS)
        for task in late:
            task.cancel()


def poisson(rate: float, start: int, seed: str) -> Iterator[int]:
    """Times from `start` on, `rate` per second on average, as independent callers come: in bunches and gaps."""
    random, moment = Random(seed), float(start)
    while True:
        moment += random.expovariate(rate) * 1e9
        yield int(moment)
