"""What a replica answers is what the primary would answer, however far behind it is, and whatever happens to it."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from authz.errors import AuthzError, InvalidRequest
from authz.store.api import ChangePosition, ForwardKey, OnExisting, ReverseKey, TupleFilter, TupleWrite
from authz.store.sql import ReplicaOptions, migrate_datastore, open_datastore, replica
from authz.tuples import RelationshipTuple, TupleKey
from tests.contract.naive_store import NaiveStore
from tests.support.origins import ANNE
from tests.support.postgres import fresh_database
from tests.support.proxy import proxied
from tests.support.standby import streaming_pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from sqlalchemy import Connection

    from authz.store.sql import SqlDatastore
    from authz.store.sql.replica import Replica
    from tests.support.standby import Pair

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PATIENT = 600.0
"""A lag that no test reaches: only revisions decide."""
KEYS = [TupleKey(f"doc:{number}", "viewer", f"user:{user}") for number in range(4) for user in "ab"]
ROWS = [ForwardKey("doc:1", "viewer")], [ReverseKey("user:a", "doc", "viewer")]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with streaming_pair() as made:
        yield made


@pytest.fixture
def uris(pair: Pair) -> Iterator[tuple[str, str]]:
    """A database of its own on the primary, and the same on the standby, which has it."""
    with fresh_database(pair.primary.uri()) as uri:
        migrate_datastore(uri)
        pair.until_level()
        yield uri, uri.replace("primary", "standby")
        pair.resume()


@asynccontextmanager
async def opened(uri: str, replica_uri: str, max_lag: float = PATIENT) -> AsyncIterator[tuple[SqlDatastore, Replica]]:
    store = await asyncio.to_thread(open_datastore, uri, replica=ReplicaOptions(replica_uri, max_lag, readers=2))
    try:
        assert store.replica is not None
        yield store, store.replica
    finally:
        await store.close()


@pytest.fixture
async def nodes(pair: Pair, uris: tuple[str, str]) -> AsyncIterator[tuple[SqlDatastore, Replica]]:
    """A datastore with a replica that is in use."""
    async with opened(*uris) as (store, second):
        await put(store, "user:first")
        pair.until_level()
        await until(lambda: answers(store, second, 1))
        yield store, second


async def put(store: SqlDatastore, user: str) -> int:
    """Write a tuple; the revision."""
    item = RelationshipTuple("doc:1", "viewer", user)
    return (await store.write("S", TupleWrite(writes=[item]), by=ANNE, now=NOW)).revision


async def remove(store: SqlDatastore, user: str) -> int:
    key = TupleKey("doc:1", "viewer", user)
    return (await store.write("S", TupleWrite(deletes=[key]), by=ANNE, now=NOW)).revision


async def users(store: SqlDatastore, revision: int) -> set[str]:
    found = await store.read_tuples("S", TupleFilter(), revision=revision, after=0, limit=100)
    return {each.tuple.user for each in found}


async def whole(store: SqlDatastore, revision: int) -> set[str]:
    """Everything at a revision, as the index loads it."""
    return {
        str(RelationshipTuple(name, part.relation, user))
        async for batch in store.columns("S", revision)
        for part in batch
        for name, user in zip(part.objects, part.users, strict=True)
    }


async def answers(store: SqlDatastore, second: Replica, revision: int) -> bool:
    """Whether the replica answers a read at a revision."""
    before = second.outcomes["answered"]
    await users(store, revision)
    return second.outcomes["answered"] > before


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    ends = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < ends
        await asyncio.sleep(0.02)


async def test_reads_at_a_revision_that_the_replica_has_are_its_own(nodes: tuple[SqlDatastore, Replica]) -> None:
    """All kinds of them; the primary is not asked."""
    store, second = nodes
    before = dict(second.outcomes)
    await users(store, 1)
    await store.rows("S", 1, *ROWS)
    assert await whole(store, 1) == {str(RelationshipTuple("doc:1", "viewer", "user:first"))}
    assert await store.count_tuples("S", 1, 10) == 1
    changes = await store.read_changes(
        "S", object_type="", after=ChangePosition(0, -1), start_time=None, not_after=None, limit=1
    )
    assert [change.revision for change in changes] == [1]
    assert second.outcomes == before | {"answered": before["answered"] + 5}


async def test_a_revision_that_it_lacks_is_read_from_the_primary(
    pair: Pair, nodes: tuple[SqlDatastore, Replica]
) -> None:
    """At once and without waiting; older ones are still its own."""
    store, second = nodes
    pair.pause()
    second_revision = await put(store, "user:second")
    third = await remove(store, "user:first")
    assert not await answers(store, second, third)
    assert second.outcomes["behind"] > 0
    assert await users(store, third) == {"user:second"}
    assert await users(store, second_revision) == {"user:first", "user:second"}
    assert await answers(store, second, 1)
    assert await store.head_revision("S") == third
    pair.resume()
    await until(lambda: answers(store, second, third))
    assert await users(store, third) == {"user:second"}


async def test_the_end_of_the_changelog_is_the_primarys(pair: Pair, nodes: tuple[SqlDatastore, Replica]) -> None:
    """A page that the replica cannot fill is read again, so that no acknowledged change is missing."""
    store, second = nodes
    pair.pause()
    for user in ("user:second", "user:third"):
        await put(store, user)

    async def page(limit: int) -> list[int]:
        found = await store.read_changes(
            "S", object_type="doc", after=ChangePosition(0, -1), start_time=None, not_after=None, limit=limit
        )
        return [change.revision for change in found]

    answered = second.outcomes["answered"]
    assert await page(1) == [1]
    assert second.outcomes["answered"] == answered + 1
    assert await page(2) == [1, 2]
    assert await page(50) == [1, 2, 3]
    assert second.outcomes["answered"] == answered + 1


async def test_a_replica_that_is_too_far_behind_is_left_alone(pair: Pair, uris: tuple[str, str]) -> None:
    """Not even asked for what it has, until it is close again. An idle primary makes no lag."""
    async with opened(*uris, max_lag=0.4) as (store, second):
        await put(store, "user:first")
        pair.until_level()
        await until(lambda: answers(store, second, 1))
        await asyncio.sleep(0.8)
        assert await answers(store, second, 1), "nothing was written, yet it counts as behind"
        pair.pause()
        await put(store, "user:second")

        async def is_left() -> bool:
            return not await answers(store, second, 1)

        await until(is_left)
        assert second.lag > 0.4
        assert second.outcomes["unused"] > 0
        assert await users(store, 2) == {"user:first", "user:second"}
        pair.resume()
        await until(lambda: answers(store, second, 2))


async def test_a_replica_that_dies_is_missed_by_nobody(pair: Pair, nodes: tuple[SqlDatastore, Replica]) -> None:
    """Every read is answered meanwhile, and the replica is used again once it is back."""
    store, second = nodes
    pair.standby.stop("immediate")
    try:
        for number in range(20):
            assert "user:first" in await users(store, await put(store, f"user:{number}"))
        assert second.outcomes["failed"] + second.outcomes["unused"] > 0
    finally:
        await asyncio.to_thread(pair.standby.start)
    await until(lambda: answers(store, second, 21))
    assert len(await users(store, 21)) == 21


async def test_a_replica_that_hangs_is_waited_for_once(
    nodes: tuple[SqlDatastore, Replica], uris: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the primary answers, at once, until the replica does again."""
    monkeypatch.setattr(replica, "PATIENCE", 0.2)
    with proxied(uris[1]) as proxy:
        async with opened(uris[0], proxy.uri) as (store, second):
            await until(lambda: answers(store, second, 1))
            proxy.flowing.clear()
            started = time.monotonic()
            for _ in range(20):
                assert await users(store, 1) == {"user:first"}
            assert time.monotonic() - started < 1.5
            assert second.outcomes["slow"] == 1
            proxy.flowing.set()
            await until(lambda: answers(store, second, 1))


