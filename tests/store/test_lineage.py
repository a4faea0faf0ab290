"""A server that takes the primary's place is noticed before anything that is read there is believed."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing

import pytest

from authz.consistency import Consistency, Mode
from authz.errors import Unavailable
from authz.index.cells import RowCache
from authz.index.memory import TupleIndex
from authz.index.partial import PartialView
from authz.index.rows import MISSING
from authz.index.shared import PartialIndex
from authz.store.sql import SqlDatastore, migrate_datastore, open_datastore
from authz.store.sql.sqlite import SqliteDialect
from tests.index.test_registry import EDGE, EXACTLY, FRESH, STORE, TOKENS, Node, holds
from tests.store.test_replica import answers, opened, put, until, users
from tests.support.standby import streaming_pair

pytestmark = pytest.mark.anyio

TRUTH = [True, True, False, True, True]
"""Whether the tuples by their numbers are there, when the third was lost."""


def lose_the_last(uri: str) -> None:
    """As if the database had never had the third revision."""
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as other:
        other.execute("DELETE FROM changelog WHERE revision = 3")
        other.execute("DELETE FROM tuples WHERE created_revision = 3")
        other.execute("UPDATE store_revisions SET revision = 2")
        other.commit()


@pytest.mark.parametrize("asked", [FRESH, EXACTLY], ids=["fresh", "exact"])
@pytest.mark.parametrize("is_own", [False, True], ids=["theirs", "own"])
async def test_an_index_of_the_server_before_is_begun_anew(
    sqlite_uri: str, monkeypatch: pytest.MonkeyPatch, asked: Consistency, *, is_own: bool
) -> None:
    """Although the database went past it: a revision stands for other facts now."""
    node, other = Node(open_datastore(sqlite_uri)), Node(open_datastore(sqlite_uri))
    for number in range(3):
        await node.add(number)
    assert await holds(await node.indexes.view(STORE, FRESH), 2)
    lose_the_last(sqlite_uri)
    await asyncio.sleep(0)  # one look serves a whole turn of the loop
    monkeypatch.setattr(SqliteDialect, "lineage", 1)
    await other.add(3)
    await (node if is_own else other).add(4)
    view = await node.indexes.view(STORE, asked)
    assert view.revision == 4
    assert [await holds(view, number) for number in range(5)] == TRUTH
    await node.datastore.close()
    await other.datastore.close()


async def test_no_answer_mixes_what_two_servers_say(sqlite_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question between two rounds of reading is refused, and the caller asks again."""
    node = Node(open_datastore(sqlite_uri))
    revision = await node.add(0)
    index = PartialIndex(node.datastore, STORE, revision, RowCache(1 << 20))
    with PartialView(index, revision) as view:
        assert await holds(view, 0)
        (rows,) = view.forward(EDGE)
        assert rows.get(view.find("doc:1")) is MISSING
        monkeypatch.setattr(SqliteDialect, "lineage", 1)
        with pytest.raises(Unavailable, match="taken over"):
            await view.fetch()
    await node.datastore.close()


