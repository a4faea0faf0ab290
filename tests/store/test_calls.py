"""Transactions are tried again when that is safe, and errors of the driver become errors of the service."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import exc, make_url, text

from authz import errors
from authz.store.api import TupleWrite
from authz.store.sql.calls import ATTEMPTS, Calls
from authz.store.sql.datastore import SqlDatastore
from authz.store.sql.failures import Failure, failure_of, to_domain
from authz.store.sql.postgresql import PostgresDialect
from authz.store.sql.sqlite import SqliteDialect
from authz.tuples import RelationshipTuple
from tests.support.origins import ANNE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Connection

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WRITE = TupleWrite(writes=[RelationshipTuple("doc:1", "viewer", "user:anne")])


class Refused(Exception):
    """What a driver raises, with its code."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__("password=hunter2")
        self.sqlstate = sqlstate


def refused(sqlstate: str | None, kind: type[exc.DBAPIError] = exc.OperationalError) -> exc.DBAPIError:
    return kind("SELECT", {}, Refused(sqlstate))


@pytest.fixture
def path(sqlite_uri: str) -> Path:
    return Path(str(make_url(sqlite_uri).database))


@pytest.fixture
async def calls(path: Path) -> AsyncIterator[Calls]:
    made = Calls(SqliteDialect(path, readers=2, busy_timeout=0.01), lambda: None)
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (refused("40001"), Failure.CONFLICT),
        (refused("40P01"), Failure.CONFLICT),
        (refused("55P03"), Failure.BUSY),
        (refused("08006"), Failure.DISCONNECTED),
        (refused(None), Failure.DISCONNECTED),
        (refused("57014"), Failure.UNAVAILABLE),
        (refused("53300"), Failure.UNAVAILABLE),
        (refused("22021", exc.DataError), Failure.BAD_VALUE),
        (refused(None, exc.DataError), Failure.BAD_VALUE),
        (refused("54000"), Failure.BAD_VALUE),
        (refused("23505", exc.IntegrityError), Failure.TAKEN),
        (refused("42P01", exc.ProgrammingError), Failure.BUG),
        (exc.TimeoutError(), Failure.UNAVAILABLE),
        (exc.InvalidRequestError(), Failure.BUG),
    ],
)
def test_an_error_of_the_driver_is_judged_by_its_code(error: Exception, failure: Failure) -> None:
    """And its text, which may hold a secret, goes nowhere."""
    assert failure is failure_of(error)
    assert "hunter2" not in str(to_domain(failure))


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", None])
async def test_a_lost_race_is_run_again(calls: Calls, sqlstate: str | None) -> None:
    """The transaction starts over, with nothing of the first try left."""
    tries: list[str | None] = []

    def body(connection: Connection) -> int:
        connection.execute(text("INSERT INTO assertions VALUES ('s', 'm', :body)"), {"body": str(len(tries))})
        tries.append(sqlstate)
        if len(tries) < 3:
            raise refused(sqlstate)
        return len(tries)

    assert await calls.write(body) == 3
    assert await calls.read(lambda c: list(c.execute(text("SELECT body FROM assertions")).scalars())) == ["2"]


async def test_a_race_that_is_lost_again_and_again_is_a_conflict(calls: Calls) -> None:
    """After a bounded number of tries."""
    tries = []

    def body(_connection: Connection) -> None:
        tries.append(1)
        raise refused("40001")

    with pytest.raises(errors.WriteConflict):
        await calls.write(body)
    assert len(tries) == ATTEMPTS


async def test_a_failed_statement_is_not_run_again(calls: Calls) -> None:
    """A statement of ours that the database refuses is a bug."""
    with pytest.raises(errors.Bug):
        await calls.read(lambda connection: connection.execute(text("SELECT nothing")))


async def test_a_writer_waits_for_another_process(path: Path) -> None:
    """A lock held for a moment delays a write, and does not fail it."""
    store = SqlDatastore(SqliteDialect(path, readers=1, busy_timeout=5.0))
    held = threading.Event()

    def hold() -> None:
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            held.set()
            time.sleep(0.05)
            other.execute("COMMIT")
        other.close()

    holding = threading.Thread(target=hold)
    holding.start()
    await asyncio.to_thread(held.wait)
    assert (await store.write("S", WRITE, by=ANNE, now=NOW)).revision == 1
    await asyncio.to_thread(holding.join)
    await store.close()


async def test_a_lock_that_is_never_free_is_unavailable(path: Path) -> None:
    """The writer gives up; readers do not care."""
    store = SqlDatastore(SqliteDialect(path, readers=1, busy_timeout=0.01))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(errors.Unavailable, match="the datastore is busy"):
        await store.write("S", WRITE, by=ANNE, now=NOW)
    assert await store.head_revision("S") == 0
    other.execute("ROLLBACK")
    assert (await store.write("S", WRITE, by=ANNE, now=NOW)).revision == 1
    other.close()
    await store.close()


@pytest.mark.postgres
async def test_a_commit_of_unknown_outcome_is_not_run_again(postgres_uri: str) -> None:
    """When the connection breaks at the commit, the caller is told that it may or may not be done."""
    calls = Calls(PostgresDialect(make_url(postgres_uri), readers=1, writers=1, poll_interval=1.0), lambda: None)
    tries = []

    def body(connection: Connection) -> None:
        tries.append(1)
        process = connection.execute(text("SELECT pg_backend_pid()")).scalar()
        with psycopg.connect(postgres_uri, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 2000)", [process])

    with pytest.raises(errors.Unavailable, match="may or may not be done"):
        await calls.write(body)
    assert tries == [1]
    assert await calls.write(lambda connection: connection.execute(text("SELECT 1")).scalar()) == 1
    await calls.close()


@pytest.mark.postgres
async def test_a_deadlock_is_resolved_by_running_one_side_again(postgres_uri: str) -> None:
    """Two transactions that lock two rows in opposite orders are both carried out."""
    calls = Calls(PostgresDialect(make_url(postgres_uri), readers=1, writers=2, poll_interval=1.0), lambda: None)
    with psycopg.connect(postgres_uri, autocommit=True) as setup:
        setup.execute("INSERT INTO store_revisions VALUES ('a', 0, 0), ('b', 0, 0)")
    both = threading.Barrier(2, timeout=5)
    first = {"ab": True, "ba": True}

    def body(connection: Connection, order: str) -> None:
        for place, store in enumerate(order):
            connection.execute(text(f"UPDATE store_revisions SET revision = revision + 1 WHERE store_id = '{store}'"))
            if place == 0 and first.pop(order, False):
                both.wait()

    await asyncio.gather(calls.write(body, "ab"), calls.write(body, "ba"))
    counted = await calls.read(lambda c: c.execute(text("SELECT revision FROM store_revisions")).scalars().all())
    assert counted == [2, 2]
    await calls.close()
