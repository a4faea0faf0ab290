"""Heads and rows that somebody forges without the key, or with one that was replaced, are never made to look true."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from authz.audit.chain import NODE, extend, payload, sealed
from authz.audit.retention import Pruner
from authz.store.api import TupleWrite
from authz.store.trail import Head
from authz.tuples import RelationshipTuple
from tests.audit.conftest import BY
from tests.audit.support import START, STORE, Clock, Flaky, completed, eventually, key, keys, opened, ring, trailing

if TYPE_CHECKING:
    from tests.audit.conftest import Written

CHAIN = f"store/{STORE}"
NOT_LISTED = "DELETE FROM {} WHERE chain LIKE 'checkpoints/%'"


async def _write(uri: str, *key_ids: str) -> None:
    async with opened(uri, keys(*key_ids or ("k1",))) as store:
        write = TupleWrite(writes=[RelationshipTuple(f"document:{len(key_ids)}-more", "viewer", "user:eve")])
        await store.write(STORE, write, by=BY, now=START)


def _forget_checkpoints(written: Written) -> None:
    """Which would tell of what is older than a minute."""
    for table in ("audit_segments", "audit_chains"):
        written.database.run(NOT_LISTED.format(table))


def _problem_of(written: Written, chain: str, *key_ids: str) -> tuple[int, str]:
    problems = {each.chain: each.problem for each in written.verify(*key_ids).chains}
    problem = problems.get(chain)
    assert problem is not None, problems
    return problem.sequence, problem.why


def _cut(written: Written, chain: str, *, sequence: int, mac: bytes, base: int = 0, base_mac: bytes = b"") -> None:
    run = written.database.run
    run("DELETE FROM audit_segments WHERE chain = ? AND (last > ? OR last <= ?)", chain, sequence, base)
    run(
        "UPDATE audit_chains SET sequence = ?, mac = ?, base_sequence = ?, base_mac = ? WHERE chain = ?",
        *(sequence, mac, base, base_mac, chain),
    )


def _mac_at(written: Written, chain: str, last: int) -> bytes:
    ((body,),) = written.database.run("SELECT body FROM audit_segments WHERE chain = ? AND last = ?", chain, last)
    return bytes.fromhex(body[-67:-3].decode())


@pytest.mark.parametrize("key_id", ["another", "", "k9"])
@pytest.mark.parametrize("part", ["end", "beginning", "all"])
def test_a_head_under_a_key_that_nobody_knows(written: Written, key_id: str, part: str) -> None:
    """The service does not take over a head that it cannot check because its key is made up."""
    _forget_checkpoints(written)
    macs = {number: _mac_at(written, CHAIN, number) for number in (1, 2, 4)}
    if part == "end":
        _cut(written, CHAIN, sequence=2, mac=macs[2])
    elif part == "beginning":
        _cut(written, CHAIN, sequence=4, mac=macs[4], base=2, base_mac=macs[2])
    else:
        _cut(written, CHAIN, sequence=4, mac=macs[4], base=4, base_mac=macs[4])
    written.database.run("UPDATE audit_chains SET key_id = ? WHERE chain = ?", key_id, CHAIN)
    asyncio.run(_write(written.uri))
    place, why = _problem_of(written, CHAIN)
    assert place == {"end": 3, "beginning": 5, "all": 5}[part]
    assert "key" in why


def test_the_end_cut_off_with_a_key_that_was_replaced(written: Written) -> None:
    """Whoever has only an old key cannot seal where a chain ends, once it goes on under a new one."""
    asyncio.run(_write(written.uri, "k2", "k1"))
    asyncio.run(_write(written.uri, "k2", "k1", "k0"))
    _forget_checkpoints(written)
    assert all(each.problem is None for each in written.verify("k2", "k1", "k0").chains)
    rows = written.database.run("SELECT last FROM audit_segments WHERE chain = ? ORDER BY last", CHAIN)
    kept = rows[-2][0]
    mac = _mac_at(written, CHAIN, kept)
    _cut(written, CHAIN, sequence=kept, mac=mac)
    head = sealed(Head(CHAIN, kept, mac, 0, b"", "k1", b""), key("k1"))
    written.database.run("UPDATE audit_chains SET key_id = 'k1', seal = ? WHERE chain = ?", head.seal, CHAIN)
    place, why = _problem_of(written, CHAIN, "k2", "k1", "k0")
    assert (place, "sealed under the key `k1`" in why) == (kept, True)


def test_records_of_a_chain_without_a_name(written: Written) -> None:
    """What a query would show is verified, whatever its chain is called."""
    segment, head = extend("", None, [payload({"kind": "call", "time": START})], ring("attacker"))
    _insert(written, segment, head)
    assert not written.verify().is_whole


@pytest.mark.anyio
async def test_records_before_the_beginning_of_a_chain(written: Written) -> None:
    """Rows below what was removed with its time are no records of ours: a query would show them."""
    clock = Clock(START + timedelta(days=10))
    async with opened(written.uri) as store:
        assert await Pruner(store, keys(), clock, keep=timedelta(days=1)).prune() > 0
    assert written.verify().is_whole
    chain = written.database.chain(NODE)
    segment, _ = extend(chain, None, [payload({"kind": "call", "time": START})], ring("attacker"))
    _insert(written, segment, None)
    place, why = _problem_of(written, chain)
    assert (place, "before" in why) == (1, True)


def _insert(written: Written, segment: Any, head: Head | None) -> None:
    times = [int(moment.timestamp() * 1e6) for moment in (segment.started_at, segment.ended_at)]
    row = (segment.chain, segment.first, segment.last, *times, segment.body)
    written.database.run("INSERT INTO audit_segments VALUES (?, ?, ?, ?, ?, ?)", *row)
    if head is not None:
        written.database.run("INSERT INTO audit_chains VALUES (?, ?, ?, ?, ?, ?, ?)", *head)


@pytest.mark.parametrize("table", ["audit_segments", "audit_chains"])
@pytest.mark.parametrize("chain", [b"node/x", b"\xff", "checkpoints/\0", "zzz"])
def test_rows_of_odd_names(written: Written, table: str, chain: Any) -> None:
    """SQLite lets any column hold a value of any type: verification names what is odd, and goes on."""
    segment, head = extend("node/odd", None, [payload({"kind": "call", "time": START})], ring("attacker"))
    if table == "audit_segments":
        _insert(written, segment._replace(chain=chain), None)
    else:
        written.database.run("INSERT INTO audit_chains VALUES (?, ?, ?, ?, ?, ?, ?)", *head._replace(chain=chain))
    assert not written.verify().is_whole


@pytest.mark.anyio
async def test_a_cut_is_not_taken_over_with_an_answer_that_was_lost(written: Written) -> None:
    """A base that somebody moves while the outcome of a write is unknown is not sealed by the service."""
    async with opened(written.uri) as store:
        flaky = Flaky(store)
        async with trailing(flaky, Clock()) as trail:
            flaky.is_deaf = True
            trail.recorder.record(completed(1))
            before = flaky.appended
            await eventually(lambda: flaky.appended > before)
            run = written.database.run
            ((chain,),) = run("SELECT max(chain) FROM audit_chains WHERE chain LIKE 'node/%'")
            mac = _mac_at(written, chain, 1)
            run("UPDATE audit_chains SET base_sequence = 1, base_mac = ? WHERE chain = ?", mac, chain)
            run("DELETE FROM audit_segments WHERE chain = ? AND last = 1", chain)
            flaky.is_deaf = False
            await trail.recorder.flush()
    assert not written.verify().is_whole
