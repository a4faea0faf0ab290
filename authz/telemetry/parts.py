"""How the numbers of other parts of the service are read. Called by `app` for each part that it has built.

The parts are described here by what is asked of them; telemetry knows none of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from authz.store.directives import Directive
    from authz.telemetry.meter import Meter


class AuditStatistics(Protocol):
    """How the recorder of calls fares."""

    @property
    def queued(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    @property
    def refused(self) -> int: ...
    @property
    def blocked(self) -> int: ...
    @property
    def summed(self) -> int: ...
    @property
    def lost(self) -> int: ...
    @property
    def oldest_age(self) -> float: ...
    @property
    def by_sink(self) -> Mapping[str, tuple[int, int]]:
        """Records written and failed attempts of each sink."""
        ...


class HasStatistics(Protocol):
    """The recorder."""

    def statistics(self) -> AuditStatistics:
        """Its counts."""
        ...


class Orders(Protocol):
    """The orders that hold."""

    @property
    def age(self) -> float: ...
    def current(self, kind: str = "") -> Sequence[Directive]:
        """Those that hold now."""
        ...


class AlertCounts(Protocol):
    """The sender of alerts."""

    @property
    def sent(self) -> int: ...
    @property
    def delivered(self) -> int: ...
    @property
    def lost(self) -> int: ...


class ReplicaCounts(Protocol):
    """A replica that is read from."""

    @property
    def outcomes(self) -> Mapping[str, int]: ...
    @property
    def lag(self) -> float: ...


def observe_audit(meter: Meter, recorder: HasStatistics) -> None:
    """Read the recorder's queue and sinks."""
    statistics = recorder.statistics
    meter.observe_source("authz.audit.queued", lambda: statistics().queued)
    meter.observe_source("authz.audit.capacity", lambda: statistics().capacity)
    meter.observe_source("authz.audit.oldest.age", lambda: statistics().oldest_age)
    meter.observe_source("authz.audit.refused", lambda: statistics().refused)
    meter.observe_source("authz.audit.blocked", lambda: statistics().blocked)
    meter.observe_source("authz.audit.summed", lambda: statistics().summed)
    meter.observe_source("authz.audit.lost", lambda: statistics().lost)
    meter.observe_source(
        "authz.audit.written", lambda: {sink: written for sink, (written, _) in statistics().by_sink.items()}
    )
    meter.observe_source(
        "authz.audit.failures", lambda: {sink: failed for sink, (_, failed) in statistics().by_sink.items()}
    )


def observe_directives(meter: Meter, orders: Orders, kinds: Sequence[str]) -> None:
    """Read how many orders of each kind hold, and how old that knowledge is."""
    meter.observe_source("authz.directives.age", lambda: orders.age)
    none = dict.fromkeys(kinds, 0)
    meter.observe_source("authz.directives.active", lambda: none | Counter(each.kind for each in orders.current()))


def observe_alerts(meter: Meter, alerts: AlertCounts) -> None:
    """Read how many alerts there were, and how their deliveries went."""
    meter.observe_source("authz.alerts.sent", lambda: alerts.sent)
    meter.observe_source("authz.alerts.delivered", lambda: alerts.delivered)
    meter.observe_source("authz.alerts.lost", lambda: alerts.lost)


def observe_replica(meter: Meter, replica: ReplicaCounts) -> None:
    """Read what became of reads that a replica might answer, and how far it is behind."""
    meter.observe_source("authz.replica.reads", lambda: replica.outcomes)
    meter.observe_source("authz.replica.lag", lambda: replica.lag)


def observe_events(meter: Meter) -> Callable[[str, str], None]:
    """What to call with kind and severity whenever unusual behaviour is noticed."""
    counts: dict[tuple[str, str], int] = {}
    meter.observe_source("authz.detection.events", lambda: counts)

    def count(kind: str, severity: str) -> None:
        key = str(kind), str(severity)
        counts[key] = counts.get(key, 0) + 1

    return count
