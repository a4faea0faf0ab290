"""At which hours a principal works, and from which networks it calls. Kept in its profile, asked by the detector."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

HOURS = 24
LEARNED_DAYS = 7
"""How many days of work must be known before an hour can be unusual."""
REMEMBERED_DAYS = 28
"""After as many days the older half weighs half."""
WORK = 20
"""Questions in one hour that count as work."""

MAX_NETWORKS = 16
STABLE_SECONDS = 86_400.0
"""How long no new network may have come before one is unusual: who roams is never surprising."""


class Hours:
    """On how many days each hour of the day (UTC) was used."""

    __slots__ = ("_bins", "_count", "_day", "_days", "_now", "_worked")

    def __init__(self) -> None:
        self._bins = bytearray(HOURS)
        self._days = 0
        self._worked = -1
        """The last day with work."""
        self._day = self._now = -1
        self._count = 0

    def note(self, wall: datetime, questions: int) -> bool:
        """Count work; whether it is the first at an hour that is never used, nor the hours beside it."""
        day, hour = wall.toordinal(), wall.hour
        if hour != self._now or day != self._day:
            self._day, self._now, self._count = day, hour, 0
        before, self._count = self._count, self._count + questions
        if before >= WORK or self._count < WORK:
            return False
        bins = self._bins
        is_used = bins[hour - 1] or bins[hour] or bins[(hour + 1) % HOURS]
        is_unusual = self._days >= LEARNED_DAYS and not is_used
        self._learn(day, hour)
        return is_unusual

    def _learn(self, day: int, hour: int) -> None:
        if day != self._worked:
            self._worked = day
            self._days += 1
        self._bins[hour] += 1
        if self._days > REMEMBERED_DAYS:
            self._days //= 2
            self._bins = bytearray(count // 2 for count in self._bins)


class Addresses:
    """The networks that a principal calls from, at most `MAX_NETWORKS`."""

    __slots__ = ("_known", "_newest")

    def __init__(self, now: float) -> None:
        self._known: dict[str, float] = {}
        self._newest = now

    def note(self, peers: Iterable[str], now: float) -> str:
        """Remember where calls came from; a network that is unusual, or the empty text. `now` is monotonic."""
        unusual = ""
        for peer in peers:
            network = network_of(peer)
            if network in self._known:
                continue
            if len(self._known) >= MAX_NETWORKS:
                del self._known[next(iter(self._known))]
            elif self._known and now - self._newest >= STABLE_SECONDS:
                unusual = network
            self._known[network] = now
            self._newest = now
        return unusual


@lru_cache(maxsize=4096)
def network_of(peer: str) -> str:
    """The network of an address, as one site or machine has it: /24 of IPv4, /64 of IPv6; other peers as they are."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer[:64]
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 64), strict=False))
