"""The trail and the directives are looked up by their indexes, however many there are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, make_url, text, update

from authz.store.directives import Directive
from authz.store.sql import directives, tables, trail
from authz.store.sql.postgresql import PostgresDialect
from authz.store.sql.recording import Recorder
from authz.store.sql.sqlite import SqliteDialect
from authz.store.sql.trail import Trail
from authz.store.trail import Segment, SegmentPosition
from tests.support.origins import ANNE
from tests.support.plans import plans
from tests.support.scribe import sealed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from authz.store.sql.dialect import Dialect

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CHAIN = "calls/one"
MIDDLE = NOW + timedelta(seconds=1000)
PLACE = SegmentPosition(MIDDLE, CHAIN, 1000)


@pytest.fixture
def dialect(datastore_uri: str) -> Iterator[Dialect]:
    made = _open(datastore_uri)
    yield made
    made.reader.dispose()
    made.writer.dispose()


def _open(uri: str) -> Dialect:
    url = make_url(uri)
    if url.drivername == "sqlite":
        return SqliteDialect(Path(str(url.database)), readers=1, busy_timeout=1.0)
    return PostgresDialect(url, readers=1, writers=1, poll_interval=1.0)


def _fill(dialect: Dialect) -> None:
    """Some thousand segments, a few of them long, and as many directives; then let the database count."""
    moments = [NOW + timedelta(seconds=number) for number in range(2000)]
    rows = [
        Segment(CHAIN, number, number, moment - timedelta(seconds=100 * (number % 50 == 0)), moment, b"x")._asdict()
        for number, moment in enumerate(moments, 1)
    ]
    orders = [
        Directive(f"o{number}", "capture", "{}", "", "anne", NOW, moment, None, number)._asdict() | {"ends_at": moment}
        for number, moment in enumerate(moments, 1)
    ]
    with dialect.writer.connect() as connection:
        connection.execute(insert(tables.segments), rows)
        connection.execute(insert(tables.directives), orders)
        connection.execute(update(tables.counters).values(value=2000))
        connection.execute(text("ANALYZE"))
        connection.commit()


def _is_walk(plan: str) -> bool:
    return any(word in plan for word in ("SCAN audit_", "SCAN directives", "Seq Scan", "TEMP B-TREE", "Sort"))


def test_reading_the_trail(dialect: Dialect) -> None:
    """Forwards, backwards, through a window of time, from any place: without a walk and without sorting."""
    _fill(dialect)
    newest = partial(trail.newest_segments, limit=10)
    reads = {
        "audit_chains_pkey": [partial(trail.chain_head, chain=CHAIN), partial(trail.chain_heads, after="", limit=10)],
        "audit_segments_pkey": [partial(trail.chain_segments, chain=CHAIN, after=3, limit=10)],
        "audit_segments_": [
            partial(trail.segments_after, position=PLACE, limit=10),
            partial(newest, since=NOW, until=None, before=PLACE),
            partial(newest, since=NOW, until=MIDDLE, before=PLACE),
            partial(newest, since=None, until=MIDDLE, before=None),
        ],
    }
    for index, calls in reads.items():
        for call in calls:
            for plan in plans(dialect.reader, call):
                assert index in _named(plan)
                assert not _is_walk(plan), plan
    _, late = plans(dialect.reader, partial(newest, since=None, until=MIDDLE, before=None))
    assert "audit_segments_long" in late


def test_extending_and_cutting_a_chain(dialect: Dialect) -> None:
    """One row is locked, the segments to remove are found by their place."""

    def work(connection: Connection) -> None:
        chains, head = Trail(dialect), None
        for _ in range(3):
            segment, head = sealed(CHAIN, head, [b"x\n"], [NOW])
            chains.append_segment(connection, segment, head)
        assert head is not None
        chains.cut_chain(connection, head._replace(base_sequence=2))

    for plan in plans(dialect.writer, work):
        assert not _is_walk(plan), plan


def test_directives(dialect: Dialect) -> None:
    """By version, by id, by their end."""

    _fill(dialect)

    def work(connection: Connection) -> None:
        recorder = Recorder(Trail(dialect), None)
        for name in "ab":
            order = Directive(name, "capture", "{}", "", "anne", NOW, NOW + timedelta(seconds=1))
            directives.add_directive(connection, recorder, order, ANNE)
        directives.lift_directive(connection, recorder, "a", NOW, ANNE)
        directives.directives_after(connection, 1000, 10)
        directives.forget_directives(connection, NOW, 10)

    for plan in plans(dialect.writer, work):
        assert not _is_walk(plan), plan


def _named(plan: str) -> str:
    """The plan with SQLite's names of the indexes of primary keys said as PostgreSQL does."""
    for table in ("audit_chains", "audit_segments"):
        plan = plan.replace(f"sqlite_autoindex_{table}_1", f"{table}_pkey")
    return plan
