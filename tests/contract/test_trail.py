"""What every datastore promises about the chains of the audit trail."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.errors import Bug, WriteConflict
from authz.store.trail import Head, Segment, SegmentPosition
from tests.support.scribe import code_after, sealed, segments_of, signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz.store.sql import SqlDatastore

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Writer:
    """Extends a chain, remembering its head."""

    def __init__(self, datastore: SqlDatastore, chain: str = "calls/one", head: Head | None = None) -> None:
        self.datastore = datastore
        self.chain = chain
        self.head = head

    def next(self, *lines: str, times: Sequence[datetime] = (NOW,)) -> tuple[Segment, Head]:
        return sealed(self.chain, self.head, [f"{line}\n".encode() for line in lines], times)

    async def add(self, *lines: str, times: Sequence[datetime] = (NOW,)) -> Segment:
        segment, head = self.next(*lines, times=times)
        await self.datastore.append_segment(segment, head)
        self.head = head
        return segment


def cut(head: Head, segments: Sequence[Segment]) -> Head:
    """The head without these first segments."""
    lines = [line for segment in segments for line in segment.body.splitlines(keepends=True)]
    code = code_after(head.base_mac, lines)
    return signed(head._replace(base_sequence=segments[-1].last, base_mac=code))


async def test_a_chain_is_kept_as_it_was_written(datastore: SqlDatastore) -> None:
    """Bodies of any bytes, times in UTC to the microsecond, and the head."""
    writer = Writer(datastore)
    assert await datastore.chain_head("calls/one") is None
    body = bytes(range(256))
    segment, head = writer.next("one", "two", times=[NOW, NOW + SECOND])
    await datastore.append_segment(segment._replace(body=body), head)
    assert head == await datastore.chain_head("calls/one")
    (found,) = await datastore.chain_segments("calls/one", after=0, limit=10)
    assert segment._replace(body=body) == found
    assert type(found.body) is bytes
    assert found.started_at.tzinfo is UTC


async def test_segments_come_in_order_from_the_one_that_holds_a_record(datastore: SqlDatastore) -> None:
    """In pages; a place within a segment begins with that segment; other chains do not show."""
    writer, other = Writer(datastore), Writer(datastore, "calls/other")
    written = [await writer.add(*"abc"[: number % 3 + 1]) for number in range(12)]
    await other.add("x")
    for after in range(written[-1].last + 2):
        expected = [segment for segment in written if segment.last > after]
        assert expected == await datastore.chain_segments(writer.chain, after=after, limit=100)
        assert expected[:2] == await datastore.chain_segments(writer.chain, after=after, limit=2)
    assert written == await segments_of(datastore, writer.chain, page=5)


async def test_heads_are_listed_by_name(datastore: SqlDatastore) -> None:
    """By the bytes of the name, in pages."""
    names = ["calls/a", "calls/B", "service", "store/1", "store/10", "store/2", "ä"]
    for name in names:
        await Writer(datastore, name).add("x")
    ordered = sorted(names, key=str.encode)
    assert ordered == [head.chain for head in await datastore.chain_heads(after="", limit=100)]
    assert ordered[:3] == [head.chain for head in await datastore.chain_heads(after="", limit=3)]
    assert ordered[3:] == [head.chain for head in await datastore.chain_heads(after=ordered[2], limit=100)]


async def test_a_chain_is_extended_only_at_its_end(datastore: SqlDatastore) -> None:
    """Whoever has missed a segment, or would leave a gap, or begins a chain that is there, changes nothing."""
    writer = Writer(datastore)
    late = Writer(datastore)
    await writer.add("a", "b")
    behind = Writer(datastore, head=writer.head)
    await writer.add("c")
    assert writer.head is not None
    ahead = Writer(datastore, head=writer.head._replace(sequence=4))
    unknown = Writer(datastore, "calls/unknown", head=writer.head)
    for wrong in (late, behind, ahead, unknown):
        with pytest.raises(WriteConflict, match="audit chain"):
            await wrong.add("x")
    assert writer.head == await datastore.chain_head(writer.chain)
    assert [segment.last for segment in await segments_of(datastore, writer.chain)] == [2, 3]
    assert await datastore.chain_head("calls/unknown") is None


async def test_a_segment_that_does_not_fit_its_head_is_a_bug(datastore: SqlDatastore) -> None:
    """Nothing of it is stored."""
    segment, head = Writer(datastore).next("a", "b")
    wrong = [
        (segment, head._replace(sequence=3)),
        (segment, head._replace(chain="calls/other")),
        (segment._replace(last=0), head._replace(sequence=0)),
    ]
    for one, other in wrong:
        with pytest.raises(Bug):
            await datastore.append_segment(one, other)
    assert await datastore.chain_heads(after="", limit=10) == []
    assert await datastore.segments_after(SegmentPosition(NOW - SECOND, "", 0), limit=10) == []


async def test_of_writers_at_the_same_place_one_wins(datastore: SqlDatastore, other_node: SqlDatastore) -> None:
    """Also when the chain is to be begun: the others get a conflict, and the chain has no gap."""
    writers = [Writer(node) for node in (datastore, other_node) for _ in range(4)]
    for step in range(1, 6):
        outcomes = await asyncio.gather(*(writer.add("x") for writer in writers), return_exceptions=True)
        assert sum(isinstance(outcome, Segment) for outcome in outcomes) == 1
        assert all(isinstance(outcome, Segment | WriteConflict) for outcome in outcomes)
        head = await datastore.chain_head("calls/one")
        assert head is not None
        assert head.sequence == step
        for writer in writers:
            writer.head = head
    assert [segment.last for segment in await segments_of(datastore, "calls/one")] == [1, 2, 3, 4, 5]


async def test_a_chain_is_cut_at_its_beginning(datastore: SqlDatastore) -> None:
    """The segments go, the rest stays and can be extended, also after all went."""
    writer = Writer(datastore)
    written = [await writer.add("a", "b") for _ in range(4)]
    assert writer.head is not None
    writer.head = cut(writer.head, written[:2])
    assert await datastore.cut_chain(writer.head) == 2
    assert writer.head == await datastore.chain_head(writer.chain)
    assert written[2:] == await segments_of(datastore, writer.chain)
    written.append(await writer.add("c"))
    writer.head = cut(writer.head, written[2:])
    assert await datastore.cut_chain(writer.head) == 3
    assert await datastore.cut_chain(writer.head) == 0
    last = await writer.add("d")
    assert [last] == await segments_of(datastore, writer.chain)
    assert last.first == 10


async def test_a_chain_that_moved_on_is_not_cut(datastore: SqlDatastore) -> None:
    """Nor one that was cut further, nor one that is not there, nor in the middle of a segment."""
    writer = Writer(datastore)
    written = [await writer.add("a", "b") for _ in range(3)]
    assert writer.head is not None
    stale = cut(writer.head, written[:1])
    await writer.add("c")
    with pytest.raises(WriteConflict):
        await datastore.cut_chain(stale)
    further = cut(writer.head, written[:2])
    await datastore.cut_chain(further)
    wrong = [
        cut(writer.head, written[:1]),
        further._replace(mac=b"another"),
        further._replace(chain="calls/unknown"),
    ]
    for head in wrong:
        with pytest.raises(WriteConflict):
            await datastore.cut_chain(head)
    for base in (5, 100):
        with pytest.raises(Bug):
            await datastore.cut_chain(further._replace(base_sequence=base))
    assert further == await datastore.chain_head(writer.chain)
    assert [segment.last for segment in await segments_of(datastore, writer.chain)] == [6, 7]


async def test_a_writer_that_does_not_know_of_a_cut_is_refused(datastore: SqlDatastore) -> None:
    """Else its head would say that the removed records are still there."""
    writer = Writer(datastore)
    written = [await writer.add("a"), await writer.add("b")]
    assert writer.head is not None
    shorter = cut(writer.head, written[:1])
    await datastore.cut_chain(shorter)
    with pytest.raises(WriteConflict):
        await writer.add("c")
    writer.head = shorter
    await writer.add("c")


async def test_a_cut_and_a_writer_exclude_each_other(datastore: SqlDatastore, other_node: SqlDatastore) -> None:
    """Whoever comes second is refused and the chain stays whole."""
    writer = Writer(datastore)
    first = await writer.add("a")
    for _ in range(5):
        assert writer.head is not None
        before = writer.head
        held = await segments_of(datastore, writer.chain)
        outcomes = await asyncio.gather(
            writer.add("b"), other_node.cut_chain(cut(before, held[:1])), return_exceptions=True
        )
        assert sum(isinstance(outcome, WriteConflict) for outcome in outcomes) == 1
        writer.head = await datastore.chain_head(writer.chain)
        if not await segments_of(datastore, writer.chain):
            await writer.add("c")
    assert first.first == 1


class Chronicle:
    """Segments as they were written, for the queries by time."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._ordered = sorted(segments, key=position)

    def newest(
        self, since: datetime | None, until: datetime | None, before: SegmentPosition | None, limit: int
    ) -> list[Segment]:
        found = [
            segment
            for segment in reversed(self._ordered)
            if (since is None or segment.ended_at >= since)
            and (until is None or segment.started_at <= until)
            and (before is None or position(segment) < before)
        ]
        return found[:limit]

    def after(self, place: SegmentPosition, limit: int) -> list[Segment]:
        return [segment for segment in self._ordered if position(segment) > place][:limit]


