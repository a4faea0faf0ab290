"""Rates that all nodes count together, in a Redis or Valkey. Asked by the edge.

A process takes some units at a time, a tenth of a second's worth, and spends them without asking, so that most calls
wait for nothing. What it took and did not spend within a second is lost: a rate is never exceeded, and hardly ever
undershot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from authz.access.limits.account import Accounts, Pace
from authz.access.limits.counter import SharedCounter, SharedFailure
from authz.access.limits.limiter import LocalLimiter, Verdict
from authz.access.limits.restrictions import Restrictions
from authz.access.limits.tiers import Paces, Tiers
from authz.access.limits.work import Work
from authz.clock import Clock
from authz.settings.limits import LimitsSettings

LEASE_WORTH = 0.1
"""Seconds' worth of a rate that is taken at once."""
LEASE_SECONDS = 1.0
"""How long it may be spent."""
RETRY_SECONDS = 1.0
"""How often a store that failed is tried again."""
_PATIENCE = 2.0
_ROUNDS = 8

_log = structlog.get_logger(__name__)


class _Lessee:
    """What this process has taken for somebody and not spent yet, of each class of work."""

    __slots__ = ("asking", "key", "left", "paces", "until", "wanted")

    def __init__(self, key: str, paces: Paces) -> None:
        self.key = key
        self.paces = paces
        self.left = [0.0] * len(paces)
        self.until = [0.0] * len(paces)
        self.wanted = [0.0] * len(paces)
        """What those want who wait for a lease."""
        self.asking: list[asyncio.Task[Verdict] | None] = [None] * len(paces)

    def is_idle(self, now: float) -> bool:
        return max(self.until) <= now and not any(self.wanted)

    def kept(self, work: Work, now: float) -> float:
        """How much is left that may still be spent."""
        return self.left[work] if self.until[work] > now else 0.0

    def spend(self, work: Work, cost: float, now: float) -> bool:
        left = self.left[work]
        if left < cost or self.until[work] <= now:
            return False
        self.left[work] = left - cost
        return True