async def test_a_read_in_the_way_of_the_replay_is_made_again_on_the_primary(
    pair: Pair, nodes: tuple[SqlDatastore, Replica]
) -> None:
    """The standby cancels it, which is no failure of the standby."""
    _, second = nodes
    pair.standby.execute("ALTER SYSTEM SET max_standby_streaming_delay = 0")
    pair.standby.execute("SELECT pg_reload_conf()")
    database = second._engine.url.database
    assert database

    def slow(connection: Connection) -> None:
        connection.execute(text("SELECT pg_sleep(1.5) FROM tuples")).all()

    reading = asyncio.create_task(second.read_at("S", 1, slow))
    await asyncio.sleep(0.2)
    await asyncio.to_thread(pair.primary.execute, "ALTER TABLE tuples ADD COLUMN spare integer", database)
    assert await reading is None
    assert second.outcomes["conflict"] == 1
    assert await second.read_at("S", 1, lambda _: 1) == (1,)
    pair.standby.execute("ALTER SYSTEM RESET max_standby_streaming_delay")
    pair.standby.execute("SELECT pg_reload_conf()")


async def test_a_server_that_takes_writes_is_no_replica(uris: tuple[str, str]) -> None:
    """As after somebody has promoted it: everything is read from the primary."""
    async with opened(uris[0], uris[0]) as (store, second):
        await put(store, "user:first")
        await asyncio.sleep(0.3)
        assert await users(store, 1) == {"user:first"}
        assert second.outcomes["answered"] == 0


async def test_a_replica_of_another_datastore_is_not_believed(pair: Pair, uris: tuple[str, str]) -> None:
    """Though it has stores and revisions of the same names."""
    with fresh_database(pair.primary.uri()) as other:
        migrate_datastore(other)
        async with opened(other, other.replace("primary", "standby")) as (store, _):
            await put(store, "user:wrong")
        pair.until_level()
        async with opened(uris[0], other.replace("primary", "standby")) as (store, second):
            await put(store, "user:first")
            await asyncio.sleep(0.3)
            assert await users(store, 1) == {"user:first"}
            assert second.outcomes["answered"] == 0