def position(segment: Segment) -> SegmentPosition:
    return SegmentPosition(segment.ended_at, segment.chain, segment.first)


moments = st.integers(0, 20).map(lambda count: NOW + count * timedelta(seconds=30))
spans = st.lists(st.tuples(st.sampled_from(("a", "b", "c")), moments, moments), min_size=1, max_size=12)
limits = st.integers(1, 5)
windows = st.tuples(st.none() | moments, st.none() | moments)
_runs = itertools.count()


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(spans=spans, window=windows, limit=limits)
async def test_windows_of_time_hold_every_segment_that_reaches_into_them(
    datastore: SqlDatastore,
    spans: list[tuple[str, datetime, datetime]],
    window: tuple[datetime | None, datetime | None],
    limit: int,
) -> None:
    """Newest first and oldest first, page by page, whatever the clocks of the writers said."""
    # Each example has its own years: the segments of former examples are of another time.
    shift = timedelta(days=365 * (1 + next(_runs)))
    writers = {name: Writer(datastore, f"{shift.days}/{name}") for name in "abc"}
    written = []
    for name, *times in spans:
        written.append(await writers[name].add("x", times=[time + shift for time in times]))
    chronicle = Chronicle(written)
    since, until = (moment and moment + shift for moment in window)
    lower = since or NOW + shift
    upper = until or NOW + shift + timedelta(days=1)
    before: SegmentPosition | None = None
    while True:
        expected = chronicle.newest(lower, upper, before, limit)
        assert expected == await datastore.newest_segments(since=lower, until=upper, before=before, limit=limit)
        if not expected:
            break
        before = position(expected[-1])
    place = SegmentPosition(lower, f"{shift.days}/b", 1)
    while expected := chronicle.after(place, limit):
        found = await datastore.segments_after(place, limit=limit)
        assert expected == found[: len(expected)]
        place = position(expected[-1])


