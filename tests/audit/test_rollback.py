"""Going back to an earlier state of the trail is found by checkpoints, inside of the database or kept elsewhere."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog
from ulid import ULID

from authz.audit.chain import CHECKPOINTS, NODE, extend
from authz.audit.checkpoint import Checkpoint, UnknownSigner, checkpoints_in, read_checkpoint
from authz.audit.payloads import change_payload
from authz.audit.redaction import Redaction
from authz.audit.verify import Report, verify_trail
from authz.errors import Unavailable
from authz.store.api import TupleWrite
from authz.store.sql import open_datastore
from authz.tuples import RelationshipTuple
from tests.audit.conftest import BY, Written
from tests.audit.support import (
    START,
    STORE,
    Clock,
    Flaky,
    completed,
    entry,
    key,
    keys,
    lines,
    opened,
    records,
    ring,
    trailing,
)

CHAIN = f"store/{STORE}"
HEAD = "SELECT sequence, mac, base_sequence, base_mac, key_id, seal FROM audit_chains WHERE chain = ?"


def _roll_back(written: Written, chain: str, to: int, head: Sequence[Any]) -> None:
    run = written.database.run
    run("DELETE FROM audit_segments WHERE chain = ? AND last > ?", chain, to)
    run(
        "UPDATE audit_chains SET sequence=?, mac=?, base_sequence=?, base_mac=?, key_id=?, seal=? WHERE chain = ?",
        *head,
        chain,
    )


async def _write_more(uri: str, count: int = 2, *, is_linked: bool = True) -> None:
    clock, one_run = Clock(), ULID()
    async with opened(uri) as store, trailing(store, clock) as trail:
        for number in range(count):
            write = TupleWrite(writes=[RelationshipTuple(f"document:{one_run}-{number}", "viewer", "user:eve")])
            await store.write(STORE, write, by=BY, now=clock.now())
            trail.recorder.record(completed(number))
            if is_linked:
                await trail.recorder.durable()
                await trail.checkpointer.link()


def test_a_chain_rolled_back_with_its_true_head(written: Written) -> None:
    """A head that was true once does not hide that the chain went on."""
    (head,) = written.database.run(HEAD, CHAIN)
    asyncio.run(_write_more(written.uri))
    _roll_back(written, CHAIN, head[0], head)
    first = written.verify().first
    assert first is not None
    assert first[:2] == (CHAIN, head[0] + 1)
    assert "checkpoint" in first.why


def test_a_chain_rolled_back_and_written_anew(written: Written) -> None:
    """The service goes on where the chain seems to end; the old checkpoints tell that it had been elsewhere."""
    (head,) = written.database.run(HEAD, CHAIN)
    asyncio.run(_write_more(written.uri, 2))
    _roll_back(written, CHAIN, head[0], head)
    asyncio.run(_write_more(written.uri, 4, is_linked=False))
    first = written.verify().first
    assert first is not None
    assert first[:2] == (CHAIN, head[0] + 1)
    assert "checkpoint" in first.why


def test_a_head_edited_before_the_service_goes_on(written: Written) -> None:
    """The service does not make a forged head look true: what it found is sealed into the chain."""
    run = written.database.run
    ((last, body),) = run("SELECT last, body FROM audit_segments WHERE chain = ? ORDER BY last LIMIT 1", CHAIN)
    run("DELETE FROM audit_segments WHERE chain = ? AND last > ?", CHAIN, last)
    mac = bytes.fromhex(body[-67:-3].decode())
    run("UPDATE audit_chains SET sequence = ?, mac = ? WHERE chain = ?", last, mac, CHAIN)
    for table in ("audit_segments", "audit_chains"):  # which would tell too
        run(f"DELETE FROM {table} WHERE chain LIKE 'checkpoints/%'")
    asyncio.run(_write_more(written.uri))
    problems = {each.chain: each.problem for each in written.verify().chains}
    problem = problems[CHAIN]
    assert problem is not None
    assert problem.sequence == last + 1
    assert "tampered" in problem.why


def test_the_whole_database_rolled_back(written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Inside there is nothing to see; a checkpoint from the log, or from an export, tells."""
    structlog.reset_defaults()
    copy = tmp_path / "copy.db"
    shutil.copy(written.database.path, copy)
    structlog.configure(processors=[structlog.processors.JSONRenderer()])
    try:
        asyncio.run(_write_more(written.uri))
    finally:
        structlog.reset_defaults()
    log = capsys.readouterr().out.encode().splitlines()
    saved = list(checkpoints_in(log, ring()))
    assert len(saved) >= 3
    kept = asyncio.run(_lines_of(written.uri))
    shutil.copy(copy, written.database.path)
    assert written.verify().is_whole
    for outside in (saved, list(checkpoints_in(kept, ring()))):
        report = asyncio.run(_verify_with(written.uri, outside))
        assert {each.chain for each in report.chains if each.problem} >= {CHAIN}


async def _lines_of(uri: str) -> list[bytes]:
    store = open_datastore(uri)
    try:
        return await lines(store, CHECKPOINTS)
    finally:
        await store.close()


async def _verify_with(uri: str, outside: list[Checkpoint]) -> Report:
    store = open_datastore(uri)
    try:
        return await verify_trail(store, ring(), outside)
    finally:
        await store.close()


