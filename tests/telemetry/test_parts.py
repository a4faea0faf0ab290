"""The numbers of other parts: read from the parts themselves, under the documented names."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import pytest

from authz.call import Origin
from authz.commands.directives import CAPTURE, REVOCATION, SUSPENSION, Directives
from authz.store.directives import Directive
from authz.telemetry import Meter, observe_alerts, observe_audit, observe_directives, observe_events
from tests.telemetry.support import TestClock

BY = Origin("test")


class Statistics(NamedTuple):
    """What the recorder of calls tells."""

    queued: int = 3
    capacity: int = 100
    refused: int = 1
    blocked: int = 2
    summed: int = 4
    lost: int = 0
    oldest_age: float = 0.5
    by_sink: dict[str, tuple[int, int]] = {"database": (9, 1), "file": (8, 0)}  # noqa: RUF012 - never changed


class Recorder:
    """A recorder."""

    def statistics(self) -> Statistics:
        """Its counts."""
        return Statistics()


class Alerts:
    """A sender of alerts."""

    sent, delivered, lost = 5, 4, 1


class Store:
    """Where orders are kept."""

    lineage = 0

    async def add_directive(self, directive: Directive, *, by: Origin) -> Directive:
        """Number it."""
        return directive._replace(version=1)


def numbers(meter: Meter) -> dict[str, Any]:
    """All values by name and labels."""
    return {
        f"{family.metric.name}{list(point.labels) if point.labels else ''}": point.value
        for family in meter.collect()
        for point in family.points
    }


def test_the_recorder_is_read() -> None:
    """
    Its queue, what it refused, and each sink.
    """
    meter = Meter()
    observe_audit(meter, Recorder())
    found = numbers(meter)
    assert found["authz.audit.queued"] == 3
    assert found["authz.audit.oldest.age"] == 0.5
    assert found["authz.audit.written['database']"] == 9
    assert found["authz.audit.failures['database']"] == 1
    assert found["authz.audit.lost"] == 0


@pytest.mark.anyio
async def test_orders_are_counted_by_kind() -> None:
    """
    Kinds without an order are 0, so that none differs from unknown; before the first news the age is infinite.
    """
    meter = Meter()
    orders = Directives(Store(), TestClock())  # type: ignore[arg-type]
    observe_directives(meter, orders, (REVOCATION, SUSPENSION, CAPTURE))
    await asyncio.gather(*(orders.issue(SUSPENSION, {"n": n}, by=BY) for n in range(2)))
    found = numbers(meter)
    assert found["authz.directives.active['suspension']"] == 2
    assert found["authz.directives.active['revocation']"] == 0
    assert found["authz.directives.age"] == float("inf")


def test_alerts_and_events_are_counted() -> None:
    """
    Deliveries from their sender; events as they are told.
    """
    meter = Meter()
    observe_alerts(meter, Alerts())
    count = observe_events(meter)
    count("rate", "critical")
    count("rate", "critical")
    found = numbers(meter)
    assert (found["authz.alerts.sent"], found["authz.alerts.delivered"], found["authz.alerts.lost"]) == (5, 4, 1)
    assert found["authz.detection.events['rate', 'critical']"] == 2
