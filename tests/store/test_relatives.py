"""What is sent to relatives of PostgreSQL: statements that they know, in transactions that they may refuse.

There is no CockroachDB and no YugabyteDB here. What is sent to them is run on PostgreSQL, and must not hold anything
that their documentation says they lack.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from authz.store.api import ChangePosition, ForwardKey, ModelRecord, ReverseKey, StoreRecord, TupleFilter, TupleWrite
from authz.store.directives import Directive
from authz.store.sql import migrate_datastore, migration_status, open_datastore
from authz.store.sql.migrate import HEAD
from authz.tuples import RelationshipTuple
from tests.support.origins import ANNE
from tests.support.proxy import proxied
from tests.support.scribe import PlainScribe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from authz.store.sql import SqlDatastore

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NO_LISTEN = {b"LISTEN authz_changes": b"HEARKEN authz_change"}
"""Makes PostgreSQL refuse it."""
UNKNOWN_TO_COCKROACH = (
    "COLLATE",
    "LISTEN",
    "NOTIFY",
    "ADVISORY",
    "ENABLE_SEQSCAN",
    "HSTORE",
    "LOCK TABLE",
    "SAVEPOINT",
)


@pytest.fixture
def sent(postgres_database: str) -> Iterator[tuple[str, list[str]]]:
    """The URI of a database that passes for a CockroachDB, and what is sent to it."""
    said: list[str] = []
    with proxied(postgres_database.replace("postgresql://", "cockroachdb://")) as proxy:
        proxy.rewrites.update(NO_LISTEN)
        proxy.watch = lambda chunk: said.append(chunk.decode(errors="replace").upper())
        yield proxy.uri, said


async def exercise(store: SqlDatastore) -> None:
    """Every kind of statement."""
    await store.secret("tokens")
    await store.create_store(StoreRecord("S", "name", NOW, NOW), by=ANNE)
    await store.rename_store("S", "other", NOW, by=ANNE)
    await store.write_model(ModelRecord("S", "M", "1.1", "{}", NOW), by=ANNE)
    await store.write_assertions("S", "M", "[]", now=NOW, by=ANNE)
    await store.write_assertions("S", "M", "[{}]", now=NOW, by=ANNE)
    items = [RelationshipTuple(f"doc:{number}", "viewer", "user:anne") for number in range(5)]
    await store.write("S", TupleWrite(writes=items), by=ANNE, now=NOW)
    await store.write("S", TupleWrite(deletes=[items[0].key]), by=ANNE, now=NOW)
    assert (
        len(await store.rows("S", 2, [ForwardKey("doc:1", "viewer")], [ReverseKey("user:anne", "doc", "viewer")])) == 4
    )
    assert sum([len(part.objects) async for batch in store.columns("S", 1) for part in batch]) == 5
    assert len(await store.read_tuples("S", TupleFilter("doc:"), revision=2, after=0, limit=9)) == 4
    changes = await store.read_changes(
        "S", object_type="doc", after=ChangePosition(0, -1), start_time=NOW, not_after=NOW + timedelta(1), limit=9
    )
    assert len(changes) == 6
    assert len(await store.changes_after("S", 1, 9)) == 1
    assert [each.id for each in await store.list_stores(name="", after_id="", limit=9)] == ["S"]
    assert await store.latest_model_id("S") == "M"
    order = Directive("D", "suspension", "{}", "why", "anne", NOW, None, None, 0)
    await store.add_directive(order, by=ANNE)
    await store.lift_directive("D", NOW, by=ANNE)
    assert await store.collect_garbage(NOW + timedelta(days=1), limit=9) == 1
    await store.delete_store("S", NOW, by=ANNE)


async def test_nothing_is_sent_to_cockroachdb_that_it_does_not_know(sent: tuple[str, list[str]]) -> None:
    """Neither by migrations nor later, but for one LISTEN, which it may refuse; transactions are serializable."""
    uri, said = sent
    migrate_datastore(uri)
    assert migration_status(uri).current == HEAD
    assert migrate_datastore(uri).current == HEAD
    store = open_datastore(uri, PlainScribe())
    await exercise(store)
    await store.close()
    statements = "".join(said)
    for word in UNKNOWN_TO_COCKROACH:
        assert word not in statements
    assert "WHERE DELETED_REVISION > 0" in statements
    assert "ISOLATION LEVEL SERIALIZABLE" in statements
    assert "READ COMMITTED" not in statements
    assert "FOR UPDATE" in statements


def test_a_database_without_advisory_locks_is_migrated_all_the_same(postgres_database: str) -> None:
    """As YugabyteDB before 2025: the function is there and refuses."""
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION public.pg_advisory_xact_lock(bigint) RETURNS void LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'not yet' USING ERRCODE = '0A000'; END $$"
        )
        connection.execute(
            "CREATE FUNCTION public.pg_advisory_xact_lock(integer) RETURNS void LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'not yet' USING ERRCODE = '0A000'; END $$"
        )
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET search_path = public, pg_catalog'.encode())
    assert migrate_datastore(postgres_database).current is None
    assert migration_status(postgres_database).current == HEAD


async def test_without_notifications_the_poll_tells_of_other_nodes(postgres_uri: str) -> None:
    """Where LISTEN is refused, a commit is noticed at the next poll, and no NOTIFY is sent, to be refused as well."""
    with proxied(postgres_uri) as proxy:
        said: list[bytes] = []
        proxy.watch = said.append
        proxy.rewrites.update(NO_LISTEN)
        reader, writer = (open_datastore(proxy.uri, poll_interval=0.1) for _ in range(2))
        await _until(lambda: not reader.may_have_changed())
        for number in range(3):
            item = RelationshipTuple(f"doc:{number}", "viewer", "user:anne")
            await writer.write("S", TupleWrite(writes=[item]), by=ANNE, now=NOW)
            await _until(reader.may_have_changed)
            await _until(lambda: not reader.may_have_changed())
        await reader.close()
        await writer.close()
        assert not any(b"NOTIFY" in each for each in said)


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it does not come to that")
