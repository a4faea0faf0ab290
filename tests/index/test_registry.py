"""Views at the revision that consistency asks for: never stale, never ahead, never of another store."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from authz.call import Origin
from authz.clock import SystemClock
from authz.commands.housekeeping import collect
from authz.commands.tokens import TokenCodec
from authz.consistency import Consistency, Mode
from authz.errors import InvalidConsistencyToken, Unavailable
from authz.index.registry import IndexRegistry
from authz.index.rows import MISSING, View
from authz.model.plan import Edge
from authz.store.api import TupleWrite
from authz.store.sql import SqlDatastore, open_datastore
from authz.tuples import RelationshipTuple, UserKind
from tests.support.budget import index_budget

pytestmark = pytest.mark.anyio

STORE = "01M805S1Q0MRC4Y8FDWDVAK43Y"
OTHER_STORE = "01M805S1Q0MRC4Y8FDWDVAK43Z"
EDGE = Edge("doc", "viewer", UserKind("user"))
TOKENS = TokenCodec(b"a key of the test")
FRESH, EXACTLY = Consistency(), Consistency(Mode.FULLY_CONSISTENT)


def tuple_(number: int) -> RelationshipTuple:
    return RelationshipTuple(f"doc:{number}", "viewer", "user:anne")


async def holds(view: View, number: int) -> bool:
    """Whether the view has the numbered tuple."""
    for _ in range(3):
        name, user = view.find(f"doc:{number}"), view.find("user:anne")
        if name is None or user is None:
            return False
        (rows,) = view.forward(EDGE)
        row = rows.get(name)
        if row is not MISSING:
            return row == user or (isinstance(row, set) and user in row)
        await view.fetch()
    raise AssertionError("a fetched row is missing again")


class Node:
    """A datastore with the indexes over it, as one process has them."""

    def __init__(self, datastore: SqlDatastore) -> None:
        self.datastore = datastore
        self.indexes = IndexRegistry(datastore, TOKENS.decode, budget=index_budget())

    async def write(self, write: TupleWrite) -> int:
        result = await self.datastore.write(STORE, write, by=Origin("test"), now=SystemClock().now())
        await self.indexes.applied(STORE, result)
        return result.revision

    async def add(self, number: int) -> int:
        return await self.write(TupleWrite(writes=[tuple_(number)]))

    async def remove(self, number: int) -> int:
        return await self.write(TupleWrite(deletes=[tuple_(number).key]))


async def test_own_writes_are_seen_before_they_are_acknowledged(datastore: SqlDatastore) -> None:
    """Also when the index was being loaded while the write was committed."""
    node = Node(datastore)
    await node.add(0)
    views = asyncio.gather(*(node.indexes.view(STORE, FRESH) for _ in range(3)))
    await node.add(1)
    await views
    assert await holds(await node.indexes.view(STORE, FRESH), 1)


async def test_what_is_at_hand_is_as_fresh_as_what_is_asked_for(
    datastore: SqlDatastore, other_node: SqlDatastore
) -> None:
    """Without waiting there is an index only while nothing may have been committed that it has not taken in."""
    node, other = Node(datastore), Node(other_node)
    assert node.indexes.current(STORE) is None
    revision = await node.add(0)
    assert node.indexes.current(STORE) is None
    live = await node.indexes.view(STORE, FRESH)
    assert live.revision == revision
    while node.indexes.current(STORE) is None:  # PostgreSQL tells of our own commit as well
        await asyncio.sleep(0.01)
        await node.indexes.view(STORE, FRESH)
    at_hand = node.indexes.current(STORE)
    assert at_hand is not None
    assert at_hand.revision == live.revision
    await node.add(1)
    found = node.indexes.current(STORE) or await node.indexes.view(STORE, FRESH)
    assert await holds(found, 1)
    revision = await other.add(2)
    await node.indexes.view(STORE, Consistency(Mode.AT_LEAST_AS_FRESH, TOKENS.encode(STORE, revision)))
    await other.remove(2)
    for _ in range(200):
        at_hand = node.indexes.current(STORE)
        if at_hand is None:  # SQLite at once, PostgreSQL when the signal has come
            assert not await holds(await node.indexes.view(STORE, FRESH), 2)
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the commit of another node went unnoticed")


async def test_a_load_goes_on_when_its_caller_leaves(datastore: SqlDatastore) -> None:
    """A store that takes longer to load than its callers wait is served all the same."""
    node = Node(datastore)
    await node.write(TupleWrite(writes=[tuple_(number) for number in range(3000)]))
    for _ in range(200):
        try:
            view = await asyncio.wait_for(node.indexes.view(STORE, FRESH), 0.005)
        except TimeoutError:
            continue
        assert await holds(view, 2999)
        return
    raise AssertionError("every caller began the load anew")


async def test_two_nodes_never_disagree_with_what_was_acknowledged(
    datastore: SqlDatastore, other_node: SqlDatastore
) -> None:
    """Random writes on two nodes; each then sees its own at once, and every one fully consistent or by token."""
    dice = random.Random(11)
    nodes = [Node(datastore), Node(other_node)]
    present: set[int] = set()
    for _ in range(60):
        number, writer = dice.randrange(6), dice.choice(nodes)
        revision = await (writer.remove(number) if number in present else writer.add(number))
        present ^= {number}
        token = Consistency(Mode.AT_LEAST_AS_FRESH, TOKENS.encode(STORE, revision))
        for node in nodes:
            wanted = FRESH if node is writer else dice.choice([token, EXACTLY])
            view = await node.indexes.view(STORE, wanted)
            assert view.revision == revision
            assert {each for each in range(6) if await holds(view, each)} == present


async def test_who_has_a_token_is_not_content_with_an_older_first_look(
    datastore: SqlDatastore, other_node: SqlDatastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store is asked about for the first time, and before the answer is there, by somebody with a newer token."""
    writer, reader = Node(datastore), Node(other_node)
    await writer.add(0)
    has_looked, may_go_on = asyncio.Event(), asyncio.Event()
    look = other_node.head_revision

    async def slow_look(store_id: str) -> int:
        head = await look(store_id)
        has_looked.set()
        await may_go_on.wait()
        return head

    monkeypatch.setattr(other_node, "head_revision", slow_look)
    # It waits for no signal either: the database's may be late, or lost.
    monkeypatch.setattr(other_node, "may_have_changed", lambda: False)
    first = asyncio.create_task(reader.indexes.view(STORE, FRESH))
    await has_looked.wait()
    token = TOKENS.encode(STORE, await writer.add(1))
    modes = [Consistency(mode, token) for mode in (Mode.AT_LEAST_AS_FRESH, Mode.AT_EXACT_SNAPSHOT)]
    others = [asyncio.create_task(reader.indexes.view(STORE, mode)) for mode in modes]
    await asyncio.sleep(0)
    may_go_on.set()
    for view in [await other for other in others]:
        assert await holds(view, 1)
    await first


