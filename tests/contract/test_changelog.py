"""Every datastore removes the oldest changes by whole revisions, and nobody misses what was removed unawares."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from authz.errors import InvalidContinuationToken
from authz.store.api import Change, ChangePosition, Trimmed, TupleWrite
from authz.store.sql.changes import CLOCK_SKEW
from authz.tuples import RelationshipTuple
from tests.support.origins import ANNE

if TYPE_CHECKING:
    from authz.store.sql import SqlDatastore

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 1, tzinfo=UTC)
STORE, OTHER = "01J00000000000000000000001", "01J00000000000000000000002"
SLACK = 2 * CLOCK_SKEW
HOUR = timedelta(hours=1)


def item(number: int, kind: str = "doc") -> RelationshipTuple:
    return RelationshipTuple(f"{kind}:{number}", "viewer", "user:anne")


async def fill(datastore: SqlDatastore, revisions: int, *, each: int = 3, store: str = STORE) -> None:
    """One write an hour of `each` tuples."""
    for number in range(revisions):
        writes = [item(number * each + place) for place in range(each)]
        await datastore.write(store, TupleWrite(writes=writes), by=ANNE, now=START + number * HOUR)


async def page(datastore: SqlDatastore, after: ChangePosition, object_type: str = "") -> list[Change]:
    found = await datastore.read_changes(
        STORE, object_type=object_type, after=after, start_time=None, not_after=None, limit=1000
    )
    return list(found)


async def trimmed(datastore: SqlDatastore, hours: float, limit: int = 1000) -> list[Trimmed]:
    """What goes of all stores when changes from before so many hours after the start do."""
    found, store = [], ""
    while one := await datastore.trim_changelog(START + hours * HOUR + SLACK, after_store=store, limit=limit):
        found.append(one)
        store = one.store_id if one.removed < limit else store
    return found


async def test_the_oldest_go_and_the_newest_stays(datastore: SqlDatastore) -> None:
    """Whole revisions, of all stores, and never the newest of a store."""
    assert await trimmed(datastore, 1000) == []
    await fill(datastore, 5)
    await fill(datastore, 2, store=OTHER)
    assert await trimmed(datastore, 0) == []
    assert await trimmed(datastore, 2.5) == [Trimmed(STORE, 9), Trimmed(OTHER, 3)]
    assert await trimmed(datastore, 2.5) == []
    left = await datastore.changes_after(STORE, 0, 100)
    assert [change.revision for change in left] == [4] * 3 + [5] * 3
    assert [change.revision for change in await datastore.changes_after(STORE, 4, 1)] == [5] * 3
    assert await trimmed(datastore, 1000) == [Trimmed(STORE, 3)]
    assert [change.ordinal for change in await datastore.changes_after(STORE, 0, 100)] == [0, 1, 2]
    assert await datastore.head_revision(STORE) == 5
    assert await datastore.count_tuples(STORE, 5, 100) == 15


async def test_they_go_in_bits(datastore: SqlDatastore) -> None:
    """About so many at a time, at least a revision."""
    await fill(datastore, 7)
    assert [one.removed for one in await trimmed(datastore, 1000, limit=6)] == [6, 6, 6]
    await fill(datastore, 3, store=OTHER)
    assert [one.removed for one in await trimmed(datastore, 1000, limit=1)] == [3, 3]


async def test_clocks_may_differ(datastore: SqlDatastore) -> None:
    """No change younger than asked for goes, though another node with a slow clock has written after it."""
    for number, minutes in enumerate((0, 9, 1, 60)):
        now = START + timedelta(minutes=minutes)
        await datastore.write(STORE, TupleWrite(writes=[item(number)]), by=ANNE, now=now)
    await datastore.trim_changelog(START + timedelta(minutes=9), after_store="", limit=10)
    left = await datastore.changes_after(STORE, 0, 10)
    assert START + timedelta(minutes=9) in [change.time for change in left]


async def test_a_position_before_what_is_kept_is_refused(datastore: SqlDatastore) -> None:
    """From the beginning one reads what there is; from a place behind which changes are gone, nothing."""
    await fill(datastore, 5)
    await trimmed(datastore, 2.5)
    kept = [change.revision for change in await page(datastore, ChangePosition(0, -1))]
    assert kept == [4] * 3 + [5] * 3
    assert len(await page(datastore, ChangePosition(4, 1))) == 4
    assert await page(datastore, ChangePosition(5, 2)) == []
    for place in (ChangePosition(1, 0), ChangePosition(3, 1), ChangePosition(3, 2)):
        with pytest.raises(InvalidContinuationToken, match="no longer kept"):
            await page(datastore, place)


async def test_settled_revisions(datastore: SqlDatastore) -> None:
    """Everything up to one is from before the time, and it comes near to it."""
    assert await datastore.settled_revision(STORE, None) == 0
    await fill(datastore, 5)
    assert await datastore.settled_revision(STORE, None) == 5
    for hours in range(5):
        settled = await datastore.settled_revision(STORE, START + hours * HOUR + SLACK + timedelta(seconds=1))
        assert settled in (hours, hours + 1)


async def test_followers_get_whole_revisions_or_are_told(datastore: SqlDatastore, other_node: SqlDatastore) -> None:
    """While another node writes and removes, a follower never gets a part of a revision nor a gap it cannot see."""
    written, each = 60, 4

    async def churn() -> None:
        for number in range(written):
            writes = [item(number * each + place) for place in range(each)]
            await other_node.write(STORE, TupleWrite(writes=writes), by=ANNE, now=START + number * HOUR)
            await other_node.trim_changelog(START + (number - 2) * HOUR + SLACK, after_store="", limit=100)

    reached = 0
    work = asyncio.create_task(churn())
    while reached < written:
        found = await datastore.changes_after(STORE, reached, 3)
        by_revision: dict[int, list[int]] = {}
        for change in found:
            by_revision.setdefault(change.revision, []).append(change.ordinal)
        assert all(ordinals == list(range(each)) for ordinals in by_revision.values())
        assert list(by_revision) == list(range(min(by_revision, default=0), max(by_revision, default=-1) + 1))
        reached = max(by_revision, default=reached)
    await work
