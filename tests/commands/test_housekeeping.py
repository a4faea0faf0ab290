"""What nobody can read or needs any more is removed, and nothing else."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from authz.commands.housekeeping import LEAST_MEMORY, collect, collect_forever, forget
from authz.errors import Unavailable
from authz.store.api import TupleWrite
from authz.store.directives import Directive
from authz.store.sql import SqlDatastore
from authz.tuples import RelationshipTuple
from tests.commands.support import SettableClock
from tests.support.origins import ANNE

pytestmark = pytest.mark.anyio

DAY = 86_400.0
ITEM = RelationshipTuple("doc:1", "viewer", "user:anne")


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


async def add(datastore: SqlDatastore, clock: SettableClock, name: str, lasts: float | None) -> None:
    """An order that ends so many seconds from now."""
    now = clock.now()
    ends = None if lasts is None else now + timedelta(seconds=lasts)
    await datastore.add_directive(Directive(name, "suspension", "{}", "", "anne", now, ends), by=ANNE)


async def left(datastore: SqlDatastore) -> set[str]:
    return {each.id for each in await datastore.directives_after(0, limit=10_000)}


async def test_orders_are_forgotten_a_window_after_they_ended(
    sqlite_datastore: SqlDatastore, clock: SettableClock
) -> None:
    """Those that hold stay, however old they are."""
    await add(sqlite_datastore, clock, "forever", None)
    await add(sqlite_datastore, clock, "short", 10.0)
    await add(sqlite_datastore, clock, "long", 2 * DAY)
    await add(sqlite_datastore, clock, "lifted", None)
    await sqlite_datastore.lift_directive("lifted", clock.now(), by=ANNE)
    clock.move(DAY)
    assert await forget(sqlite_datastore, clock, window=DAY) == 0
    clock.move(1.0)
    assert await forget(sqlite_datastore, clock, window=DAY) == 1
    clock.move(10.0)
    assert await forget(sqlite_datastore, clock, window=DAY) == 1
    assert await left(sqlite_datastore) == {"forever", "long"}
    clock.move(3 * DAY)
    assert await forget(sqlite_datastore, clock, window=DAY) == 1
    assert await left(sqlite_datastore) == {"forever"}


async def test_a_short_window_leaves_time_to_hear_of_the_end(
    sqlite_datastore: SqlDatastore, clock: SettableClock
) -> None:
    """A node that could not ask for a while would hold to the order for ever."""
    await add(sqlite_datastore, clock, "lifted", None)
    await sqlite_datastore.lift_directive("lifted", clock.now(), by=ANNE)
    clock.move(LEAST_MEMORY)
    assert await forget(sqlite_datastore, clock, window=0.0) == 0
    clock.move(1.0)
    assert await forget(sqlite_datastore, clock, window=0.0) == 1


async def test_deleted_tuples_are_collected_a_window_after_their_deletion(
    sqlite_datastore: SqlDatastore, clock: SettableClock
) -> None:
    """Others stay."""
    await sqlite_datastore.write("S", TupleWrite(writes=[ITEM]), by=ANNE, now=clock.now())
    await sqlite_datastore.write("S", TupleWrite(deletes=[ITEM.key]), by=ANNE, now=clock.now())
    await sqlite_datastore.write("S", TupleWrite(writes=[ITEM]), by=ANNE, now=clock.now())
    clock.move(60.0)
    assert await collect(sqlite_datastore, clock, window=60.0) == 0
    clock.move(1.0)
    assert await collect(sqlite_datastore, clock, window=60.0) == 1
    assert await collect(sqlite_datastore, clock, window=60.0) == 0


async def test_the_round_removes_both_and_goes_on_after_a_failure(
    sqlite_datastore: SqlDatastore, clock: SettableClock
) -> None:
    """The log tells what went, once, and what failed."""
    failures = iter([True])

    class Shaky:
        """The datastore, which does not answer at first."""

        async def collect_garbage(self, *args: object, **options: object) -> int:
            if next(failures, False):
                raise Unavailable("the datastore cannot be reached")
            return await sqlite_datastore.collect_garbage(*args, **options)  # type: ignore[arg-type]

        forget_directives = sqlite_datastore.forget_directives

    await sqlite_datastore.write("S", TupleWrite(writes=[ITEM]), by=ANNE, now=clock.now())
    await sqlite_datastore.write("S", TupleWrite(deletes=[ITEM.key]), by=ANNE, now=clock.now())
    await add(sqlite_datastore, clock, "short", 1.0)
    clock.move(2 * DAY)
    with capture_logs() as logs:
        round_ = asyncio.create_task(collect_forever(Shaky(), clock, window=DAY, interval=0.001))  # type: ignore[arg-type]
        deadline = asyncio.get_running_loop().time() + 5
        while await left(sqlite_datastore):
            assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)
        round_.cancel()
        await asyncio.wait([round_])
    assert [log["event"] for log in logs] == ["garbage_collection_failed", "garbage_collected"]
    assert (logs[1]["tuples"], logs[1]["directives"]) == (1, 1)


async def test_changes_are_kept_for_their_retention_and_for_the_window(
    sqlite_datastore: SqlDatastore, clock: SettableClock
) -> None:
    """For ever unless a retention is set; never for less than deleted tuples are."""

    async def settles_at(expected: int, retention: float) -> bool:
        """Whether rounds leave so many entries, and no fewer."""
        rounds = asyncio.create_task(
            collect_forever(sqlite_datastore, clock, window=3 * DAY, interval=0.001, changelog_retention=retention)
        )
        async with asyncio.timeout(10):
            while len(await sqlite_datastore.changes_after("S", 0, 100)) > expected:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        rounds.cancel()
        await asyncio.wait([rounds])
        return len(await sqlite_datastore.changes_after("S", 0, 100)) == expected

    for number in range(6):
        item = RelationshipTuple(f"doc:{number}", "viewer", "user:anne")
        await sqlite_datastore.write("S", TupleWrite(writes=[item]), by=ANNE, now=clock.now())
        clock.move(DAY)
    clock.move(3_600.0)
    assert await settles_at(6, retention=0.0)
    assert await settles_at(3, retention=4 * DAY)
    assert await settles_at(2, retention=60.0)