async def test_a_write_that_is_done_is_acknowledged_though_the_index_cannot_follow(
    datastore: SqlDatastore, other_node: SqlDatastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller must not be told that it may have failed; the next question has it, or says that it cannot tell."""
    node, other = Node(datastore), Node(other_node)
    await node.add(0)
    await node.indexes.view(STORE, FRESH)
    await other.add(1)  # so that the node's own write is not the next that its index knows

    async def gone(_store_id: str) -> int:
        raise Unavailable("the datastore does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(datastore, "head_revision", gone)
        assert await node.add(2) == 3
        with pytest.raises(Unavailable):
            await node.indexes.view(STORE, FRESH)
    view = await node.indexes.view(STORE, FRESH)
    assert [await holds(view, each) for each in range(3)] == [True, True, True]


async def test_many_calls_share_a_look_and_none_is_stale(sqlite_uri: str) -> None:
    """However calls crowd the loop, each sees what another process acknowledged before it began."""
    writer, reader = Node(open_datastore(sqlite_uri)), Node(open_datastore(sqlite_uri))

    async def write_then_read(number: int) -> bool:
        await asyncio.sleep(random.random() / 100)
        await writer.add(number)
        return await asyncio.create_task(read(number))

    async def read(number: int) -> bool:
        return await holds(await reader.indexes.view(STORE, FRESH), number)

    async def keep_asking() -> None:
        while True:
            await reader.indexes.view(STORE, FRESH)
            await asyncio.sleep(0)

    others = [asyncio.create_task(keep_asking()) for _ in range(5)]
    assert all(await asyncio.gather(*(write_then_read(number) for number in range(100))))
    for each in others:
        each.cancel()
    await writer.datastore.close()
    await reader.datastore.close()


async def test_a_datastore_that_lost_commits(sqlite_uri: str) -> None:
    """After a failover or a restored backup nothing is answered from writes that are gone, also acknowledged ones."""
    datastore = open_datastore(sqlite_uri)
    node = Node(datastore)
    for number in range(3):
        await node.add(number)
        assert await holds(await node.indexes.view(STORE, FRESH), number)
    with closing(sqlite3.connect(sqlite_uri.removeprefix("sqlite:///"))) as other:
        other.execute("DELETE FROM changelog WHERE revision = 3")
        other.execute("DELETE FROM tuples WHERE created_revision = 3")
        other.execute("UPDATE store_revisions SET revision = 2")
        other.commit()
    await asyncio.sleep(0)  # one look serves a whole turn of the loop
    for consistency in (FRESH, EXACTLY):
        view = await node.indexes.view(STORE, consistency)
        assert view.revision == 2
        assert [await holds(view, number) for number in range(3)] == [True, True, False]
    assert await node.add(7) == 3
    assert await holds(await node.indexes.view(STORE, FRESH), 7)
    await datastore.close()


async def test_exact_snapshots(datastore: SqlDatastore) -> None:
    """Each token reads the store as it was, whatever was written since."""
    node = Node(datastore)
    revisions = [await node.add(number) for number in range(5)]
    await node.remove(0)
    for number, revision in enumerate(revisions):
        exact = Consistency(Mode.AT_EXACT_SNAPSHOT, TOKENS.encode(STORE, revision))
        view = await node.indexes.view(STORE, exact)
        assert view.revision == revision
        assert [await holds(view, each) for each in range(5)] == [each <= number for each in range(5)]


async def test_tokens_that_do_not_fit_are_refused(datastore: SqlDatastore) -> None:
    """Damaged, foreign, of another store, ahead of the store, or older than what is kept: an error that says so."""
    node = Node(datastore)
    first = await node.add(1)
    good = TOKENS.encode(STORE, first)
    foreign = TokenCodec(b"another service").encode(STORE, first)
    for mode in (Mode.AT_LEAST_AS_FRESH, Mode.AT_EXACT_SNAPSHOT):
        for token in ("", "nonsense", good[:-3], good[:-4] + "AAAA", foreign, TOKENS.encode(OTHER_STORE, first)):
            with pytest.raises(InvalidConsistencyToken):
                await node.indexes.view(STORE, Consistency(mode, token))
            with pytest.raises(InvalidConsistencyToken):
                await node.indexes.revision_for(STORE, Consistency(mode, token))
        with pytest.raises(InvalidConsistencyToken, match="revision 99"):
            await node.indexes.view(STORE, Consistency(mode, TOKENS.encode(STORE, 99)))


async def test_a_collected_revision_is_refused(datastore: SqlDatastore) -> None:
    """Once deleted rows are collected, older snapshots are an error, never a wrong answer."""
    node = Node(datastore)
    first = await node.add(1)
    await node.remove(1)
    await node.add(2)
    assert await collect(datastore, _Later(), window=60) == 1
    exact = Consistency(Mode.AT_EXACT_SNAPSHOT, TOKENS.encode(STORE, first))
    with pytest.raises(InvalidConsistencyToken, match="no longer kept"):
        await node.indexes.view(STORE, exact)
    with pytest.raises(InvalidConsistencyToken, match="no longer kept"):
        await node.indexes.revision_for(STORE, exact)
    assert await holds(await node.indexes.view(STORE, FRESH), 2)


class _Later(SystemClock):
    """An hour from now."""

    def now(self):  # type: ignore[no-untyped-def]
        return super().now() + timedelta(hours=1)
