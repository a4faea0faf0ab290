"""PostgreSQL's sessions are bounded in time, and its statements use their indexes whatever the planner believes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import make_url, text

from authz.store.api import TupleWrite
from authz.store.sql import columns, open_datastore, reading
from authz.store.sql.postgresql import PostgresDialect
from authz.store.sql.recording import Recorder
from authz.store.sql.rows import RowReader
from authz.store.sql.trail import Trail
from authz.store.sql.writing import Writer
from authz.tuples import RelationshipTuple
from tests.support.origins import ANNE
from tests.support.plans import plans
from tests.support.scribe import PlainScribe

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def dialect(postgres_uri: str) -> Iterator[PostgresDialect]:
    made = PostgresDialect(make_url(postgres_uri), readers=1, writers=1, poll_interval=1.0)
    yield made
    made.reader.dispose()
    made.writer.dispose()


def test_no_statement_waits_for_ever(dialect: PostgresDialect) -> None:
    """Neither for its result nor for a lock, and no transaction stays open idle."""
    with dialect.writer.connect() as connection:
        for setting in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            assert connection.execute(text(f"SHOW {setting}")).scalar() != "0"
        assert connection.execute(text("SHOW transaction_isolation")).scalar() == "read committed"


def _put(dialect: PostgresDialect, writer: Writer, numbers: range) -> None:
    items = [RelationshipTuple(f"doc:{number}", "viewer", f"user:{number}") for number in numbers]
    with dialect.writer.connect() as connection:
        writer.write(connection, "S", TupleWrite(writes=items), ANNE, NOW)
        connection.commit()


def _plan(dialect: PostgresDialect, statement: Any, **values: object) -> str:
    compiled = statement.compile(dialect=dialect.reader.dialect)
    with dialect.reader.connect() as connection:
        found = connection.exec_driver_sql(f"EXPLAIN {compiled}", {**compiled.params, **values})
        return "\n".join(row[0] for row in found)


def _is_by_relation(plan: str, index: str) -> bool:
    """Whether the index is searched as far as the relation of a key."""
    return "(relation = " in plan.partition(index)[2].partition("Index Cond:")[2].partition("\n")[0]


def test_stale_statistics_do_not_lead_to_walks_over_a_store(dialect: PostgresDialect) -> None:
    """In the minutes after an import the planner takes the table for tiny: each key is looked up all the same."""
    rows, writer = RowReader(dialect), Writer(dialect, Recorder(Trail(dialect), None))
    with dialect.reader.connect() as connection:
        connection.execute(text("ALTER TABLE tuples SET (autovacuum_enabled = off)"))
    _put(dialect, writer, range(1))
    with dialect.reader.connect() as connection:
        connection.execute(text("ANALYZE tuples"))
    _put(dialect, writer, range(1, 3000))

    at = {"store_id": "S", "revision": 2}
    keys = [(str(number), str(number), "viewer") for number in range(50)]
    forward = _plan(dialect, rows._forward.statement, **at, **rows._forward_keys.bind(keys))
    assert "Index Scan using tuples_by_object" in forward
    assert _is_by_relation(forward, "tuples_by_object")
    reverse = _plan(dialect, rows._reverse.statement, **at, **rows._reverse_keys.bind(keys))
    assert "Index Scan using tuples_by_user" in reverse
    assert _is_by_relation(reverse, "tuples_by_user")
    find = _plan(dialect, writer._find, store="S", **writer._keys.bind([(*key, "user:1") for key in keys]))
    assert "Index Scan using tuples_by_object" in find
    assert "(tuple_user = " in find.partition("Index Cond:")[2].partition("\n")[0]
    bury = _plan(dialect, writer._bury, revision=3, now=1, **writer._places.bind([(place,) for place in range(50)]))
    assert "Index Scan using tuples_pkey" in bury
    read = partial(columns.column_page, store_id="S", revision=2, after=0, size=100)
    counted = partial(reading.count_tuples, store_id="S", revision=2, at_most=100)
    page = _plan(dialect, columns._plain, **at, after=0, size=100)
    for plan in (page, plans(dialect.reader, read)[0], plans(dialect.reader, counted)[0]):
        assert "Index Scan using tuples_by_position" in plan
        assert "Seq Scan" not in plan
    assert "Seq Scan" not in forward + reverse + find + bury


@pytest.mark.anyio
async def test_stores_do_not_wait_for_each_others_records(postgres_uri: str, dialect: PostgresDialect) -> None:
    """Somebody who holds one chain holds up the changes of that store, and of no other."""
    store = open_datastore(postgres_uri, PlainScribe())

    async def put(name: str, number: int) -> int:
        item = RelationshipTuple(f"doc:{number}", "viewer", "user:anne")
        return (await store.write(name, TupleWrite(writes=[item]), by=ANNE, now=NOW)).revision

    for name in ("one", "two"):
        await put(name, 1)
    with dialect.writer.connect() as connection:
        assert Trail(dialect).lock(connection, "store/one") is not None
        waiting = asyncio.create_task(put("one", 2))
        assert await asyncio.wait_for(put("two", 2), timeout=2) == 2
        assert not waiting.done()
        connection.rollback()
    assert await asyncio.wait_for(waiting, timeout=2) == 2
    await store.close()