async def test_an_exact_snapshot_is_not_read_from_the_server_that_took_over(
    sqlite_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may lack the revision, or have given it to other tuples: also when it took over while the caller waited."""
    node = Node(open_datastore(sqlite_uri))
    revision = await node.add(0)
    await node.add(1)
    await node.indexes.view(STORE, FRESH)
    look = node.datastore.oldest_revision

    async def take_over(store_id: str) -> int:
        monkeypatch.setattr(SqliteDialect, "lineage", 1)
        return await look(store_id)

    monkeypatch.setattr(node.datastore, "oldest_revision", take_over)
    exact = Consistency(Mode.AT_EXACT_SNAPSHOT, TOKENS.encode(STORE, revision))
    snapshot = await node.indexes.view(STORE, exact)
    assert isinstance(snapshot, PartialView)
    with snapshot as view, pytest.raises(Unavailable, match="taken over"):
        await holds(view, 0)
    await node.datastore.close()


async def test_a_load_during_which_a_server_took_over_is_of_no_use(
    sqlite_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is not answered from it, not even until the takeover is noticed."""
    node = Node(open_datastore(sqlite_uri))
    await node.add(0)
    residency, datastore = node.indexes._residency, node.datastore
    entry = residency.entry(STORE)
    partial = entry.index = PartialIndex(datastore, STORE, 1, RowCache(1 << 20))
    monkeypatch.setattr(SqliteDialect, "lineage", 1)
    await residency._replace(STORE, entry, partial, TupleIndex(1))
    assert entry.index is partial
    await datastore.close()


async def test_servers_that_never_stop_taking_over(sqlite_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is answered from facts of which nobody knows whose they are."""
    node = Node(open_datastore(sqlite_uri))
    await node.add(0)
    looks = iter(range(1_000_000))
    monkeypatch.setattr(SqliteDialect, "lineage", property(lambda _: next(looks)))
    with pytest.raises(Unavailable, match="take over"):
        await node.indexes.view(STORE, EXACTLY)
    await node.datastore.close()


@pytest.mark.postgres
async def test_a_real_failover_that_lost_a_commit() -> None:
    """To a standby that lagged, which has gone past the node's revision before the node looks again."""
    with streaming_pair() as pair:
        current = pair.primary.sockets.parent / "current"
        current.symlink_to(pair.primary.sockets)
        uri = f"postgresql://postgres@/postgres?host={current}"
        migrate_datastore(uri)
        node = Node(open_datastore(uri))
        for number in range(2):
            await node.add(number)
        pair.until_level()
        pair.standby.stop("immediate")
        await node.add(2)
        assert await holds(await node.indexes.view(STORE, FRESH), 2)
        pair.primary.stop("immediate")
        pair.standby.start()
        pair.standby.promote()
        current.unlink()
        current.symlink_to(pair.standby.sockets)
        other = Node(open_datastore(pair.standby.uri()))
        for number in range(3, 5):
            await other.add(number)
        view = await _patiently(node)
        assert view.revision == 4
        assert [await holds(view, number) for number in range(5)] == TRUTH
        await other.datastore.close()
        await node.datastore.close()


@pytest.mark.postgres
async def test_a_replica_that_does_not_follow_the_server_that_took_over_is_left_alone() -> None:
    """It has a commit that was lost elsewhere; the server that took over has given its revision to another."""
    with streaming_pair() as own:
        current = own.primary.sockets.parent / "current"
        current.symlink_to(own.primary.sockets)
        uri = f"postgresql://postgres@/postgres?host={current}"
        migrate_datastore(uri)
        heir = await asyncio.to_thread(own.another)
        async with opened(uri, own.standby.uri()) as (store, second):
            assert await put(store, "user:lost") == 1
            own.until_level()
            await until(lambda: answers(store, second, 1))
            own.primary.stop("immediate")
            heir.start()
            try:
                heir.promote()
                current.unlink()
                current.symlink_to(heir.sockets)
                rogue = await asyncio.to_thread(open_datastore, heir.uri())
                assert await put(rogue, "user:kept") == 1
                await rogue.close()
                await until(lambda: _has_head(store, 1))
                for _ in range(5):
                    assert await users(store, 1) == {"user:kept"}
                    await asyncio.sleep(0.2)
            finally:
                heir.stop("immediate")


async def _has_head(store: SqlDatastore, revision: int) -> bool:
    """Whether the primary can be reached, and stands there."""
    try:
        return await store.head_revision("S") == revision
    except Unavailable:
        return False


async def _patiently(node: Node) -> TupleIndex | PartialView:
    """A view, as soon as the node has found the new server."""
    ends = time.monotonic() + 20
    while True:
        try:
            return await node.indexes.view(STORE, EXACTLY)
        except Unavailable:
            assert time.monotonic() < ends
            await asyncio.sleep(0.05)
