"""Count failures to authenticate, by peer and by claimed subject. Told by the edge, asked by `watch`.

Nothing here acts on a subject: whoever fails is not the one that he names, who must not be locked out by it.
"""

from __future__ import annotations

import math
from collections import OrderedDict

from authz.clock import Clock
from authz.detection.deviation import Deviation, Phase
from authz.detection.habits import network_of
from authz.settings.detection import DetectionSettings, Kind, Severity

DECAY_SECONDS = 300.0
"""In which time a count falls to 37 %."""
MANY = 5
"""From how many subjects of one peer it is spraying, and from how many peers of one subject it is distributed."""
CRITICAL = 5.0
OVERALL = 50
"""How many times the failures of one are unusual for all together."""
TOLD_A_MINUTE = 20
"""How many are told one by one; of further ones only how many there were."""
SKETCH_BITS = 256
MAX_SHOWN = 128

_SEVERITIES = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)


class _Trouble:
    """The failures of one peer, for one subject, or of all."""

    __slots__ = ("alerted", "others", "score", "told", "updated")

    def __init__(self, now: float) -> None:
        self.score = 0.0
        self.updated = now
        self.others = 0
        """A sketch of the subjects of a peer, or of the peers of a subject."""
        self.told = 0
        """The highest severity that was told, as a number."""
        self.alerted = 0.0

    def at(self, now: float) -> float:
        """The score as it is now."""
        return self.score * math.exp((self.updated - now) / DECAY_SECONDS)

    def add(self, other: str, now: float) -> None:
        """One more failure."""
        before = self.at(now)
        if before < 1:
            self.others = self.told = 0
        self.score, self.updated = before + 1, now
        self.others |= 1 << (hash(other) % SKETCH_BITS)

    @property
    def distinct(self) -> int:
        """About how many others there are; saturates near 1,400."""
        free = max(SKETCH_BITS - self.others.bit_count(), 1)
        return round(SKETCH_BITS * math.log(SKETCH_BITS / free))


class AuthenticationFailures:
    """At most `max_peers` peers and as many subjects, those that failed last. Used on the event loop only."""

    def __init__(self, settings: DetectionSettings, clock: Clock) -> None:
        self._clock = clock
        self._capacity = settings.max_peers
        self._threshold = settings.failures
        self._reminder = settings.reminder
        self._peers: OrderedDict[str, _Trouble] = OrderedDict()
        self._subjects: OrderedDict[str, _Trouble] = OrderedDict()
        self._all = _Trouble(clock.monotonic())
        self._due: list[Deviation] = []
        self._minute = clock.monotonic()
        self._told = self._untold = 0

    def __len__(self) -> int:
        return len(self._peers) + len(self._subjects)

    def note(self, peer: str, subject: str, reason: str) -> None:
        """Count a failure. `subject` is what the caller claims to be, empty when it claims nothing."""
        now, site = self._clock.monotonic(), _site(peer)
        name = _shown(subject)
        found = self._trouble(self._peers, site, now)
        found.add(name, now)
        if found.score > self._threshold:
            pattern = "spraying" if found.distinct >= MANY else "peer"
            self._judge(found, now, pattern, {"peer": site, "reason": reason})
        if name:
            found = self._trouble(self._subjects, name, now)
            found.add(site, now)
            if found.score > self._threshold:
                pattern = "distributed" if found.distinct >= MANY else "subject"
                self._judge(found, now, pattern, {"subject": name, "peer": site, "reason": reason})
        self._all.add(site, now)
        if self._all.score > self._threshold * OVERALL:
            self._judge(self._all, now, "overall", {"reason": reason}, scale=OVERALL)

    def tick(self) -> list[Deviation]:
        """What is to be told since the last tick."""
        due, self._due = self._due, []
        now = self._clock.monotonic()
        if now - self._minute >= 60:
            if self._untold:
                due.append(self._deviation(Severity.CRITICAL, self._untold, TOLD_A_MINUTE, {"pattern": "many"}))
            self._minute, self._told, self._untold = now, 0, 0
        return due

    def _trouble(self, table: OrderedDict[str, _Trouble], name: str, now: float) -> _Trouble:
        found = table.get(name)
        if found is not None:
            table.move_to_end(name)
            return found
        if len(table) >= self._capacity:
            table.popitem(last=False)
        found = table[name] = _Trouble(now)
        return found

    def _judge(self, found: _Trouble, now: float, pattern: str, details: dict[str, str | int], scale: int = 1) -> None:
        threshold = self._threshold * scale
        is_critical = pattern in ("spraying", "distributed", "overall") or found.score > CRITICAL * threshold
        rank = 2 if is_critical else 1
        is_reminder = found.told > 0 and now - found.alerted >= self._reminder
        if rank <= found.told and not is_reminder:
            return
        phase = Phase.LASTS if is_reminder else Phase.WORSENED if found.told else Phase.BEGAN
        found.told, found.alerted = max(rank, found.told), now
        if self._told >= TOLD_A_MINUTE and pattern != "overall":
            self._untold += 1
            return
        self._told += 1
        more = {"pattern": pattern, "distinct": found.distinct, **details}
        told = self._deviation(_SEVERITIES[rank], found.score, threshold, more)
        self._due.append(told._replace(phase=phase, is_reminder=is_reminder))

    def _deviation(
        self, severity: Severity, observed: float, expected: float, details: dict[str, str | int]
    ) -> Deviation:
        now = self._clock.now()
        return Deviation("", Kind.AUTHENTICATION, round(observed), expected, severity, now, details=details)


def _site(peer: str) -> str:
    """Whom a peer counts as: one machine can have all addresses of an IPv6 network."""
    return network_of(peer) if ":" in peer else peer[:MAX_SHOWN]


def _shown(subject: str) -> str:
    text = subject[:MAX_SHOWN]
    return text if text.isprintable() else "".join(sign if sign.isprintable() else "?" for sign in text)
