"""On PostgreSQL, a commit of another node is heard of soon, and silence is never taken for quiet."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
import pytest

from authz.store.api import TupleWrite
from authz.store.sql import listening, open_datastore
from authz.tuples import RelationshipTuple
from tests.support.origins import ANNE
from tests.support.proxy import Cut, proxied

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from authz.store.sql import SqlDatastore

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
_KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> {}"


@pytest.fixture
async def writer(postgres_uri: str) -> AsyncIterator[SqlDatastore]:
    store = open_datastore(postgres_uri)
    yield store
    await store.close()


async def put(datastore: SqlDatastore, number: int) -> None:
    item = RelationshipTuple(f"doc:{number}", "viewer", "user:anne")
    await datastore.write("S", TupleWrite(writes=[item]), by=ANNE, now=NOW)


async def until_changed(datastore: SqlDatastore, seconds: float) -> float:
    started = time.monotonic()
    while not datastore.may_have_changed():
        assert time.monotonic() - started < seconds
        await asyncio.sleep(0.001)
    return time.monotonic() - started


async def until_quiet(datastore: SqlDatastore) -> None:
    calm = started = time.monotonic()
    while time.monotonic() - calm < 0.1:
        assert time.monotonic() - started < 8
        if datastore.may_have_changed():
            calm = time.monotonic()
        await asyncio.sleep(0.005)


async def test_a_notification_comes_before_the_poll(postgres_uri: str, writer: SqlDatastore) -> None:
    """With a poll once a minute, a commit is still heard of at once."""
    reader = open_datastore(postgres_uri, poll_interval=60)
    await until_quiet(reader)
    for number in range(3):
        await put(writer, number)
        await until_changed(reader, 2)
        await until_quiet(reader)
    await reader.close()


async def test_a_notification_that_comes_while_another_is_sent(postgres_uri: str) -> None:
    """Two nodes that announce at once hear of each other, as at any other time."""
    with proxied(postgres_uri) as proxy, psycopg.connect(postgres_uri, autocommit=True) as other:
        reader = open_datastore(proxy.uri, poll_interval=60)
        await until_quiet(reader)
        is_sending, may_pass = threading.Event(), threading.Event()

        def hold(chunk: bytes) -> None:
            if b"NOTIFY" in chunk:
                is_sending.set()
                may_pass.wait(5)

        proxy.watch = hold
        await put(reader, 1)
        assert await asyncio.to_thread(is_sending.wait, 5)
        assert reader.may_have_changed()  # its own commit
        other.execute("NOTIFY authz_changes")
        await asyncio.sleep(0.05)
        may_pass.set()
        await until_changed(reader, 2)
        await reader.close()


async def test_a_lost_notification_is_made_up_for_by_the_poll(postgres_uri: str) -> None:
    """A commit that nobody announces, as of a node that dies before it does."""
    reader = open_datastore(postgres_uri, poll_interval=0.05)
    await until_quiet(reader)
    with psycopg.connect(postgres_uri, autocommit=True) as other:
        other.execute("INSERT INTO store_revisions VALUES ('S', 1, 0)")
    await until_changed(reader, 2)
    await until_quiet(reader)
    await reader.close()


async def test_commits_are_announced_together(postgres_uri: str, writer: SqlDatastore) -> None:
    """A burst of writes makes few notifications, and the last of them is announced, too."""
    with psycopg.connect(postgres_uri, autocommit=True) as other:
        other.execute("LISTEN authz_changes")
        started = time.monotonic()
        for number in range(100):
            await put(writer, number)
        took = time.monotonic() - started
        heard = [None for _ in other.notifies(timeout=0.3)]
    assert 1 <= len(heard) <= 2 + took / 0.02


async def test_the_last_commits_of_a_node_are_announced(postgres_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it has announced others just before it ends."""
    monkeypatch.setattr(listening, "NOTIFY_INTERVAL", 60.0)
    with psycopg.connect(postgres_uri, autocommit=True) as other:
        other.execute("LISTEN authz_changes")
        writer = open_datastore(postgres_uri)
        for number in range(2):
            await put(writer, number)
            await asyncio.sleep(0.1)
        assert len(list(other.notifies(timeout=0.1))) == 1
        await writer.close()
        assert len(list(other.notifies(timeout=0.1))) == 1


async def test_what_a_broken_connection_did_not_announce_is_announced_by_the_next(postgres_uri: str) -> None:
    """Nobody has to wait for a poll for it."""
    with proxied(postgres_uri) as proxy, psycopg.connect(postgres_uri, autocommit=True) as other:
        other.execute("LISTEN authz_changes")
        writer = open_datastore(proxy.uri)
        cuts = [Cut.BEFORE]
        proxy.cut = lambda chunk: cuts.pop() if b"NOTIFY" in chunk and cuts else None
        await put(writer, 1)
        heard = await asyncio.to_thread(lambda: list(other.notifies(timeout=3, stop_after=1)))
        assert heard
        assert not cuts
        await writer.close()


async def test_silence_is_not_taken_for_quiet(postgres_uri: str, writer: SqlDatastore) -> None:
    """While the listener has no connection, everything may have changed; then it listens again."""
    reader = open_datastore(postgres_uri, poll_interval=60)
    await until_quiet(reader)
    await put(writer, 1)
    with psycopg.connect(postgres_uri, autocommit=True) as other:
        other.execute(_KILL.format("pg_backend_pid()"))
    await until_changed(reader, 2)
    assert await reader.head_revision("S") == 1  # pooled connections were cut as well
    await until_quiet(reader)
    await put(writer, 2)
    await until_changed(reader, 2)
    assert await reader.head_revision("S") == 2
    await reader.close()
