"""A stream of objects holds little for a reader that is slow, and nothing for one that is gone."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from authz.call import Call
from authz.commands import list_objects as streaming
from authz.commands.list_objects import ListObjectsQuery, ObjectStream, stream_objects
from authz.errors import Cancelled
from authz.index.memory import TupleIndex
from authz.store.api import Datastore
from tests.commands.support import new_store, services_over
from tests.support.models import model, tuples

pytestmark = pytest.mark.anyio

OWNED = model("""
model
  schema 1.1
type user
type doc
  relations
    define viewer: [user]
""")
COUNT = 3_000


@pytest.fixture
def index() -> TupleIndex:
    """A user with many documents."""
    found = TupleIndex(1)
    found.load(tuples(*(f"doc:{number}#viewer@user:a" for number in range(COUNT))))
    return found


@pytest.fixture(autouse=True)
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few chunks may wait, and not for long."""
    monkeypatch.setattr(streaming, "MAX_WAITING", 4)
    monkeypatch.setattr(streaming, "PATIENCE", 0.3)
    monkeypatch.setattr(streaming, "_BETWEEN_LOOKS", 0.02)


async def opened(datastore: Datastore, index: TupleIndex, call: Call | None = None) -> ObjectStream:
    services = services_over(datastore)
    query = ListObjectsQuery("STORE", "", "doc", "viewer", "user:a")
    return ObjectStream(services, call or Call(), query, OWNED, index)


async def settled(index: TupleIndex) -> bool:
    """Whether the walk has ended, within seconds."""
    for _ in range(200):
        if not index._snapshots:
            return True
        await asyncio.sleep(0.02)
    return False


async def test_a_slow_reader_gets_everything(sqlite_datastore: Datastore, index: TupleIndex) -> None:
    """The walk waits as long as something is read now and then, and hardly anything waits for the reader."""
    stream = await opened(sqlite_datastore, index)
    found = []
    async for name in stream:
        found.append(name)
        if len(found) % 200 == 0:
            await asyncio.sleep(0.03)
        assert stream._arrived.qsize() <= 6
    assert len(set(found)) == len(found) == COUNT
    assert stream.truncated == ""


async def test_a_reader_that_stops_ends_the_walk(sqlite_datastore: Datastore, index: TupleIndex) -> None:
    """What was found until then is given, and the list says that it was cut short."""
    stream = await opened(sqlite_datastore, index)
    assert await settled(index)
    found = [name async for name in stream]
    assert 0 < len(found) < COUNT
    assert stream.truncated == "deadline"


async def test_a_reader_that_leaves_ends_the_walk(
    sqlite_datastore: Datastore, index: TupleIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, whether it closes the stream or its call is cancelled; no thread is left waiting."""
    monkeypatch.setattr(streaming, "PATIENCE", 60.0)
    began = time.monotonic()
    stream = await opened(sqlite_datastore, index)
    reading = aiter(stream)
    await anext(reading)
    await reading.aclose()  # type: ignore[attr-defined]
    assert await settled(index)
    call = Call()
    stream = await opened(sqlite_datastore, index, call)
    await asyncio.sleep(0.1)
    call.cancelled = True
    assert await settled(index)
    with pytest.raises(Cancelled):
        [name async for name in stream]
    assert time.monotonic() - began < 30
    assert threading.active_count() < 100


async def test_streams_begin_with_the_view_that_was_chosen(sqlite_datastore: Datastore) -> None:
    """An empty store streams nothing, and ends."""
    services = services_over(sqlite_datastore)
    store = await new_store(services)
    services.models.add(store, OWNED)
    stream = await stream_objects(services, Call(), ListObjectsQuery(store, "MODEL", "doc", "viewer", "user:a"))
    assert [name async for name in stream] == []
