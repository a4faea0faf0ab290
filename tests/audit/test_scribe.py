"""Changes are in the trail exactly when they are in the datastore, and reach the other sinks afterwards."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import timedelta

import orjson
import pytest

from authz.audit.chain import Payload
from authz.audit.forwarder import PATIENCE, Forwarder
from authz.audit.payloads import MAX_VALUE_BYTES
from authz.audit.redaction import Redaction
from authz.audit.scribe import AuditScribe
from authz.audit.verify import verify_trail
from authz.errors import AuthzError, Unavailable
from authz.store.api import ModelRecord, StoreRecord, TupleWrite
from authz.store.sql import SqlDatastore, open_datastore
from authz.store.trail import Head
from authz.tuples import RelationshipTuple, TupleKey
from tests.audit.conftest import BY
from tests.audit.memory import MemoryTrail
from tests.audit.support import START, STORE, Clock, Flaky, entry, keys, opened, records, ring

pytestmark = pytest.mark.anyio
PLAIN = Redaction((), keys())
CHAIN = f"store/{STORE}"


async def test_every_change_is_sealed_with_before_and_after(datastore_uri: str) -> None:
    """Tuples, models, assertions and stores: who, when, and what was there before."""
    async with opened(datastore_uri) as store:
        await store.create_store(StoreRecord(STORE, "test", START, START), by=BY)
        await store.write(STORE, TupleWrite(writes=[_tuple(1)]), by=BY, now=START)
        await store.write(STORE, TupleWrite(deletes=[TupleKey(*_tuple(1)[:3])], writes=[_tuple(2)]), by=BY, now=START)
        await store.write_model(ModelRecord(STORE, "01J9ZZZZZZZZZZZZZZZZZZZZZM", "1.1", "{}", START), by=BY)
        await store.rename_store(STORE, "other", START, by=BY)
        await store.delete_store(STORE, START, by=BY)
        found = await records(store, CHAIN)
        assert (await verify_trail(store, ring())).is_whole
    assert [each["action"] for each in found] == [
        "store.create",
        "tuples.write",
        "tuples.write",
        "model.write",
        "store.rename",
        "store.delete",
    ]
    for each in found:
        assert each["principal"] == "idp/alice"
        assert each["request_id"] == "request-1"
        assert each["store"] == STORE
    changed = orjson.dumps(found[2]).decode()
    assert "document:1" in changed
    assert "document:2" in changed


async def test_a_change_that_fails_is_not_recorded(sqlite_uri: str) -> None:
    """A transaction that is rolled back takes its record with it."""
    async with opened(sqlite_uri) as store:
        await store.write(STORE, TupleWrite(writes=[_tuple(1)]), by=BY, now=START)
        with pytest.raises(AuthzError):
            await store.write(STORE, TupleWrite(writes=[_tuple(1)]), by=BY, now=START)
        assert len(await records(store, CHAIN)) == 1
        assert (await verify_trail(store, ring())).is_whole


async def test_writers_at_the_same_time_keep_the_chain_whole(sqlite_uri: str) -> None:
    """Two processes that write to one store take turns in its chain."""
    async with opened(sqlite_uri) as one, opened(sqlite_uri) as other:
        await asyncio.gather(
            *(
                (one, other)[number % 2].write(STORE, TupleWrite(writes=[_tuple(number)]), by=BY, now=START)
                for number in range(20)
            )
        )
        assert len(await records(one, CHAIN)) == 20
        report = await verify_trail(one, ring())
        assert report.is_whole, report


def test_the_scribe_is_used_by_threads() -> None:
    """Threads that seal at the same time share nothing that could mix."""
    scribe = AuditScribe(keys(), PLAIN, is_copying=True)

    def seal(chain: str) -> None:
        head: Head | None = None
        for number in range(200):
            segment, head = scribe.seal(chain, head, [entry(number)])
            assert segment.first == number + 1

    threads = [threading.Thread(target=seal, args=(f"store/{name}",)) for name in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(scribe.take()) == 800


def test_huge_values_are_recorded_by_their_hash() -> None:
    """A change of a megabyte does not make a record of a megabyte."""
    scribe = AuditScribe(keys(), PLAIN)
    segment, _ = scribe.seal(CHAIN, None, [entry(after="x" * (MAX_VALUE_BYTES + 1), before="y")])
    record = orjson.loads(segment.body)
    assert record["before"] == "y"
    assert record["after"].keys() == {"bytes", "sha256"}
    assert len(segment.body) < 2000


def test_copies_that_nobody_takes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the copies cannot be taken for long, the number of those that are missing is known."""
    monkeypatch.setattr("authz.audit.scribe.MAX_PENDING", 10)
    scribe = AuditScribe(keys(), PLAIN, is_copying=True)
    head: Head | None = None
    for number in range(15):
        _, head = scribe.seal(CHAIN, head, [entry(number)])
    assert len(scribe.take()) == 10
    assert scribe.dropped == 5


