"""Delivery of records: a sink that hangs is a sink that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from authz.audit.chain import Payload
from authz.audit.delivery import Delivery
from authz.clock import SystemClock

pytestmark = pytest.mark.anyio


class Hanging:
    """A sink whose writes end when told."""

    name = "hanging"
    outside = None

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()

    async def write(self, payloads: Sequence[Payload]) -> None:
        """Wait."""
        await self.goes_on.wait()

    async def close(self) -> None:
        """Nothing."""


async def test_a_write_that_does_not_end_is_a_failing_one() -> None:
    """After the grace, as for one that fails; and it recovers when the write ends after all."""
    sink, changes = Hanging(), []
    delivery = Delivery([sink], 0.05, SystemClock(), lambda: changes.append(delivery.is_failing))
    writing = asyncio.create_task(delivery.deliver([]))
    await asyncio.sleep(0.02)
    assert not delivery.is_failing
    await asyncio.sleep(0.1)
    assert changes == [True]
    sink.goes_on.set()
    await writing
    assert changes == [True, False]
    assert not delivery.is_failing
