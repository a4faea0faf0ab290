"""Every call is recorded once; nothing is dropped, whatever sinks do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import structlog

from authz.audit.captures import Captures
from authz.audit.chain import NODE, Payload
from authz.audit.recorder import Policy, Recorder
from authz.audit.redaction import Redaction
from authz.audit.sinks.sink import SinkProblem
from authz.audit.verify import verify_trail
from authz.call import Principal
from authz.clock import SystemClock
from authz.errors import Unavailable
from authz.store.sql import SqlDatastore
from authz.tuples import TupleKey
from tests.audit.support import CHECK, STORE, Clock, Flaky, completed, eventually, keys, records, ring, trailing

pytestmark = pytest.mark.anyio


@pytest.fixture
async def flaky(sqlite_datastore: SqlDatastore) -> Flaky:
    """A datastore that can be made to fail."""
    return Flaky(sqlite_datastore)


async def _calls(store: Any) -> list[dict[str, Any]]:
    return [each for each in await records(store, NODE) if each["kind"] == "call"]


async def test_a_check_says_who_asked_what_and_what_was_decided(sqlite_datastore: SqlDatastore) -> None:
    """All that an auditor asks for is in the record, and no more."""
    async with trailing(sqlite_datastore, Clock()) as trail:
        trail.recorder.record(completed(1, allowed=False))
        await trail.recorder.durable()
        (record,) = await _calls(sqlite_datastore)
    assert record.pop("mac")
    assert record.pop("chain").startswith(NODE)
    assert record == {
        "seq": 2,
        "key": "k1",
        "kind": "call",
        "time": "2026-05-01T12:00:00.123456Z",
        "request_id": "request-1",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "principal": "idp/alice",
        "authentication": "token",
        "peer": "10.0.0.1",
        "call": CHECK,
        "scope": "check",
        "store": STORE,
        "model": "01J9ZZZZZZZZZZZZZZZZZZZZZM",
        "object": "document:1",
        "relation": "viewer",
        "user": "user:anne",
        "decision": "denied",
        "code": "OK",
        "revision": 7,
        "latency": 512,
        "request_bytes": 100,
        "response_bytes": 2,
        "user_agent": "test/1",
    }


async def test_a_batch_says_each_item(sqlite_datastore: SqlDatastore) -> None:
    """Each item of a batch has its decision; one that failed says so."""
    asked = tuple(TupleKey(f"document:{number}", "viewer", "user:anne") for number in range(3))
    async with trailing(sqlite_datastore, Clock()) as trail:
        trail.recorder.record(completed(keys=asked, decisions=(True, False, None)))
        await trail.recorder.durable()
        (record,) = await _calls(sqlite_datastore)
    assert [item["decision"] for item in record["items"]] == ["allowed", "denied", "failed"]
    assert [item["object"] for item in record["items"]] == ["document:0", "document:1", "document:2"]
    assert "decision" not in record


async def test_a_refusal_says_why(sqlite_datastore: SqlDatastore) -> None:
    """A call that was refused before it named anything still has a record."""
    refused = completed(code="PERMISSION_DENIED", reason="forbidden", store_id="", model_id="", keys=(), revision=None)
    async with trailing(sqlite_datastore, Clock()) as trail:
        trail.recorder.record(refused)
        await trail.recorder.durable()
        (record,) = await _calls(sqlite_datastore)
    assert (record["code"], record["reason"]) == ("PERMISSION_DENIED", "forbidden")
    assert record.keys().isdisjoint({"store", "model", "object", "decision", "revision"})


async def test_texts_are_bounded_and_odd_ones_recorded(sqlite_datastore: SqlDatastore) -> None:
    """No text that a caller gives can fill the trail, break a line, or keep its record out."""
    odd = [
        completed(1, user_agent="x" * 100_000, principal=Principal("y" * 100_000)),
        completed(2, keys=(TupleKey("a:\ud800", "b\n\x00", 'u:"}'),)),
        completed(3, results=2**70),
    ]
    async with trailing(sqlite_datastore, Clock()) as trail:
        for each in odd:
            trail.recorder.record(each)
        await trail.recorder.durable()
        found = await _calls(sqlite_datastore)
        assert (await verify_trail(sqlite_datastore, ring())).is_whole
    assert len(found) == 3
    assert len(found[0]["user_agent"]) == 512
    assert len(found[0]["principal"]) == 512
    assert found[1]["object"] == "a:?"
    assert found[1]["relation"] == "b\n\x00"


async def test_records_are_written_within_the_flush_interval(sqlite_datastore: SqlDatastore) -> None:
    """A record waits no longer than the interval and one write, without anybody asking."""
    async with trailing(sqlite_datastore, SystemClock(), flush_interval=0.05) as trail:
        trail.recorder.record(completed())
        assert trail.recorder.statistics().queued == 1
        await eventually(lambda: trail.recorder.statistics().queued == 0, 1)
        assert len(await _calls(sqlite_datastore)) == 1


async def test_records_that_trickle_in_share_writes() -> None:
    """What comes while others are written waits for its own interval: calls without end are no commits without end."""
    taken: list[int] = []

    class Slow(_Odd):
        async def write(self, payloads: Sequence[Payload]) -> None:
            taken.append(len(payloads))
            await asyncio.sleep(0.002)

    clock = SystemClock()
    recorder = Recorder([Slow()], Policy(flush_interval=0.05), Redaction((), keys()), Captures(clock), clock)
    recorder.start()
    for number in range(200):
        recorder.record(completed(number))
        await asyncio.sleep(0.001)
    assert await recorder.close(1) == 0
    assert sum(taken) == 200
    assert len(taken) < 12


async def test_many_records_go_in_few_segments(flaky: Flaky) -> None:
    """Calls at the same time share one write, and each waits for its own record only."""
    async with trailing(flaky, Clock()) as trail:
        before = flaky.appended

        async def call(number: int) -> None:
            trail.recorder.record(completed(number))
            await trail.recorder.durable()

        await asyncio.gather(*(call(number) for number in range(200)))
        assert flaky.appended - before <= 3
    assert len(await _calls(flaky)) == 200


async def test_a_sink_that_fails_makes_calls_refused(flaky: Flaky) -> None:
    """Under `refuse`: calls are refused once the sink has failed for the grace; the records come when it is back."""
    clock = Clock()
    async with trailing(flaky, clock, failure_grace=0.05) as trail:
        flaky.is_down = True
        trail.recorder.record(completed(1))
        assert trail.recorder.admit() is None
        await eventually(lambda: trail.recorder.statistics().failures > 0)
        clock.move(1)
        await eventually(lambda: not trail.recorder.is_healthy)
        with pytest.raises(Unavailable, match="audit"):
            trail.recorder.admit()
        with pytest.raises(Unavailable, match="audit"):
            await trail.recorder.durable()
        flaky.is_down = False
        await eventually(lambda: trail.recorder.is_healthy)
        assert trail.recorder.admit() is None
        assert trail.recorder.statistics().refused == 1
    assert [each["request_id"] for each in await _calls(flaky)] == ["request-1"]
    assert (await verify_trail(flaky, ring())).is_whole


async def test_a_full_queue_refuses_and_takes_what_was_admitted(flaky: Flaky) -> None:
    """The bound is for admission: the record of a call that was admitted before is taken even then."""
    async with trailing(flaky, Clock(), queue=5, failure_grace=0.05) as trail:
        flaky.is_down = True
        for number in range(8):
            trail.recorder.record(completed(number))
        room = trail.recorder.admit()
        assert room is not None
        with pytest.raises(Unavailable):
            await room
        assert trail.recorder.statistics().refused == 1
        flaky.is_down = False
    assert len(await _calls(flaky)) == 8


async def test_a_full_queue_is_waited_for_while_it_is_written(flaky: Flaky) -> None:
    """Under `refuse` too: who asks for more than can be recorded is slowed down, not turned away."""
    async with trailing(flaky, Clock(), queue=5, failure_grace=5.0) as trail:
        flaky.is_down = True
        for number in range(5):
            trail.recorder.record(completed(number))
        room = trail.recorder.admit()
        assert room is not None
        flaky.is_down = False
        await asyncio.wait_for(asyncio.ensure_future(room), 5)
        assert (trail.recorder.statistics().blocked, trail.recorder.statistics().refused) == (1, 0)


async def test_a_full_queue_blocks_until_there_is_room(flaky: Flaky) -> None:
    """Under `block`: calls wait, and go on when the sink is back; who gives up leaves nothing behind."""
    async with trailing(flaky, Clock(), queue=5, on_failure="block") as trail:
        flaky.is_down = True
        for number in range(5):
            trail.recorder.record(completed(number))
        room = trail.recorder.admit()
        assert room is not None
        waiting = asyncio.ensure_future(room)
        impatient = trail.recorder.admit()
        assert impatient is not None
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.ensure_future(impatient), 0.02)
        assert not waiting.done()
        flaky.is_down = False
        await asyncio.wait_for(waiting, 5)
        assert trail.recorder.statistics().blocked == 2


async def test_sync_under_block_waits_for_the_sink(flaky: Flaky) -> None:
    """`durable` returns when the record is written, and not before."""
    clock = Clock()
    async with trailing(flaky, clock, failure_grace=0.01, on_failure="block") as trail:
        flaky.is_down = True
        trail.recorder.record(completed(1))
        waiting = asyncio.create_task(trail.recorder.durable())
        await eventually(lambda: trail.recorder.statistics().failures > 0)
        clock.move(1)
        await eventually(lambda: not trail.recorder.is_healthy)
        assert not waiting.done()
        flaky.is_down = False
        await asyncio.wait_for(waiting, 5)
        assert len(await _calls(flaky)) == 1


async def test_an_answer_that_was_lost_records_nothing_twice(flaky: Flaky) -> None:
    """When the connection breaks at the commit, the batch is recognised, also after the key has changed."""
    async with trailing(flaky, Clock()) as trail:
        flaky.is_deaf = True
        trail.recorder.record(completed(1))
        await eventually(lambda: trail.recorder.statistics().failures > 0)
        flaky.is_deaf = False
        await trail.recorder.durable()
    assert len(await _calls(flaky)) == 1
    assert (await verify_trail(flaky, ring())).is_whole


async def test_what_cannot_be_written_at_the_end_is_told(flaky: Flaky) -> None:
    """A shutdown ends within its bound, and says how many records are lost."""
    with structlog.testing.capture_logs() as logs:
        async with trailing(flaky, Clock()) as trail:
            flaky.is_down = True
            for number in range(3):
                trail.recorder.record(completed(number))
            assert await trail.close(within=0.05) == 4  # and the record of the stop
            assert trail.recorder.statistics().lost == 4
    assert "audit_records_lost" in [entry["event"] for entry in logs]
    assert (await verify_trail(flaky, ring())).is_whole


async def test_a_shutdown_writes_what_waits(sqlite_datastore: SqlDatastore) -> None:
    """Nothing is lost at an orderly end, and the chain says that it was one."""
    async with trailing(sqlite_datastore, Clock(), flush_interval=60.0) as trail:
        for number in range(50):
            trail.recorder.record(completed(number))
    assert len(await _calls(sqlite_datastore)) == 50
    assert (await records(sqlite_datastore, NODE))[-1]["note"] == "stop"


async def test_without_sinks_nothing_is_recorded(sqlite_datastore: SqlDatastore) -> None:
    """An operator may turn calls off; nobody then waits for a record."""
    async with trailing(sqlite_datastore, Clock(), sinks=()) as trail:
        trail.recorder.record(completed())
        await trail.recorder.durable()
        assert trail.recorder.admit() is None
    assert await records(sqlite_datastore) == []


class _Odd:
    """A sink that fails in a way that nobody foresaw."""

    name = "odd"
    outside = None

    def __init__(self) -> None:
        self.problems: list[Exception] = [ValueError("secret-token"), SinkProblem("no"), OSError(28, "no space left")]
        self.taken: list[Payload] = []

    async def write(self, payloads: Sequence[Payload]) -> None:
        """See `Sink`."""
        if self.problems:
            raise self.problems.pop()
        self.taken += payloads

    async def close(self) -> None:
        """See `Sink`."""


async def test_any_failure_is_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a sink raises, the records are written later, and no secret of a message is logged."""
    sink, clock = _Odd(), Clock()
    recorder = Recorder([sink], Policy(flush_interval=0.001), Redaction((), keys()), Captures(clock), clock)
    recorder.start()
    recorder.record(completed())
    await recorder.durable()
    assert len(sink.taken) == 1
    assert await recorder.close(1) == 0
    said = capsys.readouterr().out
    assert "no space left" in said
    assert "ValueError" in said
    assert "secret-token" not in said