async def test_windows_may_be_open(datastore: SqlDatastore) -> None:
    """On either side or both; and reach to the end of time."""
    writer = Writer(datastore)
    old, new = await writer.add("a", times=[NOW]), await writer.add("b", times=[NOW + 1000 * SECOND])
    last = datetime.max.replace(tzinfo=UTC)
    for since, until, expected in (
        (None, None, [new, old]),
        (NOW + SECOND, None, [new]),
        (None, NOW + SECOND, [old]),
        (None, last, [new, old]),
        (NOW, NOW, [old]),
        (NOW + SECOND, NOW + 2 * SECOND, []),
    ):
        assert expected == await datastore.newest_segments(since=since, until=until, before=None, limit=10)


async def test_a_long_segment_is_found_in_every_window_that_it_covers(datastore: SqlDatastore) -> None:
    """A clock that jumped must not hide a record."""
    writer = Writer(datastore)
    long = await writer.add("a", "b", times=[NOW, NOW + timedelta(days=400)])
    short = await writer.add("c", times=[NOW + timedelta(days=1)])
    for days, expected in ((0, [long]), (1, [long, short]), (300, [long, short]), (500, [long, short])):
        until = NOW + timedelta(days=days)
        assert expected == await datastore.newest_segments(since=None, until=until, before=None, limit=10)


async def test_recording_calls_is_no_change(datastore: SqlDatastore, other_node: SqlDatastore) -> None:
    """Segments come many a second: nobody need look at tuples and models again for them."""
    deadline = asyncio.get_running_loop().time() + 5
    quiet = 0
    while quiet < 20:
        assert asyncio.get_running_loop().time() < deadline
        quiet = 0 if other_node.may_have_changed() or datastore.may_have_changed() else quiet + 1
        await asyncio.sleep(0.005)
    writer = Writer(datastore)
    for _ in range(5):
        await writer.add("x")
        await asyncio.sleep(0.01)
        assert not datastore.may_have_changed()
        assert not other_node.may_have_changed()
