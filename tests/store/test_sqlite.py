"""SQLite is set up to be durable and quick, and its statements use their indexes."""

from __future__ import annotations

import itertools
import sqlite3
import threading
import time
import uuid
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url, text

from authz.store.api import TupleWrite, WriteResult
from authz.store.sql import columns, open_datastore, reading, sqlite
from authz.store.sql.changes import _after
from authz.store.sql.recording import Recorder
from authz.store.sql.rows import RowReader
from authz.store.sql.sqlite import SqliteDialect
from authz.store.sql.trail import Trail
from authz.store.sql.writing import Writer
from authz.tuples import RelationshipTuple
from tests.support.origins import ANNE
from tests.support.plans import plans

if TYPE_CHECKING:
    from collections.abc import Iterator


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def dialect(sqlite_uri: str) -> Iterator[SqliteDialect]:
    made = SqliteDialect(Path(str(make_url(sqlite_uri).database)), readers=1, busy_timeout=1.0)
    yield made
    made.reader.dispose()
    made.writer.dispose()


def test_commits_reach_the_disk(dialect: SqliteDialect) -> None:
    """Write-ahead log, with a flush at each commit."""
    for engine in (dialect.reader, dialect.writer):
        with engine.connect() as connection:
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
            assert connection.execute(text("PRAGMA synchronous")).scalar() == 2


def test_the_log_is_bounded_though_somebody_always_reads(
    dialect: SqliteDialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers that follow on each other without a gap keep SQLite from ever beginning its log anew."""
    monkeypatch.setattr(sqlite, "LOG_BYTES", 50_000)
    monkeypatch.setattr(sqlite, "_LOG_PATIENCE", 0.05)
    stop = threading.Event()
    readers = [threading.Thread(target=_read_on, args=(dialect, stop)) for _ in range(3)]
    for each in readers:
        each.start()
    largest = 0
    try:
        for number in range(100):
            with dialect.writer.connect() as connection:
                values = {"name": number, "value": b"x" * 20_000}
                connection.execute(text("INSERT INTO secrets VALUES (:name, :value)"), values)
                connection.commit()
            largest = max(largest, Path(f"{dialect.path}-wal").stat().st_size)
            time.sleep(0.01)  # the log is begun anew every so often, not after so many writes
    finally:
        stop.set()
        for each in readers:
            each.join()
    assert largest < 1_500_000  # more than 3,000,000 otherwise


def _read_on(dialect: SqliteDialect, stop: threading.Event) -> None:
    connection = dialect._connect()
    while not stop.is_set():
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM secrets").fetchall()
        time.sleep(0.005)
        connection.execute("COMMIT")
    connection.close()


steps = st.lists(st.sampled_from(["own", "own unheard", "own heard late", "other", "look"]), max_size=25)


@pytest.mark.anyio
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
async def test_own_writes_are_no_news(sqlite_uri: str, steps: list[str]) -> None:
    """A commit of anybody else always is, in whatever order they come; so is one that nobody was told of."""
    own, other = open_datastore(sqlite_uri), open_datastore(sqlite_uri)
    assert own.may_have_changed()
    numbers = itertools.count()
    late: list[WriteResult] = []
    is_news = False
    for step in [*steps, "look"]:
        if step == "look":
            assert own.may_have_changed() == is_news
            assert not own.may_have_changed()
            is_news = False
            while late:
                own.heard(late.pop())
            continue
        item = RelationshipTuple(f"doc:{next(numbers)}", "viewer", "user:anne")
        writer = other if step == "other" else own
        result = await writer.write(str(uuid.uuid4()), TupleWrite(writes=[item]), by=ANNE, now=NOW)
        if step == "own":
            own.heard(result)
        else:
            is_news = True
        if step == "own heard late":
            late.append(result)
    await own.close()
    await other.close()


def test_nobody_commits_between_the_count_and_the_write(dialect: SqliteDialect) -> None:
    """From the count before an own write on, others wait: their commit would pass for the own one, and go unnoticed."""
    signal = dialect.signal()
    with dialect.writer.connect() as connection, closing(sqlite3.connect(dialect.path, timeout=0)) as other:
        signal.place(connection)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    signal.close()


def _plan(dialect: SqliteDialect, statement: Any) -> str:
    compiled = str(statement.compile(dialect=dialect.reader.dialect))
    with dialect.reader.connect() as connection:
        marks = tuple("[]" for _ in range(compiled.count("?")))
        found = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", marks)
        return "\n".join(row[3] for row in found)


def test_statements_search_by_their_index(dialect: SqliteDialect) -> None:
    """None walks a table, however the planner is minded."""
    rows, writer = RowReader(dialect), Writer(dialect, Recorder(Trail(dialect), None))
    forward = "tuples_by_object (store_id=? AND object_type=? AND object_id=? AND relation=?"
    assert f"{forward})" in _plan(dialect, rows._forward.statement)
    assert f"{forward} AND tuple_user=? AND deleted_revision=?)" in _plan(dialect, writer._find)
    reverse = "tuples_by_user (store_id=? AND tuple_user=? AND object_type=? AND relation=?)"
    assert reverse in _plan(dialect, rows._reverse.statement)
    assert "tuples USING INTEGER PRIMARY KEY" in _plan(dialect, writer._bury)
    page = partial(columns.column_page, store_id="S", revision=0, after=0, size=10)
    counted = partial(reading.count_tuples, store_id="S", revision=0, at_most=10)
    place = "tuples_by_position (store_id=?"
    for plan in (_plan(dialect, columns._plain), plans(dialect.reader, page)[0], plans(dialect.reader, counted)[0]):
        assert place in plan
        assert "SCAN tuples" not in plan
    assert "changelog USING PRIMARY KEY (store_id=? AND revision>?)" in _plan(dialect, _after)
    reads = (rows._forward.statement, rows._reverse.statement, columns._plain, _after)
    for statement in (*reads, writer._find, writer._bury):
        plan = _plan(dialect, statement)
        assert "SCAN tuples" not in plan
        assert "SCAN changelog" not in plan
        assert "TEMP B-TREE" not in plan
