"""What every datastore promises while several nodes write, read and collect at once."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from authz import errors
from authz.store.api import ForwardKey, TupleFilter, TupleWrite
from authz.store.sql import datastore as datastore_module
from authz.tuples import RelationshipTuple
from tests.support.columns import from_columns
from tests.support.origins import ANNE, BOB

if TYPE_CHECKING:
    from authz.store.sql import SqlDatastore

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STORE = "01J00000000000000000000001"


def item(number: int) -> RelationshipTuple:
    return RelationshipTuple(f"doc:{number}", "viewer", "user:anne")


async def put(datastore: SqlDatastore, *numbers: int, store: str = STORE) -> int:
    write = TupleWrite(writes=[item(number) for number in numbers])
    return (await datastore.write(store, write, by=ANNE, now=NOW)).revision


async def remove(datastore: SqlDatastore, *numbers: int, now: datetime = NOW) -> int:
    write = TupleWrite(deletes=[item(number).key for number in numbers])
    return (await datastore.write(STORE, write, by=ANNE, now=now)).revision


async def test_concurrent_writers_get_revisions_without_a_gap(
    datastore: SqlDatastore, other_node: SqlDatastore
) -> None:
    """Each write has a revision of its own, and the changelog holds each under it."""
    nodes = (datastore, other_node)
    revisions = await asyncio.gather(*(put(nodes[number % 2], number) for number in range(40)))
    assert list(range(1, 41)) == sorted(revisions)
    for node in nodes:
        logged = await node.changes_after(STORE, 0, 100)
        assert [(revision, item(revisions.index(revision))) for revision in range(1, 41)] == [
            (change.revision, change.tuple) for change in logged
        ]


async def test_one_of_many_writers_of_a_tuple_wins(datastore: SqlDatastore, other_node: SqlDatastore) -> None:
    """The others are told that it exists."""
    nodes = (datastore, other_node)
    outcomes = await asyncio.gather(*(put(nodes[turn % 2], 1) for turn in range(10)), return_exceptions=True)
    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == [1]
    assert sum(isinstance(outcome, errors.InvalidWrite) for outcome in outcomes) == 9
    assert await datastore.head_revision(STORE) == 1


async def test_stores_do_not_wait_for_each_other(datastore: SqlDatastore, other_node: SqlDatastore) -> None:
    """Many stores written at once each count by themselves."""
    stores = [f"S{number}" for number in range(10)]
    calls = [put(node, number, store=store) for store in stores for number, node in enumerate((datastore, other_node))]
    await asyncio.gather(*calls)
    assert [await datastore.head_revision(store) for store in stores] == [2] * 10


async def test_a_snapshot_is_exact_while_others_write(
    datastore: SqlDatastore, other_node: SqlDatastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written or deleted between two batches does not show."""
    monkeypatch.setattr(datastore_module, "PAGE", 3)
    revision = await put(datastore, *range(10))
    found: list[RelationshipTuple] = []
    fresh = 100
    async for columns in datastore.columns(STORE, revision):
        batch = from_columns(columns)
        assert len(batch) <= 3
        found.extend(batch)
        await other_node.write(STORE, TupleWrite(deletes=[item(fresh - 91).key], writes=[item(fresh)]), by=BOB, now=NOW)
        fresh -= 1
    assert [item(number) for number in range(10)] == found
    assert revision + 4 == await datastore.head_revision(STORE)


async def test_a_snapshot_that_loses_its_revision_stops_with_an_error(
    datastore: SqlDatastore, other_node: SqlDatastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never leaves out tuples silently."""
    monkeypatch.setattr(datastore_module, "PAGE", 3)
    revision = await put(datastore, *range(10))
    async with aclosing(datastore.columns(STORE, revision)) as batches:
        assert len(from_columns(await anext(batches))) == 3
        await remove(other_node, 8)
        assert await other_node.collect_garbage(NOW + timedelta(seconds=1), limit=10) == 1
        with pytest.raises(errors.InvalidConsistencyToken, match="revision `1` is no longer kept"):
            assert len([from_columns(await anext(batches)) for _ in range(3)]) == 0


async def test_collectors_share_the_work(datastore: SqlDatastore, other_node: SqlDatastore) -> None:
    """Rows are counted once, and a writer in between is neither lost nor blocked."""
    await put(datastore, *range(50))
    await remove(datastore, *range(50))
    nodes = (datastore, other_node)
    collect = [node.collect_garbage(NOW + timedelta(seconds=1), limit=20) for node in nodes * 3]
    removed = await asyncio.gather(*collect, put(datastore, 7))
    while more := await datastore.collect_garbage(NOW + timedelta(seconds=1), limit=20):
        removed.insert(0, more)
    assert sum(removed[:-1]) == 50
    assert removed[-1] == 3
    page = await datastore.read_tuples(STORE, TupleFilter(), revision=3, after=0, limit=9)
    assert [item(7)] == [one.tuple for one in page]


async def test_reads_while_garbage_goes_are_exact_or_refused(datastore: SqlDatastore, other_node: SqlDatastore) -> None:
    """A row at a revision is whole, or the revision is no longer kept."""
    numbers = range(30)
    key = ForwardKey("doc:1", "viewer")
    users = [RelationshipTuple("doc:1", "viewer", f"user:{number}") for number in numbers]
    await datastore.write(STORE, TupleWrite(writes=users), by=ANNE, now=NOW)

    async def churn() -> None:
        for one in users:
            await other_node.write(STORE, TupleWrite(deletes=[one.key]), by=ANNE, now=NOW)
            await other_node.collect_garbage(NOW + timedelta(seconds=1), limit=10)

    churning = asyncio.create_task(churn())
    refused = 0
    while not churning.done():
        revision = max(1, await datastore.head_revision(STORE) - 1)
        try:
            found = await datastore.rows(STORE, revision, [key], [])
        except errors.InvalidConsistencyToken:
            refused += 1
        else:
            assert sorted(users[revision - 1 :]) == sorted(found)
    await churning
    assert await datastore.oldest_revision(STORE) == 31


async def test_another_nodes_commit_is_signalled(datastore: SqlDatastore, other_node: SqlDatastore) -> None:
    """Quiet without commits; true once another node has committed."""
    assert datastore.may_have_changed()
    await _quiet(datastore)
    await put(other_node, 1)
    deadline = time.monotonic() + 5
    while not datastore.may_have_changed():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)
    await _quiet(datastore)


async def test_a_cancelled_write_still_signals(datastore: SqlDatastore) -> None:
    """A commit whose caller has gone is not overlooked by its own node."""
    await _quiet(datastore)
    call = asyncio.create_task(put(datastore, 1))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    deadline = time.monotonic() + 5
    while await datastore.head_revision(STORE) == 0:
        assert time.monotonic() < deadline
    while not datastore.may_have_changed():  # the commit can be read a moment before it is signalled
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def _quiet(datastore: SqlDatastore) -> None:
    """Wait until no change is signalled for a while (a listener needs a moment to connect)."""
    deadline = time.monotonic() + 5
    calm = time.monotonic()
    while time.monotonic() - calm < 0.1:
        assert time.monotonic() < deadline
        if datastore.may_have_changed():
            calm = time.monotonic()
        await asyncio.sleep(0.005)
