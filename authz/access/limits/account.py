"""Allowances that refill with time, and a bounded table of those who have one. Used by `peers`, `limiter`, `shared`.

The algorithm is GCRA, the virtual scheduling algorithm of ITU-T I.371: an allowance is one number, the time at which
everything taken so far will have come back. It counts exactly, has no windows whose edges could be played, tells
exactly how long to wait, and costs a quarter of a microsecond. Time is monotonic, so that a clock that is set moves
nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

EPSILON = 1e-9
"""Seconds; far above the rounding of clocks, far below any wait. Whoever waits as long as told is admitted."""

LOOKS = 16
"""How many accounts are looked at to find room for a newcomer."""


class Pace(NamedTuple):
    """How fast an allowance refills. The allowance in units is `depth / interval`."""

    interval: float
    """Seconds until one unit has come back."""
    depth: float
    """Seconds until a spent allowance is whole again."""


def pace_of(units: float, seconds: float, *, burst: float = 1.0, share: float = 1.0) -> Pace:
    """The pace of `units` every `seconds`.

    Args:
        units: of work.
        seconds: how long the period is.
        burst: how many periods' worth may be taken at once; a whole unit in any case.
        share: which part of the units is ours, when several processes allow them.

    """
    interval = seconds / (units * share)
    return Pace(interval, max(seconds * burst, interval))


def wait_for(due: float, pace: Pace, cost: float, now: float) -> float:
    """Seconds until `cost` units may be taken of an allowance that is whole at `due`; not above 0 when they may now.

    A cost above the whole allowance may be taken of a whole one, and is then paid off before anything else.
    """
    wanted = cost * pace.interval
    return due - now + (wanted if wanted < pace.depth else pace.depth) - pace.depth


def wait_for_more(due: float, pace: Pace, extra: float, paid: float, now: float) -> float:
    """As `wait_for`, for the rest of a cost of which `paid` units were taken just now.

    It may be taken when all of the cost might have been taken at first. Whoever must wait pays the first part again.
    """
    first = paid * pace.interval
    wait = wait_for(due - first, pace, paid + extra, now)
    return wait + first if wait > EPSILON else 0.0


class Account(Protocol):
    """What a table keeps of somebody."""

    def is_idle(self, now: float) -> bool:
        """Whether a new account would be the same as this one."""
        ...


A = TypeVar("A", bound=Account)


class Accounts(Generic[A]):
    """Accounts by key, of which there are never more than `most`.

    Only idle accounts make room: however many newcomers there are, nobody's account is forgotten, and so made whole,
    while something of it is spent. While there is no room, all newcomers share one account.
    """

    def __init__(self, most: int, open_: Callable[[str], A], crowd: A) -> None:
        self._most = most
        self._open = open_
        self._crowd = crowd
        self._accounts: OrderedDict[str, A] = OrderedDict()
        self.known = self._accounts.get
        """The account of a key, or None. Asked first, for it costs the least."""

    def __len__(self) -> int:
        return len(self._accounts)

    def open(self, key: str, now: float) -> A:
        """A new account for a key that has none; the shared one while there is no room."""
        if len(self._accounts) >= self._most and not self._make_room(now):
            return self._crowd
        account = self._accounts[key] = self._open(key)
        return account

    def _make_room(self, now: float) -> bool:
        # As a clock's hand does: idle ones go, others get to the end and are looked at again a round later.
        for _ in range(min(LOOKS, len(self._accounts))):
            key, account = next(iter(self._accounts.items()))
            if account.is_idle(now):
                del self._accounts[key]
                return True
            self._accounts.move_to_end(key)
        return False
