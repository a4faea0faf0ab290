"""Bounds that are put on single principals while the service runs. Used by `limiter` and `shared`."""

from __future__ import annotations

from collections.abc import Callable

from authz.access.limits.account import EPSILON, Pace, pace_of, wait_for, wait_for_more


class _Restriction:
    __slots__ = ("due", "pace", "until")

    def __init__(self, pace: Pace | None, until: float) -> None:
        self.pace = pace
        self.until = until
        self.due = 0.0


class Restrictions:
    """At most `most` of them; beyond that, the one that would end first is given up. Times are of `Clock.monotonic`."""

    def __init__(self, most: int, share: float) -> None:
        self._most = most
        self._share = share
        self.active: dict[str, _Restriction] = {}
        """By principal. Empty nearly always: look before you `take`."""

    def put(self, principal_id: str, rate: float, until: float, now: float) -> None:
        """Restrict a principal to `rate` units a second, 0 for none, instead of as before; lift it if it ends now."""
        self.active.pop(principal_id, None)
        if until <= now:
            return
        if len(self.active) >= self._most:
            self.active = {id_: held for id_, held in self.active.items() if held.until > now}
        if len(self.active) >= self._most:
            del self.active[min(self.active, key=lambda id_: self.active[id_].until)]
        pace = pace_of(rate, 1.0, share=self._share) if rate > 0 else None
        self.active[principal_id] = _Restriction(pace, until)

    def take(self, principal_id: str, cost: float, now: float) -> float | None:
        """Take units, or say how many seconds to wait. None for those who are not restricted."""
        return self._take(principal_id, cost, now, lambda due, pace: wait_for(due, pace, cost, now))

    def take_more(self, principal_id: str, extra: float, paid: float, now: float) -> float | None:
        """As `take`, for the rest of a cost of which `paid` units were taken just now."""
        return self._take(principal_id, extra, now, lambda due, pace: wait_for_more(due, pace, extra, paid, now))

    def _take(
        self, principal_id: str, cost: float, now: float, waiting: Callable[[float, Pace], float]
    ) -> float | None:
        held = self.active.get(principal_id)
        if held is None:
            return None
        left = held.until - now
        if left <= 0:
            del self.active[principal_id]
            return None
        if held.pace is None:
            return left
        due = max(held.due, now)
        wait = waiting(due, held.pace)
        if wait > EPSILON:
            return min(wait, left)
        held.due = due + cost * held.pace.interval
        return None
