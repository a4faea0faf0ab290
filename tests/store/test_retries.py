"""Whatever the database refuses or breaks, a write is applied once, or clearly not, or said to be of unknown outcome.

The failures are real: the server raises them in the transaction, or a connection breaks on its way.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import event, make_url

from authz.errors import Unavailable, WriteConflict
from authz.store.api import ChangePosition, TupleFilter, TupleWrite
from authz.store.sql.calls import ATTEMPTS
from authz.store.sql.datastore import SqlDatastore
from authz.store.sql.postgresql import PostgresDialect
from authz.tuples import RelationshipTuple
from tests.support.origins import ANNE
from tests.support.proxy import Cut, proxied
from tests.support.scribe import PlainScribe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sqlalchemy import Engine

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
_RAISE = "DO $$ BEGIN RAISE EXCEPTION 'restart transaction: injected' USING ERRCODE = '{}'; END $$"
_AT_COMMIT = """
CREATE SEQUENCE failures;
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF nextval('failures') <= {times} THEN RAISE EXCEPTION 'injected' USING ERRCODE = '{code}'; END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER failing AFTER INSERT ON tuples DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION fail();
"""


@asynccontextmanager
async def opened(uri: str, isolation: str = "") -> AsyncIterator[tuple[SqlDatastore, PostgresDialect]]:
    dialect = PostgresDialect(make_url(uri), readers=2, writers=3, poll_interval=60)
    if isolation:
        dialect.writer = dialect.writer.execution_options(isolation_level=isolation)
    store = SqlDatastore(dialect, PlainScribe())
    yield store, dialect
    await store.close()


async def put(store: SqlDatastore, name: str, store_id: str = "S") -> int:
    item = RelationshipTuple(f"doc:{name}", "viewer", "user:anne")
    return (await store.write(store_id, TupleWrite(writes=[item]), by=ANNE, now=NOW)).revision


async def stored(store: SqlDatastore, store_id: str = "S") -> set[str]:
    """What is there; revisions, rows, changelog and trail must tell the same."""
    head = await store.head_revision(store_id)
    found = await store.read_tuples(store_id, TupleFilter(), revision=head, after=0, limit=10_000)
    changes = await store.read_changes(
        store_id, object_type="", after=ChangePosition(0, -1), start_time=None, not_after=None, limit=10_000
    )
    assert [change.revision for change in changes] == list(range(1, head + 1))
    names = [each.tuple.object for each in found]
    assert sorted(names) == sorted(change.tuple.object for change in changes)
    chain = await store.chain_head(f"store/{store_id}")
    assert (chain.sequence if chain else 0) == head
    return {name.removeprefix("doc:") for name in names}


class Injection:
    """Makes the statements of some numbers fail on the server, counted from the beginning."""

    def __init__(self, engine: Engine, code: str, fails: Callable[[int], bool]) -> None:
        self.count = 0
        self._code, self._fails = code, fails
        event.listen(engine, "before_cursor_execute", self._before, retval=True)

    def _before(self, *given: Any) -> tuple[Any, Any]:
        _, _, statement, parameters, _, is_many = given
        self.count += 1
        if self._fails(self.count):
            return _RAISE.format(self._code), [()] if is_many else ()
        return statement, parameters


async def test_any_statement_may_be_refused_once(postgres_uri: str) -> None:
    """With any of the codes that ask for another try: the write is applied, once."""
    async with opened(postgres_uri) as (store, dialect):
        await put(store, "first")
        counter = Injection(dialect.writer, "40001", lambda _: False)
        await put(store, "second")
        statements = counter.count
        assert statements >= 6
    async with opened(postgres_uri) as (store, dialect):
        for number in range(1, statements + 1):
            for code in ("40001", "40P01", "55P03"):
                injected = Injection(dialect.writer, code, lambda count, at=number: count == at)  # type: ignore[misc]
                await put(store, f"{number}-{code}")
                assert injected.count == number + statements
                event.remove(dialect.writer, "before_cursor_execute", injected._before)
        assert len(await stored(store)) == 2 + 3 * statements


@pytest.mark.parametrize(("code", "error"), [("40001", WriteConflict), ("55P03", Unavailable), ("40003", Unavailable)])
async def test_a_refusal_for_ever_is_told(postgres_uri: str, code: str, error: type[Exception]) -> None:
    """After a bounded number of tries; an unknown outcome is not tried again at all."""
    async with opened(postgres_uri) as (store, dialect):
        Injection(dialect.writer, code, lambda _: True)
        tries: list[int] = []
        event.listen(dialect.writer, "begin", lambda _: tries.append(1))
        with pytest.raises(error):
            await put(store, "one")
        assert len(tries) == (1 if code == "40003" else ATTEMPTS)
        assert await stored(store) == set()


@pytest.mark.parametrize("code", ["40001", "40P01"])
async def test_a_commit_that_is_refused_is_tried_again(postgres_uri: str, code: str) -> None:
    """The refusal proves that nothing was done."""
    _prepare(postgres_uri, _AT_COMMIT.format(times=2, code=code))
    async with opened(postgres_uri) as (store, _):
        assert await put(store, "one") == 1
        assert await stored(store) == {"one"}


@pytest.mark.parametrize("code", ["40003", "08007", "XX000", "57014"])
async def test_a_commit_that_proves_nothing_is_said_to_be_unknown(postgres_uri: str, code: str) -> None:
    """And is not tried again."""
    _prepare(postgres_uri, _AT_COMMIT.format(times=1, code=code))
    async with opened(postgres_uri) as (store, _):
        with pytest.raises(Unavailable, match="may or may not be done"):
            await put(store, "one")
        assert await stored(store) == set()
        assert await put(store, "one") == 1


def _prepare(uri: str, statements: str) -> None:
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(statements.encode())


async def test_serializable_transactions_are_run_again(postgres_uri: str) -> None:
    """Two nodes write to one store under an isolation that refuses instead of waiting, as distributed engines do."""
    refusals: list[str] = []

    def note(context: Any) -> None:
        refusals.append(context.original_exception.sqlstate)

    async with (
        opened(postgres_uri, "SERIALIZABLE") as (one, first),
        opened(postgres_uri, "SERIALIZABLE") as (two, other),
    ):
        for dialect in (first, other):
            event.listen(dialect.writer, "handle_error", note)
        await put(one, "first")
        names = [f"{node}-{number}" for node in range(2) for number in range(30)]
        results = await asyncio.gather(*(put((one, two)[int(name[0])], name) for name in names), return_exceptions=True)
        # A busy machine may use up the patience of some.
        assert all(isinstance(result, int | WriteConflict | Unavailable) for result in results), results
        done = {name for name, result in zip(names, results, strict=True) if isinstance(result, int)}
        assert await stored(one) == done | {"first"}
        assert "40001" in refusals
        assert len(done) > len(names) / 2


@pytest.mark.parametrize(("cut", "is_there"), [(Cut.BEFORE, False), (Cut.AFTER, True)])
async def test_a_connection_lost_at_the_commit_leaves_it_open(postgres_uri: str, cut: Cut, *, is_there: bool) -> None:
    """Whether the database did it or not, the caller is told that it is not known; it is never done twice."""
    with proxied(postgres_uri) as proxy:
        async with opened(proxy.uri) as (store, _):
            await put(store, "first")
            await _quiet(store)
            proxy.cut = lambda chunk: cut if b"COMMIT\0" in chunk else None
            with pytest.raises(Unavailable, match="may or may not be done"):
                await put(store, "one")
            proxy.cut = lambda _: None
            await _settled(postgres_uri)
            assert await stored(store) == {"first"} | ({"one"} if is_there else set())
            assert store.may_have_changed()
            assert await put(store, "two") == (3 if is_there else 2)


@pytest.mark.parametrize("cut", list(Cut))
async def test_a_connection_lost_before_the_commit_is_made_anew(postgres_uri: str, cut: Cut) -> None:
    """At any statement: the write goes through on the next connection, once."""
    with proxied(postgres_uri) as proxy:
        async with opened(proxy.uri) as (store, _):
            await put(store, "first")
            for number, mark in enumerate((b"BEGIN", b"FOR UPDATE", b"INSERT INTO tuples", b"UPDATE store_revisions")):
                left = [mark]
                proxy.cut = lambda chunk, left=left: cut if left and left[0] in chunk and left.pop() else None  # type: ignore[misc]
                assert await put(store, str(number)) == number + 2
            assert await stored(store) == {"first", "0", "1", "2", "3"}


async def test_nothing_is_applied_twice_on_a_bad_network(postgres_uri: str) -> None:
    """Connections break at random: what was acknowledged is there, once, and nobody is refused for his own write."""
    dice = random.Random(3)
    with proxied(postgres_uri) as proxy:
        async with opened(proxy.uri) as (one, _), opened(proxy.uri) as (two, _):
            await put(one, "first")
            proxy.cut = lambda _: dice.choice((Cut.BEFORE, Cut.AFTER)) if dice.random() < 0.02 else None
            names = [f"{node}-{number}" for node in range(2) for number in range(60)]
            results = await asyncio.gather(
                *(put((one, two)[int(name[0])], name) for name in names), return_exceptions=True
            )
            proxy.cut = lambda _: None
            await _settled(postgres_uri)
            there = await stored(one)
        outcomes = dict(zip(names, results, strict=True))
        assert {name for name, result in outcomes.items() if isinstance(result, int)} <= there
        assert all(isinstance(result, int | Unavailable | WriteConflict) for result in results), results
        for name, result in outcomes.items():
            if isinstance(result, WriteConflict) or (
                isinstance(result, Unavailable) and "may or may" not in str(result)
            ):
                assert name not in there
        assert sum(isinstance(result, Unavailable) for result in results) > 0


async def _quiet(store: SqlDatastore) -> None:
    for _ in range(500):
        if not store.may_have_changed():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("somebody writes all the time")


async def _settled(uri: str) -> None:
    """Until the server has noticed that the connections are gone, and ended their transactions."""
    with psycopg.connect(uri, autocommit=True) as connection:
        for _ in range(200):
            busy = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL"
                " AND pid <> pg_backend_pid()"
            ).fetchone()
            if busy == (0,):
                return
            await asyncio.sleep(0.02)
    raise AssertionError("transactions stay open")
