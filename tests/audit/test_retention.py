"""Old records are removed so that the rest still verifies, and only by a holder of the key."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from authz.audit.chain import CHECKPOINTS, NODE
from authz.audit.query import all_heads
from authz.audit.retention import Pruner
from authz.audit.verify import verify_trail
from authz.store.sql import SqlDatastore
from authz.store.trail import Head, Segment
from tests.audit.conftest import Written
from tests.audit.support import STORE, Clock, Flaky, completed, entry, keys, opened, records, ring, trailing

pytestmark = pytest.mark.anyio
CHAIN = f"store/{STORE}"
DAY = 86_400.0


async def _age(store: SqlDatastore, clock: Clock, days: int) -> None:
    """A day of calls and changes after the other."""
    from authz.audit.chain import extend
    from authz.audit.payloads import change_payload
    from authz.audit.redaction import Redaction

    for day in range(days):
        clock.move(DAY)
        for chain in (CHAIN, "service"):
            head = await store.chain_head(chain)
            made = change_payload(entry(day, time=clock.now()), Redaction((), keys()))
            await store.append_segment(*extend(chain, head, [made], ring()))


async def test_what_is_old_goes_and_the_rest_verifies(datastore: SqlDatastore) -> None:
    """Chains of stores, of this process and of processes that ended are cut alike."""
    clock = Clock()
    async with trailing(datastore, clock) as ended:
        ended.recorder.record(completed(1, time=clock.now()))
    async with trailing(datastore, clock, retention=5) as trail:
        for _ in range(10):
            await _age(datastore, clock, 1)
            trail.recorder.record(completed(2, time=clock.now()))
            await trail.recorder.durable()
            await trail.checkpointer.link()
        assert await trail._pruner.prune() > 20
        assert await trail._pruner.prune() == 0
        oldest = clock.now() - timedelta(days=5, seconds=1)
        assert min(each["time"] for each in await records(datastore)) >= oldest.isoformat()[:19]
        report = await verify_trail(datastore, ring())
        assert report.is_whole, report
        # the chains go on, the own one too
        trail.recorder.record(completed(3, time=clock.now()))
        await trail.recorder.durable()
        await _age(datastore, clock, 1)
    heads = [head async for head in all_heads(datastore)]
    assert sum(head.base_sequence == head.sequence for head in heads) == 2  # those of the process that ended
    assert (await verify_trail(datastore, ring())).is_whole


async def test_another_process_may_cut_a_chain_that_is_written_to(sqlite_datastore: SqlDatastore) -> None:
    """The writer of a chain takes over the base that another node has set."""
    clock = Clock()
    async with trailing(sqlite_datastore, clock) as trail:
        trail.recorder.record(completed(1, time=clock.now()))
        await trail.recorder.durable()
        other = Pruner(sqlite_datastore, keys(), clock, keep=timedelta(days=1))
        clock.move(3 * DAY)
        assert await other.prune() >= 2
        trail.recorder.record(completed(2, time=clock.now()))
        await trail.recorder.durable()
        await trail.checkpointer.link()
        calls = [each["request_id"] for each in await records(sqlite_datastore, NODE) if each["kind"] == "call"]
        assert calls == ["request-2"]
    report = await verify_trail(sqlite_datastore, ring())
    assert report.is_whole, report


async def test_a_chain_that_was_tampered_with_keeps_its_evidence(written: Written) -> None:
    """Nothing is removed from the first wrong record on, nor under a head that is not ours."""
    clock = Clock()
    chain = written.database.chain(NODE)
    written.database.run("UPDATE audit_segments SET body = replace(body, 'alice', 'mallet') WHERE chain = ?", chain)
    written.database.run("UPDATE audit_chains SET seal = x'00' WHERE chain = ?", CHAIN)
    before = written.database.run("SELECT count(*) FROM audit_segments WHERE chain IN (?, ?)", chain, CHAIN)
    async with opened(written.uri) as store:
        pruner = Pruner(store, keys(), clock, keep=timedelta(days=1))
        clock.move(30 * DAY)
        await pruner.prune()
    after = written.database.run("SELECT count(*) FROM audit_segments WHERE chain IN (?, ?)", chain, CHAIN)
    # of the calls only the start, before the first call, was whole
    assert before[0][0] - after[0][0] <= 1
    assert not written.verify().is_whole


async def test_a_segment_made_to_look_old_is_not_removed(written: Written) -> None:
    """The times of a row are believed only where its records say the same."""
    clock = Clock()
    chain = written.database.chain(NODE)
    written.database.run("UPDATE audit_segments SET started_at = 1, ended_at = 1 WHERE chain = ?", chain)
    async with opened(written.uri) as store:
        assert await Pruner(store, keys(), clock, keep=timedelta(days=1)).prune() == 0


async def test_a_clock_that_jumps_removes_nothing(written: Written) -> None:
    """A wall clock a hundred days ahead, while the process ran for a minute, is no reason to forget."""
    clock = Clock()
    async with opened(written.uri) as store:
        pruner = Pruner(store, keys(), clock, keep=timedelta(days=1))
        clock.wall += timedelta(days=100)
        assert await pruner.prune() == 0
        clock.wall -= timedelta(days=200)
        assert await pruner.prune() == 0


class _Moving(Flaky):
    """A store in which a chain is written to at the moment when it is cut."""

    moves = 2

    async def cut_chain(self, head: Head) -> int:
        """See `TrailStore`."""
        if self.moves and head.chain == CHAIN:
            self.moves -= 1
            await self.append_segment(*self.more(await self.chain_head(CHAIN)))
        return await super().cut_chain(head)

    def more(self, head: Head | None) -> tuple[Segment, Head]:
        """One more record."""
        from authz.audit.chain import extend
        from authz.audit.payloads import note_payload

        return extend(CHAIN, head, [note_payload("more", Clock().now() + timedelta(days=20))], ring())


async def test_a_busy_chain_is_cut_in_the_end(sqlite_datastore: SqlDatastore) -> None:
    """Writers win over the pruner, and it tries again."""
    clock = Clock()
    await _age(sqlite_datastore, clock, 5)
    moving = _Moving(sqlite_datastore)
    pruner = Pruner(moving, keys(), clock, keep=timedelta(days=2))
    assert await pruner.prune() >= 3
    assert moving.moves == 0
    assert (await verify_trail(moving, ring())).is_whole


async def test_verification_while_the_trail_is_written_and_cut(datastore: SqlDatastore) -> None:
    """A trail that lives is never called broken."""
    clock = Clock()
    async with trailing(datastore, clock, retention=1) as trail:

        async def live() -> None:
            for number in range(40):
                clock.move(DAY / 8)
                trail.recorder.record(completed(number, time=clock.now()))
                await _age(datastore, clock, 0)
                await trail.recorder.durable()
                if number % 5 == 0:
                    await trail.checkpointer.link()
                    await trail._pruner.prune()

        living = asyncio.create_task(live())
        while not living.done():
            report = await verify_trail(datastore, ring())
            assert report.is_whole, report
        await living
    assert [head.chain async for head in all_heads(datastore, after=CHECKPOINTS)]
