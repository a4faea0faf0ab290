"""Days of churn, in which as much is deleted as is written, leave nothing behind: no rows, no pages, no memory."""

from __future__ import annotations

import random
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, make_url, text

from authz.commands.housekeeping import collect, forget, trim
from authz.commands.tokens import TokenCodec
from authz.consistency import Consistency, Mode
from authz.index.memory import TupleIndex
from authz.index.registry import IndexRegistry
from authz.store.api import OnExisting, TupleWrite
from authz.store.directives import Directive
from authz.tuples import RelationshipTuple
from tests.support.columns import read_all
from tests.support.origins import ANNE

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from authz.store.sql import SqlDatastore

pytestmark = pytest.mark.anyio

STORE = "01J00000000000000000000001"
DAY, HOUR = 86_400.0, 3_600.0
WRITES_PER_HOUR, TUPLES_PER_WRITE = 2, 10
GROWING = ("tuples", "changelog", "directives")


class Calendar:
    """A clock that is moved by hours."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        """The moment."""
        return self.moment

    def monotonic(self) -> float:
        """The same moment in seconds."""
        return self.moment.timestamp()


class Town:
    """A store in which people come and go: every hour new names are written and old ones deleted."""

    def __init__(self, datastore: SqlDatastore, uri: str) -> None:
        self._uri = uri
        self.datastore = datastore
        self.indexes = IndexRegistry(datastore, TokenCodec(b"a key of the test").decode)
        self.clock = Calendar()
        self.living: list[RelationshipTuple] = []
        self._dice = random.Random(4)
        self._count = 0

    async def live(self, hours: int) -> None:
        """Let hours pass, with the housekeeping of each sixth."""
        for hour in range(hours):
            self.clock.moment += timedelta(hours=1)
            for _ in range(WRITES_PER_HOUR):
                await self._write()
            ends = self.clock.now() + timedelta(minutes=1)
            order = Directive(f"o{self._count}", "capture", "{}", "", "anne", self.clock.now(), ends)
            await self.datastore.add_directive(order, by=ANNE)
            if hour % 6 == 5:
                await collect(self.datastore, self.clock, window=DAY)
                await forget(self.datastore, self.clock, window=DAY)
                await trim(self.datastore, self.clock, retention=DAY)
                _vacuum(self._uri)

    async def index(self) -> TupleIndex:
        """The index, which has followed."""
        index = await self.indexes.view(STORE, Consistency())
        assert isinstance(index, TupleIndex)
        return index

    async def _write(self) -> None:
        fresh = [self._tuple() for _ in range(TUPLES_PER_WRITE)]
        old = []
        if len(self.living) >= 100:
            old, self.living = self.living[:TUPLES_PER_WRITE], self.living[TUPLES_PER_WRITE:]
        self.living += fresh
        write = TupleWrite([item.key for item in old], fresh, OnExisting.ERROR, OnExisting.ERROR)
        result = await self.datastore.write(STORE, write, by=ANNE, now=self.clock.now())
        await self.indexes.applied(STORE, result)

    def _tuple(self) -> RelationshipTuple:
        self._count += 1
        user = self._dice.choice(("user:anne", f"user:{self._count}", f"group:{self._count}#member"))
        return RelationshipTuple(f"doc:{self._count}", "viewer", user)


async def test_nothing_grows(datastore: SqlDatastore, datastore_uri: str) -> None:
    """Neither tables nor files nor the index: they are as large after six days as they were after four."""
    town = Town(datastore, datastore_uri)
    await town.index()
    sizes = []
    for _ in range(3):
        await town.live(48)
        sizes.append(_on_disk(datastore_uri) | _in_memory(await town.index()))
    _, before, after = sizes
    for name, size in after.items():
        assert size <= 1.1 * before[name] + 8, (name, sizes)
    index = await town.index()
    assert town.indexes.loads == 1
    assert index.tuples == len(town.living)
    assert sorted(town.living) == sorted(await read_all(datastore, STORE, index.revision))


async def test_an_index_that_lost_touch_is_read_anew(datastore: SqlDatastore, other_node: SqlDatastore) -> None:
    """When the changes that it needs are gone; one that misses none follows as ever."""
    clock = Calendar()
    indexes = IndexRegistry(datastore, TokenCodec(b"a key of the test").decode)
    items = [RelationshipTuple(f"doc:{number}", "viewer", "user:anne") for number in range(20)]

    async def put(*chosen: RelationshipTuple) -> None:
        clock.moment += timedelta(hours=1)
        await other_node.write(STORE, TupleWrite(writes=chosen), by=ANNE, now=clock.now())

    await put(items[0])
    assert await _followed(indexes) == 1
    await put(items[1])
    await put(items[2])
    assert await trim(other_node, clock, retention=1.5 * HOUR) == 1
    assert await _followed(indexes) == 3
    assert indexes.loads == 1
    for item in items[3:]:
        await put(item)
    assert await trim(other_node, clock, retention=1.5 * HOUR) == 17
    assert await _followed(indexes) == len(items)
    assert indexes.loads == 2


async def _followed(indexes: IndexRegistry) -> int:
    """How many tuples an index has that was made to look at the newest revision."""
    index = await indexes.view(STORE, Consistency(Mode.FULLY_CONSISTENT))
    assert isinstance(index, TupleIndex)
    return index.tuples


def _on_disk(uri: str) -> dict[str, int]:
    """Rows of the tables that could grow, and bytes."""
    engine = _engine(uri)
    with engine.connect() as connection:
        ask = partial(_ask, connection)
        found = {name: ask(f"SELECT count(*) FROM {name}") for name in GROWING}
        if engine.dialect.name == "sqlite":
            found["pages"] = ask("PRAGMA page_count")
            found["log"] = Path(f"{make_url(uri).database}-wal").stat().st_size
        else:
            found |= {f"bytes of {name}": ask(f"SELECT pg_total_relation_size('{name}')") for name in GROWING}
    engine.dispose()
    return found


def _vacuum(uri: str) -> None:
    """What a server does by itself every minute or so."""
    engine = _engine(uri)
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            _outlast_others(connection)
            for name in GROWING:
                connection.execute(text(f"VACUUM {name}"))
    engine.dispose()


def _outlast_others(connection: Connection) -> None:
    """Wait for all transactions that are open now, of other tests too: what they might see is not cleared away."""
    newest = _ask(connection, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    for _ in range(3000):
        if _ask(connection, "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint") >= newest:
            return
        time.sleep(0.01)
    raise AssertionError("a transaction of another test has been open for half a minute")


def _engine(uri: str) -> Engine:
    url = make_url(uri)
    if url.get_backend_name() == "postgresql":
        return create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    return create_engine(url)


def _ask(connection: Connection, question: str) -> int:
    return int(connection.scalar(text(question)) or 0)


def _in_memory(index: TupleIndex) -> dict[str, int]:
    rows = [rows for table in index._tables.values() for rows in (table.forward, table.reverse)]
    return {
        "names": len(index._names._names),
        "rows": sum(map(len, rows)),
        "row bytes": sum(map(sys.getsizeof, rows)),
        "bindings": len(index.bindings),
        "edges": len(index._tables),
    }