async def test_copies_are_made_of_what_was_committed() -> None:
    """At least once for a committed change, never for one that was rolled back, whatever the order of events."""
    store, clock, told = MemoryTrail(), Clock(), list[Payload]()
    flaky = Flaky(store)
    scribe = AuditScribe(keys(), PLAIN, is_copying=True)
    forwarder = Forwarder(flaky, scribe, clock, tell=told.append)
    committed = scribe.seal(CHAIN, None, [entry(1), entry(2)])
    assert await forwarder.forward() == 1  # its transaction is still under way
    await store.append_segment(*committed)
    assert await forwarder.forward() == 0
    assert [orjson.loads(b"{%b}" % each.members)["of"] for each in told] == [[CHAIN, 1], [CHAIN, 2]]
    assert all(each.is_stored for each in told)
    scribe.seal(CHAIN, committed[1], [entry(3)])  # rolled back, and tried again with another outcome
    await store.append_segment(*scribe.seal(CHAIN, committed[1], [entry(4)]))
    assert await forwarder.forward() == 0
    assert len(told) == 3
    scribe.seal("store/other", None, [entry(5)])  # rolled back, and nothing came in its place
    assert await forwarder.forward() == 1
    clock.move(PATIENCE + 1)
    assert await forwarder.forward() == 0
    assert len(told) == 3


class _Deaf(MemoryTrail):
    """A store that does not answer for a while."""

    is_down = True

    async def chain_segments(self, chain: str, *, after: int, limit: int) -> Sequence[object]:  # type: ignore[override]
        """See `TrailStore`."""
        if self.is_down:
            raise Unavailable("the database does not answer")
        return await super().chain_segments(chain, after=after, limit=limit)


async def test_copies_wait_for_a_datastore_that_is_away() -> None:
    """Nothing is forgotten meanwhile."""
    store, told = _Deaf(), list[Payload]()
    scribe = AuditScribe(keys(), PLAIN, is_copying=True)
    forwarder = Forwarder(store, scribe, Clock(), tell=told.append)  # type: ignore[arg-type]
    head: Head | None = None
    for number in range(3):
        segment, head = scribe.seal(CHAIN, head, [entry(number)])
        await store.append_segment(segment, head)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await forwarder.forward()
    store.is_down = False
    await forwarder.forward()
    assert len(told) == 3


async def test_clocks_that_go_back_do_not_break_a_chain(sqlite_uri: str) -> None:
    """Records say the time that the clock showed; their order is that of the chain."""
    store: SqlDatastore
    async with opened(sqlite_uri) as store:
        for number, hours in enumerate((0, -5, 7, -9)):
            now = START + timedelta(hours=hours)
            await store.write(STORE, TupleWrite(writes=[_tuple(number)]), by=BY, now=now)
    store = open_datastore(sqlite_uri)
    try:
        assert (await verify_trail(store, ring())).is_whole
    finally:
        await store.close()


def _tuple(number: int) -> RelationshipTuple:
    return RelationshipTuple(f"document:{number}", "viewer", "user:anne")
