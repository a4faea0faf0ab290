"""Questions move to threads without leaving anything behind."""

from __future__ import annotations

import asyncio
import time

import pytest

from authz.call import Call
from authz.clock import SystemClock
from authz.commands.evaluate import evaluate, evaluate_on_thread
from authz.engine.budget import Budget
from authz.errors import Cancelled, DeadlineExceeded
from authz.index.memory import TupleIndex
from authz.index.rows import View

pytestmark = pytest.mark.anyio


def endless(_: View, budget: Budget):  # type: ignore[no-untyped-def]
    """A question that only its budget ends."""

    def run() -> bool:
        while True:
            budget.spend(1)

    return run


async def test_a_question_cancelled_in_the_queue_leaves_no_snapshot() -> None:
    """A snapshot is closed even when the thread never got to it."""
    index, loop = TupleIndex(1), asyncio.get_running_loop()
    blockers = [loop.run_in_executor(None, time.sleep, 0.2) for _ in range(40)]
    waiting = asyncio.ensure_future(evaluate_on_thread(SystemClock(), Call(), index, lambda *_: lambda: 1))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.gather(*blockers, waiting, return_exceptions=True)
    assert not index._snapshots


async def test_a_long_question_ends_at_its_deadline() -> None:
    """On the thread as well, and its snapshot is closed."""
    index, clock = TupleIndex(1), SystemClock()
    with pytest.raises(DeadlineExceeded):
        await evaluate(clock, Call(deadline=clock.monotonic() + 0.05), index, endless)
    assert not index._snapshots


async def test_a_long_question_ends_when_nobody_waits() -> None:
    """The edge says so through the call."""
    index, call = TupleIndex(1), Call()
    asyncio.get_running_loop().call_later(0.05, lambda: setattr(call, "cancelled", True))
    with pytest.raises(Cancelled):
        await evaluate(SystemClock(), call, index, endless)
    assert not index._snapshots