class SharedLimiter:
    """The limiter of many nodes. What its methods promise is said at `Limiter`.

    Args:
        settings: what is allowed, and what to do while the store fails.
        clock: for leases; allowances are kept by the clock of the store.
        counter: the store.
        workers: how many processes share the rates while the store fails.

    """

    def __init__(self, settings: LimitsSettings, clock: Clock, counter: SharedCounter, workers: int = 1) -> None:
        most = settings.max_tracked
        principals = Tiers(settings, settings.principals, settings.tier, 1.0)
        stores = Tiers(settings, settings.stores, settings.store_tier, 1.0)
        self._monotonic = clock.monotonic
        self._counter = counter
        self._local = LocalLimiter(settings, clock, workers) if settings.on_shared_failure == "local" else None
        self._principals = Accounts(
            most, lambda id_: _Lessee(f"principal:{id_}", principals.of(id_)), _Lessee("principals", principals.other)
        )
        self._stores = Accounts(
            most, lambda id_: _Lessee(f"store:{id_}", stores.of(id_)), _Lessee("stores", stores.other)
        )
        self._restrictions = Restrictions(most, 1 / workers)
        self._recovering: asyncio.Task[None] | None = None
        self.refused_principals = 0
        self.refused_stores = 0
        self.shared_failures = 0

    def admit(self, principal_id: str, work: Work, cost: float) -> Verdict | Awaitable[Verdict]:
        """See `Limiter.admit`."""
        now = self._monotonic()
        if self._restrictions.active:
            wait = self._restrictions.take(principal_id, cost, now)
            if wait is not None:
                self.refused_principals += 1
                return wait
        lessee = self._principals.known(principal_id)
        if lessee is None:
            lessee = self._principals.open(principal_id, now)
        if lessee.spend(work, cost, now):
            return None
        return self._admit_principal(lessee, principal_id, work, cost)

    def admit_store(
        self, store_id: str, principal_id: str, work: Work, cost: float, extra: float = 0.0
    ) -> Verdict | Awaitable[Verdict]:
        """See `Limiter.admit_store`."""
        if extra:
            verdict = self._admit_more(principal_id, work, extra, cost)
            if verdict is not None:
                return (
                    verdict if isinstance(verdict, float) else self._admit_both(verdict, store_id, work, cost + extra)
                )
        return self._admit_store(store_id, work, cost + extra)

    def restrict(self, principal_id: str, rate: float, until: float) -> None:
        """See `Limiter.restrict`. Holds in this process, which allows its share of the rate."""
        self._restrictions.put(principal_id, rate, until, self._monotonic())

    async def close(self) -> None:
        """Let go of the store."""
        if self._recovering is not None:
            self._recovering.cancel()
            await asyncio.wait([self._recovering])
        await self._counter.close()

    def _admit_more(self, principal_id: str, work: Work, extra: float, paid: float) -> Verdict | Awaitable[Verdict]:
        """Take `extra` units from the allowance of a principal who has just paid `paid` for the same call."""
        now = self._monotonic()
        if self._restrictions.active:
            wait = self._restrictions.take_more(principal_id, extra, paid, now)
            if wait is not None:
                self.refused_principals += 1
                return wait
        lessee = self._principals.known(principal_id) or self._principals.open(principal_id, now)
        if lessee.spend(work, extra, now):
            return None
        return self._admit_principal(lessee, principal_id, work, extra, paid)

    async def _admit_principal(
        self, lessee: _Lessee, principal_id: str, work: Work, cost: float, paid: float = 0.0
    ) -> Verdict:
        local = self._local

        def fall_back() -> Verdict:
            return RETRY_SECONDS if local is None else local.admit_more(principal_id, work, cost, paid)

        wait = await self._lease(lessee, work, cost, fall_back, paid)
        if wait is not None:
            self.refused_principals += 1
        return wait

    async def _admit_both(self, verdict: Awaitable[Verdict], store_id: str, work: Work, cost: float) -> Verdict:
        wait = await verdict
        if wait is not None:
            return wait
        following = self._admit_store(store_id, work, cost)
        return following if following is None else await following

    def _admit_store(self, store_id: str, work: Work, cost: float) -> Awaitable[Verdict] | None:
        now = self._monotonic()
        lessee = self._stores.known(store_id)
        if lessee is None:
            lessee = self._stores.open(store_id, now)
        if lessee.spend(work, cost, now):
            return None
        return self._lease_for_store(lessee, store_id, work, cost)

    async def _lease_for_store(self, lessee: _Lessee, store_id: str, work: Work, cost: float) -> Verdict:
        local = self._local

        def fall_back() -> Verdict:
            return RETRY_SECONDS if local is None else local.admit_store(store_id, "", work, cost)

        wait = await self._lease(lessee, work, cost, fall_back)
        if wait is not None:
            self.refused_stores += 1
        return wait

    async def _lease(
        self, lessee: _Lessee, work: Work, cost: float, fall_back: Callable[[], Verdict], paid: float = 0.0
    ) -> Verdict:
        """Take more units, together with all others who wait for the same, and spend them."""
        lessee.wanted[work] += cost
        try:
            for _ in range(_ROUNDS):
                if self._recovering is not None:
                    break
                asking = lessee.asking[work]
                if asking is None:
                    asking = lessee.asking[work] = asyncio.create_task(self._ask(lessee, work, cost, paid))
                # One caller who goes away must not take the answer from the others.
                wait = await asyncio.shield(asking)
                if wait is not None:
                    return wait
                if lessee.spend(work, cost, self._monotonic()):
                    return None
        finally:
            lessee.wanted[work] -= cost
        return fall_back()

    async def _ask(self, lessee: _Lessee, work: Work, cost: float, paid: float) -> Verdict:
        """Fill the lease, or say how long to wait. Never raises."""
        pace: Pace = lessee.paces[work]
        kept = lessee.kept(work, self._monotonic())
        want = max(LEASE_WORTH / pace.interval, lessee.wanted[work])
        try:
            taken = await self._counter.take(f"{lessee.key}:{work.name}", pace, cost - kept, want, paid + kept)
        except SharedFailure as failure:
            self._failed(failure)
            return None
        finally:
            lessee.asking[work] = None
        if taken.wait:
            return taken.wait + paid * pace.interval  # for it is paid again then
        now = self._monotonic()
        lessee.left[work] = lessee.kept(work, now) + taken.units
        lessee.until[work] = now + LEASE_SECONDS
        return None

    def _failed(self, failure: SharedFailure) -> None:
        self.shared_failures += 1
        if self._recovering is None:
            _log.error("shared_limits_lost", why=str(failure), instead="local" if self._local else "refuse")
            self._recovering = asyncio.create_task(self._recover())

    async def _recover(self) -> None:
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                await self._counter.ping(_PATIENCE)
            except SharedFailure:
                self.shared_failures += 1
                continue
            except Exception as error:  # noqa: BLE001 - whatever it is, the store must be tried again
                self.shared_failures += 1
                _log.error("shared_limits_not_asked", error=type(error).__name__)
                continue
            _log.info("shared_limits_back")
            self._recovering = None
            return
