"""Sum refusals that come in floods, so that an attacker cannot fill the trail. Used by `recorder`.

Of one principal and peer for one reason, the first refusals of a second are recorded one by one and further ones as
one record with their number. Nothing is lost in number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from authz.audit.chain import Payload
from authz.audit.payloads import refusals_payload
from authz.audit.redaction import Redaction
from authz.call import Completed

WINDOW = 1.0
"""Seconds in which refusals are counted together."""
SINGLE = 10
"""How many are recorded one by one in that time."""
MAX_SOURCES = 1000
"""How many sources are counted apart; all others together."""
SUMMED = frozenset({"UNAUTHENTICATED", "RESOURCE_EXHAUSTED", "UNAVAILABLE"})
"""Codes of refusals that cost the caller nothing."""

_Source = tuple[str, str, str]
_OTHERS: _Source = ("", "", "")


@dataclass(slots=True)
class _Sum:
    first: Completed
    count: int
    until: datetime
    request_bytes: int


class Floods:
    """Counts of the present window. Used on the event loop only."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._ends = 0.0
        self._counts: dict[_Source, int] = {}
        self._sums: dict[_Source, _Sum] = {}

    def is_single(self, completed: Completed, *, is_full: bool) -> bool:
        """Whether a refusal is recorded by itself; else it is counted here. When `is_full`, none is."""
        now = self._monotonic()
        if now >= self._ends:
            self._ends = now + WINDOW
            self._counts.clear()
        source = self._source(completed)
        count = self._counts[source] = self._counts.get(source, 0) + 1
        if count <= SINGLE and not is_full:
            return True
        self._add(source, completed)
        return False

    def __len__(self) -> int:
        """How many sums wait."""
        return len(self._sums)

    def take(self, redaction: Redaction) -> list[Payload]:
        """The sums, which begin anew."""
        sums, self._sums = self._sums, {}
        return [
            refusals_payload(
                each.first,
                redaction,
                count=each.count,
                until=each.until,
                request_bytes=each.request_bytes,
                is_of_many=source == _OTHERS,
            )
            for source, each in sums.items()
        ]

    def _source(self, completed: Completed) -> _Source:
        call = completed.call
        source = (call.peer, call.principal.id, completed.reason)
        if source in self._counts or source in self._sums:
            return source
        # INVARIANT: what is counted is bounded, whatever addresses a caller has.
        return source if max(len(self._counts), len(self._sums)) < MAX_SOURCES else _OTHERS

    def _add(self, source: _Source, completed: Completed) -> None:
        known = self._sums.get(source)
        if known is None:
            completed.body = None
            self._sums[source] = _Sum(completed, 1, completed.started_at, completed.request_bytes)
            return
        known.count += 1
        known.until = completed.started_at
        known.request_bytes += completed.request_bytes
