"""Which rates somebody has, by settings. Used by `limiter`."""

from __future__ import annotations

from authz.access.limits.account import Pace, pace_of
from authz.access.limits.work import Work
from authz.settings.limits import LimitsSettings, Tier, quota

Paces = tuple[Pace, ...]
"""A pace for each `Work`, in its order."""


def paces_of(tier: Tier, share: float) -> Paces:
    """The paces of a tier, of which `share` is ours."""
    quotas = (quota(getattr(tier, work.name.lower())) for work in Work)
    return tuple(pace_of(units, seconds, burst=tier.burst, share=share) for units, seconds in quotas)


class Tiers:
    """Paces by id: exact ids first, then the longest beginning that matches, then the paces of everybody else."""

    def __init__(self, settings: LimitsSettings, named: dict[str, str], other: str, share: float) -> None:
        paces = {name: paces_of(settings.tier_named(name), share) for name in {other, *named.values()}}
        self.other = paces[other]
        self._exact = {id_: paces[name] for id_, name in named.items() if not id_.endswith("*")}
        beginnings = ((id_[:-1], paces[name]) for id_, name in named.items() if id_.endswith("*"))
        self._beginnings = sorted(beginnings, key=lambda entry: -len(entry[0]))

    def of(self, id_: str) -> Paces:
        """The paces of an id."""
        exact = self._exact.get(id_)
        if exact is not None:
            return exact
        return next((paces for beginning, paces in self._beginnings if id_.startswith(beginning)), self.other)