async def test_a_replica_that_misses_a_migration_is_not_used(pair: Pair, uris: tuple[str, str]) -> None:
    """Nor does it keep anybody from starting: it comes into use when it has caught up."""
    with fresh_database(pair.primary.uri()) as uri:
        pair.pause()
        migrate_datastore(uri)
        async with opened(uri, uri.replace("primary", "standby")) as (store, second):
            await put(store, "user:first")
            assert not await answers(store, second, 1)
            pair.resume()
            await until(lambda: answers(store, second, 1))


async def test_a_promoted_replica_is_right_about_its_past_alone() -> None:
    """What it went on to write by itself, at revisions that the primary has as well, reaches nobody."""
    with streaming_pair() as own, fresh_database(own.primary.uri()) as uri:
        migrate_datastore(uri)
        standby_uri = uri.replace("primary", "standby")
        async with opened(uri, standby_uri) as (store, second):
            await put(store, "user:first")
            own.until_level()
            await until(lambda: answers(store, second, 1))
            second._watch.close()  # as if it had not looked since; connections stay
            await asyncio.to_thread(own.standby.promote)
            rogue = await asyncio.to_thread(open_datastore, standby_uri)
            assert await put(rogue, "user:rogue") == await put(store, "user:second") == 2
            await rogue.close()
            second._watch._level = time.monotonic()
            assert await users(store, 1) == {"user:first"}
            second._watch._level = time.monotonic()
            assert await users(store, 2) == {"user:first", "user:second"}
            second._watch._level = time.monotonic()
            changes = await store.read_changes(
                "S", object_type="", after=ChangePosition(1, 0), start_time=None, not_after=None, limit=1
            )
            assert [change.tuple.user for change in changes] == ["user:second"]


async def test_sqlite_has_no_replica(sqlite_uri: str, uris: tuple[str, str]) -> None:
    """It is refused, on either side, and the message says why."""
    for uri, other in ((sqlite_uri, uris[0]), (uris[0], sqlite_uri)):
        with pytest.raises(InvalidRequest, match="PostgreSQL on both sides"):
            open_datastore(uri, replica=ReplicaOptions(other))


async def test_every_answer_is_that_of_its_revision(pair: Pair, uris: tuple[str, str]) -> None:
    """Random writes, reads at random revisions, a replay that stops and goes on, a standby that is cut off."""
    dice = random.Random(11)
    naive = NaiveStore()
    with proxied(uris[1]) as proxy:
        async with opened(uris[0], proxy.uri) as (store, second):
            for _ in range(250):
                step = dice.random()
                if step < 0.06:
                    pair.pause()
                elif step < 0.12:
                    pair.resume()
                elif step < 0.14:
                    proxy.cut_all()
                elif step < 0.55:
                    await _write(store, naive, dice)
                else:
                    await _compare(store, naive, dice.randint(0, naive.head))
            assert second.outcomes["answered"] > 50
            assert second.outcomes["behind"] > 10


async def _write(store: SqlDatastore, naive: NaiveStore, dice: random.Random) -> None:
    keys = dice.sample(KEYS, 3)
    write = TupleWrite(keys[:1], [RelationshipTuple(*key) for key in keys[1:]], OnExisting.IGNORE, OnExisting.IGNORE)
    naive.write(write)
    await store.write("S", write, by=ANNE, now=NOW)
    assert await store.head_revision("S") == naive.head


async def _compare(store: SqlDatastore, naive: NaiveStore, revision: int) -> None:
    wanted = set(map(str, naive.at(revision)))
    assert await whole(store, revision) == wanted
    found = await store.read_tuples("S", TupleFilter(), revision=revision, after=0, limit=100)
    assert {str(each.tuple) for each in found} == wanted
    rows = await store.rows("S", revision, *ROWS)
    assert set(map(str, rows)) == set(map(str, naive.rows(revision, *ROWS)))
    changes = await store.read_changes(
        "S", object_type="", after=ChangePosition(revision, 99), start_time=None, not_after=None, limit=4
    )
    assert [(each.revision, each.ordinal) for each in changes] == [
        entry[:2] for entry in naive.entries if entry[0] > revision
    ][:4]


async def test_a_refusal_is_the_same(pair: Pair, nodes: tuple[SqlDatastore, Replica]) -> None:
    """A revision that is no longer kept is not read from a replica either, once it knows."""
    store, second = nodes
    await remove(store, "user:first")
    await store.collect_garbage(datetime(2027, 1, 1, tzinfo=UTC), limit=10)
    pair.until_level()
    failed = second.outcomes["failed"]
    with pytest.raises(AuthzError, match="no longer kept"):
        await users(store, 1)
    assert second.outcomes["failed"] == failed
