"""Rates of principals and of stores, counted in this process, which allows its share of them. Asked by the edge."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from authz.access.limits.account import EPSILON, Accounts, wait_for, wait_for_more
from authz.access.limits.restrictions import Restrictions
from authz.access.limits.tiers import Paces, Tiers
from authz.access.limits.work import Work
from authz.clock import Clock
from authz.settings.limits import LimitsSettings

Verdict = float | None
"""None when the call may go on, else how many seconds its caller must wait."""


class Limiter(Protocol):
    """Who may ask for how much. A verdict comes at once, or is awaited when all nodes count together."""

    refused_principals: int
    """How many calls exceeded the rate of their principal."""
    refused_stores: int
    """How many calls exceeded the rate of their store."""
    shared_failures: int
    """How often the store in which all nodes count did not answer."""

    def admit(self, principal_id: str, work: Work, cost: float) -> Verdict | Awaitable[Verdict]:
        """Take `cost` units from the allowance of a principal for a class of work."""
        ...

    def admit_store(
        self, store_id: str, principal_id: str, work: Work, cost: float, extra: float = 0.0
    ) -> Verdict | Awaitable[Verdict]:
        """Take `cost + extra` units from the allowance of a store, and `extra` from that of a principal who has paid
        `cost` already."""
        ...

    def restrict(self, principal_id: str, rate: float, until: float) -> None:
        """Allow a principal no more than `rate` units a second, of all classes together, until a time of the clock's
        `monotonic`; instead of an earlier restriction. A rate of 0 allows nothing; a time that has passed lifts it."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Holder:
    """What a principal or a store may still take of each class."""

    __slots__ = ("_due", "_paces")

    def __init__(self, paces: Paces) -> None:
        self._paces = paces
        self._due = [0.0] * len(paces)

    def is_idle(self, now: float) -> bool:
        """Whether everything taken has come back."""
        return max(self._due) <= now

    def take(self, work: Work, cost: float, now: float) -> Verdict:
        """Take units, or say how long to wait."""
        due = self._due[work]
        due = due if due > now else now
        pace = self._paces[work]
        wait = wait_for(due, pace, cost, now)
        if wait > EPSILON:
            return wait
        self._due[work] = due + cost * pace.interval
        return None

    def take_more(self, work: Work, extra: float, paid: float, now: float) -> Verdict:
        """Take the rest of a cost of which `paid` units are taken, or say how long to wait with all of it."""
        due = max(self._due[work], now)
        pace = self._paces[work]
        wait = wait_for_more(due, pace, extra, paid, now)
        if wait > EPSILON:
            return wait
        self._due[work] = due + extra * pace.interval
        return None


class LocalLimiter:
    """The limiter of one process. What its methods promise is said at `Limiter`."""

    def __init__(self, settings: LimitsSettings, clock: Clock, workers: int = 1) -> None:
        share = 1 / workers
        most = settings.max_tracked
        principals = Tiers(settings, settings.principals, settings.tier, share)
        stores = Tiers(settings, settings.stores, settings.store_tier, share)
        self._monotonic = clock.monotonic
        self._principals = Accounts(most, lambda id_: Holder(principals.of(id_)), Holder(principals.other))
        self._stores = Accounts(most, lambda id_: Holder(stores.of(id_)), Holder(stores.other))
        self._restrictions = Restrictions(most, share)
        self.refused_principals = 0
        self.refused_stores = 0
        self.shared_failures = 0

    def admit(self, principal_id: str, work: Work, cost: float) -> Verdict:
        """See `Limiter.admit`."""
        now = self._monotonic()
        if self._restrictions.active:
            wait = self._restrictions.take(principal_id, cost, now)
            if wait is not None:
                self.refused_principals += 1
                return wait
        holder = self._principals.known(principal_id)
        if holder is None:
            holder = self._principals.open(principal_id, now)
        wait = holder.take(work, cost, now)
        if wait is not None:
            self.refused_principals += 1
        return wait

    def admit_more(self, principal_id: str, work: Work, extra: float, paid: float) -> Verdict:
        """Take `extra` units from the allowance of a principal who has just paid `paid` for the same call."""
        now = self._monotonic()
        wait: Verdict = None
        if self._restrictions.active:
            wait = self._restrictions.take_more(principal_id, extra, paid, now)
        if wait is None:
            holder = self._principals.known(principal_id) or self._principals.open(principal_id, now)
            wait = holder.take_more(work, extra, paid, now)
        if wait is not None:
            self.refused_principals += 1
        return wait

    def admit_store(self, store_id: str, principal_id: str, work: Work, cost: float, extra: float = 0.0) -> Verdict:
        """See `Limiter.admit_store`."""
        if extra:
            wait = self.admit_more(principal_id, work, extra, cost)
            if wait is not None:
                return wait
        now = self._monotonic()
        holder = self._stores.known(store_id)
        if holder is None:
            holder = self._stores.open(store_id, now)
        wait = holder.take(work, cost + extra, now)
        if wait is not None:
            self.refused_stores += 1
        return wait

    def restrict(self, principal_id: str, rate: float, until: float) -> None:
        """See `Limiter.restrict`."""
        self._restrictions.put(principal_id, rate, until, self._monotonic())

    async def close(self) -> None:
        """Nothing to let go of."""
