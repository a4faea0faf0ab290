"""The datastore as operators see it: every coroutine is timed, and failures of its own are told from answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from authz.errors import StoreNotFound, Unavailable
from authz.telemetry import Distribution, Meter, measured
from tests.telemetry.support import TestClock

pytestmark = pytest.mark.anyio


class Inner:
    """A datastore of a few methods."""

    def __init__(self, clock: TestClock) -> None:
        self.clock = clock
        self.error: Exception | None = None

    async def head_revision(self, store_id: str) -> int:
        """Takes 20 ms."""
        self.clock.seconds += 0.02
        if self.error is not None:
            raise self.error
        return len(store_id)

    def may_have_changed(self) -> bool:
        """Not a coroutine."""
        return True

    async def snapshot(self) -> AsyncIterator[int]:
        """An iterator."""
        yield 1


async def test_calls_are_timed_and_failures_counted() -> None:
    """
    By operation; an answer such as a missing store is no failure of the datastore.
    """
    clock, meter = TestClock(), Meter()
    inner = Inner(clock)
    outside: Any = measured(cast("Any", inner), meter, clock.monotonic)
    assert await outside.head_revision("abc") == 3
    assert outside.may_have_changed()
    assert [each async for each in outside.snapshot()] == [1]
    for error in (Unavailable("away"), StoreNotFound("none"), RuntimeError("bug")):
        inner.error = error
        with pytest.raises(type(error)):
            await outside.head_revision("abc")
    families = {family.metric.name: dict(family.points) for family in meter.collect()}
    took = families["authz.datastore.duration"][("head_revision",)]
    assert isinstance(took, Distribution)
    assert sum(took.counts) == 4
    assert took.total == pytest.approx(0.08)
    assert families["authz.datastore.errors"] == {
        ("head_revision", "unavailable"): 1,
        ("head_revision", "internal_error"): 1,
    }


async def test_only_what_the_datastore_has() -> None:
    """
    A method that does not exist is an error as always.
    """
    outside: Any = measured(cast("Any", Inner(TestClock())), Meter(), lambda: 0.0)
    with pytest.raises(AttributeError):
        outside.no_such_method  # noqa: B018