@pytest.mark.anyio
async def test_a_chain_that_goes_back_while_the_service_runs(written: Written) -> None:
    """The process remembers what it listed, tells at once, and seals what it saw."""
    clock = Clock()
    (head,) = written.database.run(HEAD, CHAIN)
    async with opened(written.uri) as store, trailing(store, clock) as trail:
        write = TupleWrite(writes=[RelationshipTuple("document:more", "viewer", "user:eve")])
        await store.write(STORE, write, by=BY, now=START)
        await trail.checkpointer.link()
        assert trail.checkpointer.problems == 0
        _roll_back(written, CHAIN, head[0], head)
        await trail.checkpointer.link()
        await trail.checkpointer.link()
        assert trail.checkpointer.problems == 1
        await trail.recorder.durable()
        notes = [each for each in await records(store, NODE) if each.get("note") == "broken"]
        assert [each["of"] for each in notes] == [CHAIN]


@pytest.mark.anyio
async def test_the_own_chain_rolled_back_while_the_service_runs(written: Written) -> None:
    """The recorder never continues a chain that ends elsewhere than it knows; no record is lost over it."""
    run = written.database.run
    async with opened(written.uri) as store, trailing(store, Clock()) as trail:
        chain = trail._sinks[0].writer.chain  # type: ignore[attr-defined]
        (head,) = run(HEAD, chain)
        trail.recorder.record(completed(1))
        await trail.recorder.durable()
        _roll_back(written, chain, head[0], head)
        trail.recorder.record(completed(2))
        await trail.recorder.durable()
        new = [each for each in await records(store, NODE) if each.get("of") == chain]
        assert [(each["note"], each["sequence"]) for each in new] == [("broken", 2)]
        asked = {each.get("request_id") for each in await records(store, new[0]["chain"])}
        assert "request-2" in asked
    assert not written.verify().is_whole


def test_a_checkpoint_is_checked_with_the_public_key_alone(written: Written) -> None:
    """An auditor needs no secret; a forged or changed checkpoint is none."""
    public = key().signing.public_key()
    (line, *_) = asyncio.run(_lines_of(written.uri))
    found = read_checkpoint(line, public)
    assert found is not None
    assert found.heads
    assert read_checkpoint(line, key("other").signing.public_key()) is None
    with pytest.raises(UnknownSigner):
        read_checkpoint(line, ring("other"))
    with pytest.raises(ValueError, match="line 1"):
        list(checkpoints_in([line.replace(b'"number":1', b'"number":9')], public))
    assert read_checkpoint(b'{"kind":"checkpoint","signature":""}', public) is None
    assert list(checkpoints_in([b"", b"\xff", b"{}", b'{"checkpoint":1}'], public)) == []


@pytest.mark.anyio
async def test_checkpoints_link_nodes_and_rest_when_nothing_moves(written: Written) -> None:
    """Each node lists the chains of others, its own sinks outside too; two idle nodes do not answer each other."""
    async with opened(written.uri) as store, trailing(store, Clock()) as one, trailing(store, Clock()) as other:
        await one.checkpointer.link()
        await other.checkpointer.link()
        await one.checkpointer.link()
        assert [await each.checkpointer.link() for each in (one, other, one, other)] == [0, 0, 0, 0]
        one.recorder.record(completed())
        await one.recorder.durable()
        assert await other.checkpointer.link() >= 1
        newest = (await records(store, other.checkpointer.writer.chain))[-1]
        chains = {chain for chain, _, _ in newest["heads"]}
        assert any(chain.startswith(NODE) for chain in chains)
        assert one.checkpointer.writer.chain in chains
    assert written.verify().is_whole


@pytest.mark.anyio
async def test_a_checkpoint_whose_answer_was_lost(written: Written) -> None:
    """Whether it was written shows at the next one; nobody is accused of tampering."""
    async with opened(written.uri) as store:
        flaky = Flaky(store)
        async with trailing(flaky, Clock()) as trail:
            for deed in ("is_deaf", "is_down", "is_deaf"):
                trail.recorder.record(completed())
                await trail.recorder.durable()
                setattr(flaky, deed, True)
                with pytest.raises(Unavailable):
                    await trail.checkpointer.link()
                setattr(flaky, deed, False)
            await trail.checkpointer.link()
            linking = asyncio.create_task(trail.checkpointer.link())
            await asyncio.sleep(0)
            linking.cancel()
        assert [each for each in await records(store) if each.get("note") == "broken"] == []
    report = written.verify()
    assert report.is_whole, report


@pytest.mark.anyio
async def test_checkpoints_of_many_chains_are_split(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """No record grows with the number of chains."""
    monkeypatch.setattr("authz.audit.checkpointer.MAX_HEADS", 2)
    async with opened(written.uri) as store, trailing(store, Clock(), source=keys()) as trail:
        found = await records(store, trail.checkpointer.writer.chain)
        assert len(found) >= 2
        assert all(len(each["heads"]) <= 2 for each in found)
        assert orjson.dumps(found[0]["heads"])


def test_a_record_that_quotes_a_checkpoint() -> None:
    """What callers put into a body or a tuple is no checkpoint, and does not keep a file from being read."""
    quoted = change_payload(entry(after={"kind": "checkpoint", "signature": "no"}), Redaction((), keys()))
    segment, _ = extend("file/1", None, [quoted], ring())
    assert list(checkpoints_in(segment.body.splitlines(), ring())) == []
    with pytest.raises(ValueError, match="line 1"):
        list(checkpoints_in([b'{"kind":"checkpoint","signature":"no"}'], ring()))
