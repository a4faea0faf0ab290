"""Records are found by what they say, newest first, whatever clocks did."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.audit.chain import extend
from authz.audit.payloads import call_payload, change_payload
from authz.audit.query import follow_records, query_records
from authz.audit.redaction import Redaction
from authz.call import Principal
from authz.store.sql import SqlDatastore
from authz.store.trail import RecordFilter, TrailStore
from authz.tuples import TupleKey
from tests.audit.support import START, STORE, Clock, completed, entry, keys, ring, trailing

pytestmark = pytest.mark.anyio
PLAIN = Redaction((), keys())


async def _write(store: TrailStore, chain: str, *payloads: object) -> None:
    head = await store.chain_head(chain)
    await store.append_segment(*extend(chain, head, list(payloads), ring()))  # type: ignore[arg-type]


def _call(number: int, seconds: float = 0, **more: object) -> object:
    return call_payload(completed(number, time=START + timedelta(seconds=seconds), **more), PLAIN)  # type: ignore[arg-type]


async def _ids(store: TrailStore, limit: int = 100, **wanted: object) -> list[str]:
    found = query_records(store, RecordFilter(**wanted), limit=limit)  # type: ignore[arg-type]
    return [orjson.loads(line)["request_id"].removeprefix("request-") async for line in found]


@pytest.fixture
async def filled(datastore: SqlDatastore) -> SqlDatastore:
    """Calls of two nodes at overlapping times, and a change."""
    bob = Principal("idp/bob")
    await _write(datastore, "node/a", _call(1, 1), _call(3, 3, allowed=False), _call(5, 5, principal=bob))
    await _write(datastore, "node/b", _call(2, 2), _call(4, 4, method="/authz.v1.AccessService/Grant"))
    asked = (TupleKey("document:90", "viewer", "user:anne"), TupleKey("document:91", "editor", "user:bob"))
    await _write(datastore, "node/b", _call(6, 6, keys=asked, decisions=(True, False)))
    refused = _call(7, 7, code="PERMISSION_DENIED", reason="forbidden", keys=(), store_id="")
    await _write(datastore, "node/a", refused)
    await _write(datastore, f"store/{STORE}", change_payload(entry(8, time=START + timedelta(seconds=8)), PLAIN))
    return datastore


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, "87654321"),
        ({"principal": "idp/bob"}, "5"),
        ({"principal": "idp/bo"}, ""),
        ({"store_id": STORE}, "8654321"),
        ({"object": "document:3"}, "3"),
        ({"object": "document:8"}, "8"),
        ({"object": "document:9"}, ""),
        ({"object": "document:91"}, "6"),
        ({"decision": "denied"}, "63"),
        ({"decision": "denied", "object": "document:90"}, ""),
        ({"decision": "denied", "object": "document:91", "user": "user:bob", "relation": "editor"}, "6"),
        ({"user": "user:anne", "kind": "change"}, "8"),
        ({"relation": "editor"}, "6"),
        ({"call": "Grant"}, "4"),
        ({"call": "/authz.v1.AccessService/Grant"}, "4"),
        ({"call": "ant"}, ""),
        ({"kind": "change"}, "8"),
        ({"reason": "forbidden"}, "7"),
        ({"request_id": "request-2"}, "2"),
        ({"since": START + timedelta(seconds=6)}, "876"),
        ({"until": START + timedelta(seconds=2)}, "21"),
        ({"since": START + timedelta(seconds=3), "until": START + timedelta(seconds=4)}, "43"),
        ({"since": START + timedelta(days=1)}, ""),
    ],
)
async def test_filters(filled: SqlDatastore, wanted: dict[str, object], found: str) -> None:
    """Each member of a filter says what it says, exactly, and all must match; newest first by the time of the call."""
    assert "".join(await _ids(filled, **wanted)) == found


async def test_a_limit_gives_the_newest(filled: SqlDatastore) -> None:
    """The first `limit` of all that match."""
    assert await _ids(filled, limit=3) == ["8", "7", "6"]
    assert await _ids(filled, limit=1, decision="allowed") == ["6"]


async def test_lines_are_those_that_were_sealed(filled: SqlDatastore) -> None:
    """A record can be checked by whoever gets it: not a byte is other."""
    (segment,) = await filled.chain_segments("node/b", after=2, limit=1)
    found = [line async for line in query_records(filled, RecordFilter(object="document:91"), limit=5)]
    assert found == [segment.body[:-1]]


@settings(max_examples=30, deadline=None)
@given(times=st.lists(st.lists(st.integers(-5000, 5000), min_size=1, max_size=5), min_size=1, max_size=8))
def test_any_order_of_times(times: list[list[int]]) -> None:
    """Clocks that differ, stand still or go back change nothing: newest first by what the records say."""
    asyncio.run(_any_order(times))


async def _any_order(times: list[list[int]]) -> None:
    from tests.audit.memory import MemoryTrail

    store, number, expected = MemoryTrail(), 0, []
    for place, batch in enumerate(times):
        await _write(store, f"node/{place % 3}", *(_call(number + k, at) for k, at in enumerate(batch)))
        expected += [(at, number + k) for k, at in enumerate(batch)]
        number += len(batch)
    found = [int(each) for each in await _ids(store, limit=1000)]
    at = {which: when for when, which in expected}
    assert sorted(found) == sorted(at)
    assert [at[each] for each in found] == sorted(at.values(), reverse=True)
    since, until = START - timedelta(seconds=1000), START + timedelta(seconds=1000)
    within = [int(each) for each in await _ids(store, limit=1000, since=since, until=until)]
    assert sorted(within) == sorted(which for which, when in at.items() if -1000 <= when <= 1000)


async def test_those_to_come(filled: SqlDatastore) -> None:
    """Following gives each new record once, also from a chain that is new and a clock that is behind."""
    clock = Clock(START - timedelta(days=2))
    found: list[str] = []

    async def follow() -> None:
        async for line in follow_records(filled, RecordFilter(user="user:anne"), clock):
            found.append(orjson.loads(line)["request_id"])  # noqa: PERF401 - it never ends

    following = asyncio.create_task(follow())
    await asyncio.sleep(0.05)
    await _write(filled, "node/new", _call(100, -100_000))
    await _write(filled, "node/a", _call(101, 10), _call(102, -5))
    for _ in range(300):
        if len(found) == 3:
            break
        await asyncio.sleep(0.01)
    following.cancel()
    assert sorted(found) == ["request-100", "request-101", "request-102"]


async def test_damaged_lines_do_not_stop_a_query(sqlite_datastore: SqlDatastore) -> None:
    """What somebody has damaged is for verification to tell; the other records are still found."""
    await _write(sqlite_datastore, "node/a", _call(1), _call(2))
    segment, *_ = await sqlite_datastore.chain_segments("node/a", after=0, limit=1)
    junk = segment._replace(first=3, last=6, body=b'\n{"time":1}\n\xff{\n{"kind":"call"}\n')
    head = await sqlite_datastore.chain_head("node/a")
    assert head is not None
    await sqlite_datastore.append_segment(junk, head._replace(sequence=6))
    assert sorted(await _ids(sqlite_datastore)) == ["1", "2"]


async def test_filters_of_redacted_members(sqlite_datastore: SqlDatastore) -> None:
    """A query for a value that is recorded as a hash finds it."""
    async with trailing(sqlite_datastore, Clock(), redact=("user", "principal")) as trail:
        trail.recorder.record(completed(1))
        await trail.recorder.durable()
        wanted = RecordFilter(user="user:anne", principal="idp/alice")
        assert [line async for line in query_records(sqlite_datastore, wanted, limit=5)] == []
        hidden = trail.redaction.in_filter(wanted)
        assert len([line async for line in query_records(sqlite_datastore, hidden, limit=5)]) == 1
