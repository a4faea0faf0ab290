"""Run a question of the engine to its end: on the event loop while it is short, on a worker thread when it is not.

A short question is answered from the live index without a lock, for nothing else runs on the loop meanwhile. One that
outgrows `INLINE_STEPS` begins again on a thread, over a snapshot of the same revision, so that it holds up nobody.
Where rows are missing, a question is asked in rounds, and between two of them all that it missed is read in one batch.
Called by the commands that ask questions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from authz.call import Call
from authz.clock import Clock
from authz.engine.budget import Budget
from authz.errors import Bug, Cancelled, DeadlineExceeded
from authz.index.memory import TupleIndex
from authz.index.partial import PartialView
from authz.index.rows import View

INLINE_STEPS = 1000
"""About a millisecond of work."""

Answer = TypeVar("Answer")


Run = Callable[[], Answer | None]
"""Runs a question as far as the rows in memory allow. None says that rows are missing: fetch them and run it again."""

Ask = Callable[[View, Budget], Run[Answer]]
"""Prepares a question over a view, to be paid from a budget."""


class _Outgrown(Exception):
    """The question is longer than the event loop may be held."""


def _hand_over() -> None:
    raise _Outgrown


class _Turn:
    """Bounds a question on the event loop to one turn after another: `INLINE_STEPS` in each, and a look at the call."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._has_looked = False
        self.budget = Budget(self._look_once, steps=INLINE_STEPS)

    def begin(self) -> None:
        """A turn begins."""
        self._has_looked = False
        self.budget.look_soon()

    def _look_once(self) -> None:
        if self._has_looked:
            raise _Outgrown
        self._look()
        self._has_looked = True


def _looking(clock: Clock, call: Call, deadline: float | None) -> Callable[[], None]:
    def look() -> None:
        if call.cancelled:
            raise Cancelled("the call was cancelled")
        if deadline is not None and clock.monotonic() > deadline:
            raise DeadlineExceeded("the deadline passed before the question was answered")

    return look


async def evaluate(
    clock: Clock,
    call: Call,
    view: TupleIndex | PartialView,
    ask: Ask[Answer],
    *,
    deadline: float | None = None,
) -> Answer:
    """The answer of a question. A live index must have been chosen since the last await.

    Args:
        clock: what deadlines are measured by.
        call: who asks; its cancellation stops the work.
        view: what the question is answered from.
        ask: prepares the question; called anew when the question moves to a thread.
        deadline: when to stop, if earlier than the call's own deadline.

    Raises:
        DeadlineExceeded, Cancelled: the call ended first.
        AuthzError: whatever the question raises.

    """
    if isinstance(view, PartialView):
        look = _looking(clock, call, call.deadline if deadline is None else deadline)
        return await _evaluate_partially(look, view, ask)
    try:
        return _complete(ask(view, Budget(_hand_over, steps=INLINE_STEPS))())
    except _Outgrown:
        return await evaluate_on_thread(clock, call, view, ask, deadline=deadline)


async def _evaluate_partially(look: Callable[[], None], view: PartialView, ask: Ask[Answer]) -> Answer:
    """Ask the rows in memory; if they do not suffice, ask again and read what is missing."""
    try:
        if view.is_live:
            answer = ask(view.index, Budget(_hand_over, steps=INLINE_STEPS))()
            if answer is not None:
                return answer
        answer = await _turn_by_turn(view.open(), look, ask)
    except _Outgrown:
        # The view stays open: what it has read it still has.
        return await _round_by_round(view, Budget(look), ask)
    except BaseException:
        view.close()
        raise
    view.close()
    return answer


async def _turn_by_turn(view: PartialView, look: Callable[[], None], ask: Ask[Answer]) -> Answer:
    """Rounds on the event loop, one turn each.

    Raises:
        _Outgrown: a round takes more than a turn.

    """
    turn = _Turn(look)
    run = ask(view, turn.budget)
    while True:
        turn.begin()
        answer = run()
        if answer is not None:
            return answer
        await view.fetch()


def evaluate_on_thread(
    clock: Clock,
    call: Call,
    view: TupleIndex | PartialView,
    ask: Ask[Answer],
    *,
    deadline: float | None = None,
) -> Awaitable[Answer]:
    """As `evaluate`, for a question that is known to be long. The view is held as it is now, until the work ends."""
    budget = Budget(_looking(clock, call, call.deadline if deadline is None else deadline))
    if isinstance(view, PartialView):
        return _round_by_round(view, budget, ask)
    snapshot = view.snapshot()
    # Whoever pops this owns the snapshot: the work when it begins, else the end of a call that was cancelled in
    # the queue.
    unclaimed = [snapshot]

    def work() -> Answer:
        with unclaimed.pop():
            return _complete(ask(snapshot, budget)())

    def close_unclaimed(_: asyncio.Future[Answer]) -> None:
        with suppress(IndexError):
            unclaimed.pop().close()

    future = asyncio.get_running_loop().run_in_executor(None, work)
    future.add_done_callback(close_unclaimed)
    return future


async def _round_by_round(view: PartialView, budget: Budget, ask: Ask[Answer]) -> Answer:
    """Rounds on threads; closes the view."""
    loop = asyncio.get_running_loop()
    working: asyncio.Future[Answer | None] | None = None
    view.open()
    try:
        run = ask(view, budget)
        while True:
            budget.look_soon()
            working = loop.run_in_executor(None, run)
            answer = await asyncio.shield(working)
            if answer is not None:
                return answer
            await view.fetch()
    finally:
        # INVARIANT: a view is not closed while a thread reads it, though nobody waits for what the thread finds.
        if working is None or working.done():
            view.close()
        else:
            working.add_done_callback(partial(_close, view))


def _close(view: PartialView, working: asyncio.Future[Any]) -> None:
    working.exception()
    view.close()


def _complete(answer: Answer | None) -> Answer:
    if answer is None:
        raise Bug("a view that holds every row found one missing")
    return answer
