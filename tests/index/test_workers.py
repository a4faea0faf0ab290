"""Indexes of several workers: each knows at once what the others acknowledged, and asks for nothing otherwise."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from authz.call import Origin
from authz.clock import SystemClock
from authz.commands.tokens import TokenCodec
from authz.consistency import Consistency
from authz.index.registry import IndexRegistry
from authz.index.signal import SharedCounters
from authz.store.api import OnExisting, TupleWrite
from authz.store.sql import SqlDatastore
from authz.tuples import RelationshipTuple
from tests.support.budget import index_budget

pytestmark = pytest.mark.anyio

STORES = ["01M805S1Q0MRC4Y8FDWDVAK43Y", "01M805S1Q0MRC4Y8FDWDVAK43Z"]
TOKENS = TokenCodec(b"a key of the test")
FRESH = Consistency()


class Late:
    """A datastore whose own signal is still under way, as that of a server database is; counts questions for heads."""

    def __init__(self, datastore: SqlDatastore) -> None:
        self._datastore = datastore
        self.heads = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._datastore, name)

    lineage = 0

    def may_have_changed(self) -> bool:
        return False

    async def head_revision(self, store_id: str) -> int:
        self.heads += 1
        return await self._datastore.head_revision(store_id)


class Worker:
    """One worker's index, with its end of the signal."""

    def __init__(self, datastore: SqlDatastore, signal: SharedCounters) -> None:
        self.datastore = Late(datastore)
        self.indexes = IndexRegistry(cast("SqlDatastore", self.datastore), TOKENS.decode, signal, budget=index_budget())

    async def write(self, store: str, number: int) -> int:
        tuple_ = RelationshipTuple(f"doc:{number}", "viewer", "user:anne")
        write = TupleWrite(writes=[tuple_], on_duplicate=OnExisting.IGNORE)
        result = await self.datastore.write(store, write, by=Origin("test"), now=SystemClock().now())
        await self.indexes.applied(store, result)
        return int(result.revision)

    async def revision(self, store: str) -> int:
        """Of the view that a question is answered from, whether it is at hand or not."""
        return (self.indexes.current(store) or await self.indexes.view(store, FRESH)).revision


@contextmanager
def crew(datastore: SqlDatastore, count: int) -> Iterator[list[Worker]]:
    """Workers over one datastore."""
    descriptor = SharedCounters.create(count)
    ends = [SharedCounters(descriptor, number, count) for number in range(count)]
    os.close(descriptor)
    yield [Worker(datastore, end) for end in ends]
    for end in ends:
        end.close()


async def test_every_acknowledged_write_is_known_to_all(sqlite_datastore: SqlDatastore) -> None:
    """Whoever wrote, whoever answers, and in whatever order: never below the newest revision that was acknowledged."""
    chance = random.Random(7)
    with crew(sqlite_datastore, 3) as workers:
        newest = dict.fromkeys(STORES, 0)
        for turn in range(300):
            worker, store = chance.choice(workers), chance.choice(STORES)
            if chance.random() < 0.4:
                newest[store] = max(newest[store], await worker.write(store, turn))
            else:
                assert await worker.revision(store) >= newest[store]


async def test_nothing_is_asked_for_while_nothing_happens(sqlite_datastore: SqlDatastore) -> None:
    """One question for the head a worker and write of another; none for its own writes; none for other stores."""
    with crew(sqlite_datastore, 2) as (one, two):
        for worker in (one, two):
            for store in STORES:
                await worker.revision(store)
        before = one.datastore.heads, two.datastore.heads
        for turn in range(10):
            await one.write(STORES[0], turn)
            for _ in range(20):
                assert await one.revision(STORES[0]) == await two.revision(STORES[0]) == turn + 1
                assert await one.revision(STORES[1]) == await two.revision(STORES[1]) == 0
        assert (one.datastore.heads, two.datastore.heads) == (before[0], before[1] + 10)


async def test_readers_do_not_starve_while_others_write(sqlite_datastore: SqlDatastore) -> None:
    """A question needs what was acknowledged when it came, not what is written while it waits."""
    with crew(sqlite_datastore, 2) as (one, two):
        await two.revision(STORES[0])
        stop = asyncio.Event()

        async def write() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                await one.write(STORES[0], number)

        writing = asyncio.create_task(write())
        for _ in range(50):
            await asyncio.wait_for(two.revision(STORES[0]), 10)
        stop.set()
        await writing
        assert await two.revision(STORES[0]) == await one.revision(STORES[0])


async def test_a_write_that_changes_nothing_is_told_as_well(sqlite_datastore: SqlDatastore) -> None:
    """Its caller learns from it that a tuple is there, which another worker may have committed and not told yet."""
    with crew(sqlite_datastore, 3) as (one, two, three):
        assert await three.revision(STORES[0]) == 0
        tuple_ = RelationshipTuple("doc:1", "viewer", "user:anne")
        # Committed by the first, which has not come to acknowledge it.
        await one.datastore.write(STORES[0], TupleWrite(writes=[tuple_]), by=Origin("test"), now=SystemClock().now())
        revision = await two.write(STORES[0], 1)
        assert await three.revision(STORES[0]) == revision == 1
