"""What the list commands share: gathering up to a limit, and saying honestly when the answer was cut short."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from authz.call import Call
from authz.clock import Clock
from authz.commands.evaluate import Ask
from authz.engine.budget import Budget
from authz.engine.kleene import UNKNOWN, Value
from authz.engine.list_objects import Emit
from authz.errors import DeadlineExceeded
from authz.index.rows import View

CUT_BY_DEADLINE = "deadline"
CUT_BY_LIMIT = "max-results"

_MARGIN = 0.1


class Walk(Protocol):
    """A listing of the engine, prepared over a view."""

    def run(self) -> Value:
        """Walk on; UNKNOWN when rows are missing."""
        ...


Prepare = Callable[[View, Budget, Emit], Walk | None]
"""Prepares a listing; None when the answer is empty by the model."""


class Listing:
    """What was found, and why it is not everything (empty when it is)."""

    def __init__(self, limit: int, forward: Callable[[str], None] | None = None) -> None:
        self.found: list[str] = []
        self.truncated = ""
        self._limit = limit
        self._forward = forward or self.found.append
        self._count = 0

    def emit(self, name: str) -> bool:
        """Take one more; False when it is one too many."""
        if self._limit and self._count == self._limit:
            self.truncated = CUT_BY_LIMIT
            return False
        self._count += 1
        self._forward(name)
        return True


def asking(prepare: Prepare, limit: int, forward: Callable[[str], None] | None = None) -> Ask[Listing]:
    """A listing as a question for `evaluate`. The limit 0 means none; `forward` takes the names instead of `found`."""

    def ask(view: View, budget: Budget) -> Callable[[], Listing | None]:
        listing = Listing(limit, forward)
        walk = prepare(view, budget, listing.emit)

        def run() -> Listing | None:
            try:
                if walk is not None and walk.run() is UNKNOWN:
                    return None
            except DeadlineExceeded:
                listing.truncated = CUT_BY_DEADLINE
            return listing

        return run

    return ask


def time_to_answer(clock: Clock, call: Call) -> float | None:
    """When a listing must stop so that what was found still reaches the caller before the call's deadline."""
    if call.deadline is None:
        return None
    return call.deadline - min(_MARGIN, (call.deadline - clock.monotonic()) * _MARGIN)
