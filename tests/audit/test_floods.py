"""Refusals that come in floods are summed, and nothing is lost in number."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from authz.audit.cef import cef_lines
from authz.audit.chain import NODE
from authz.audit.floods import MAX_SOURCES, SINGLE, Floods
from authz.audit.ocsf import ocsf_event
from authz.audit.redaction import Redaction
from authz.call import ANONYMOUS, Completed
from authz.store.sql import SqlDatastore
from tests.audit.support import Clock, Flaky, completed, eventually, keys, records, trailing

pytestmark = pytest.mark.anyio


def _refused(number: int = 1, *, peer: str = "10.0.0.9", code: str = "UNAUTHENTICATED", **more: Any) -> Completed:
    given = {"reason": "bearer_token_missing", "keys": (), "principal": ANONYMOUS} | more
    return completed(number, code=code, peer=peer, **given)


def _total(found: list[dict[str, Any]]) -> int:
    return sum(each.get("count", 1) for each in found if each["kind"] == "call")


async def test_a_flood_of_refusals_becomes_one_record(sqlite_datastore: SqlDatastore) -> None:
    """The first of a second are recorded one by one, the others as one with their number."""
    async with trailing(sqlite_datastore, Clock()) as trail:
        for number in range(1000):
            trail.recorder.record(_refused(number))
        assert trail.recorder.statistics().summed == 1000 - SINGLE
    found = [each for each in await records(sqlite_datastore, NODE) if each["kind"] == "call"]
    assert len(found) == SINGLE + 1
    assert _total(found) == 1000
    summed = found[-1]
    assert summed["count"] == 1000 - SINGLE
    assert summed["reason"] == "bearer_token_missing"
    assert summed["request_bytes"] == 100 * (1000 - SINGLE)


async def test_sums_are_written_after_their_second(sqlite_datastore: SqlDatastore) -> None:
    """A flood that goes on is told of while it goes on."""
    async with trailing(sqlite_datastore, Clock()) as trail:
        for number in range(SINGLE + 5):
            trail.recorder.record(_refused(number))
        await eventually(lambda: trail.recorder.statistics().written >= 1 + SINGLE + 1)
        assert _total(await records(sqlite_datastore, NODE)) == SINGLE + 5


async def test_other_calls_are_never_summed(sqlite_datastore: SqlDatastore) -> None:
    """Answers and refusals of other kinds have a record each."""
    async with trailing(sqlite_datastore, Clock()) as trail:
        for number in range(50):
            trail.recorder.record(completed(number))
            trail.recorder.record(_refused(number, code="PERMISSION_DENIED", reason="forbidden"))
    found = [each for each in await records(sqlite_datastore, NODE) if each["kind"] == "call"]
    assert len(found) == 100


def test_sources_are_counted_apart_and_bounded() -> None:
    """One source does not hide another; a million addresses do not fill the memory."""
    clock = Clock()
    floods = Floods(clock.monotonic)
    single = sum(floods.is_single(_refused(peer=f"10.{n % 7}.0.1"), is_full=False) for n in range(7 * 20))
    assert single == 7 * SINGLE
    for number in range(5000):
        floods.is_single(_refused(peer=f"peer-{number}"), is_full=True)
    assert len(floods) <= MAX_SOURCES + 1
    payloads = floods.take(Redaction((), keys()))
    assert len(floods) == 0
    told = [orjson.loads(b"{%b}" % each.members) for each in payloads]
    (others,) = [each for each in told if each.get("sources") == "many"]
    assert not {"peer", "principal", "request_id"} & others.keys()
    record = {"chain": "node/x", "seq": 1} | others
    assert orjson.dumps(ocsf_event(record))
    assert "CEF:0" in next(iter(cef_lines(record)))
    assert sum(each["count"] for each in told) == 7 * 20 - single + 5000


def test_a_new_second_begins_anew() -> None:
    """After the window refusals are recorded one by one again."""
    clock = Clock()
    floods = Floods(clock.monotonic)
    assert sum(floods.is_single(_refused(), is_full=False) for _ in range(100)) == SINGLE
    clock.move(1.1)
    assert sum(floods.is_single(_refused(), is_full=False) for _ in range(100)) == SINGLE


async def test_refusals_while_nothing_can_be_written_do_not_pile_up(sqlite_datastore: SqlDatastore) -> None:
    """A full queue grows no further by calls that are refused, of whatever kind; their number is kept."""
    flaky = Flaky(sqlite_datastore)
    async with trailing(flaky, Clock(), queue=5) as trail:
        flaky.is_down = True
        for number in range(5):
            trail.recorder.record(completed(number))
        for number in range(500):
            trail.recorder.record(_refused(number, code="UNAVAILABLE", reason="unavailable"))
            trail.recorder.record(_refused(number, code="INVALID_ARGUMENT", reason="validation_error"))
        assert trail.recorder.statistics().queued == 5
        flaky.is_down = False
    assert _total(await records(flaky, NODE)) == 1005
