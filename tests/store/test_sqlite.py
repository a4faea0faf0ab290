"""SQLite is set up to be durable and quick, and its statements use their indexes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import make_url, text

from authz.store.sql import reading
from authz.store.sql.changes import _after
from authz.store.sql.reading import RowReader
from authz.store.sql.recording import Recorder
from authz.store.sql.sqlite import SqliteDialect
from authz.store.sql.trail import Trail
from authz.store.sql.writing import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    assert f"{forward})" in _plan(dialect, rows._forward)
    assert f"{forward} AND tuple_user=? AND deleted_revision=?)" in _plan(dialect, writer._find)
    reverse = "tuples_by_user (store_id=? AND tuple_user=? AND object_type=? AND relation=?)"
    assert reverse in _plan(dialect, rows._reverse)
    assert "tuples USING INTEGER PRIMARY KEY" in _plan(dialect, writer._bury)
    assert "tuples_by_position (store_id=? AND position>?)" in _plan(dialect, reading._page)
    assert "changelog USING PRIMARY KEY (store_id=? AND revision>?)" in _plan(dialect, _after)
    for statement in (rows._forward, rows._reverse, writer._find, writer._bury, reading._page, _after):
        plan = _plan(dialect, statement)
        assert "SCAN tuples" not in plan
        assert "SCAN changelog" not in plan
        assert "TEMP B-TREE" not in plan
