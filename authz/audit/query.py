"""Questions to the trail: records that match, newest first, or those to come. Called by `rpc` and by `cli`."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from authz.clock import Clock
from authz.store.trail import Head, RecordFilter, Segment, SegmentPosition, TrailStore

PAGE = 16
"""Segments read at once, of up to a few MB each in the worst case."""
HEADS = 1000
POLL_SECONDS = 0.5
"""How often `follow_records` looks for new records, at least if that costs little."""
_SHARE = 20
"""Looking may take one part in so many of the time."""
DECISIONS = ("allowed", "denied")


class TrailRecords:
    """See `commands.services.Records`. `hide` makes a filter look as records do whose members are redacted."""

    def __init__(self, store: TrailStore, hide: Callable[[RecordFilter], RecordFilter], clock: Clock) -> None:
        self._store = store
        self._hide = hide
        self._clock = clock

    def query(self, wanted: RecordFilter, *, limit: int) -> AsyncIterator[bytes]:
        """See `Records`."""
        return query_records(self._store, self._hide(wanted), limit=limit)

    def follow(self, wanted: RecordFilter) -> AsyncIterator[bytes]:
        """See `Records`."""
        return follow_records(self._store, self._hide(wanted), self._clock)


async def query_records(store: TrailStore, wanted: RecordFilter, *, limit: int) -> AsyncIterator[bytes]:
    """The newest records that match, newest first by their own time: up to `limit` lines without their line end.

    Raises:
        Unavailable: the datastore does not answer.

    """
    matches = matcher(wanted)
    # A record of a segment to come is no newer than the segment's end: what is newer than that can be given away.
    waiting: list[tuple[float, int, bytes]] = []
    given = count = 0
    async for segment in _windowed(store, wanted):
        while waiting and -waiting[0][0] >= segment.ended_at.timestamp():
            yield heapq.heappop(waiting)[2]
            given += 1
            if given == limit:
                return
        for time, line in matches(segment):
            count += 1
            heapq.heappush(waiting, (-time.timestamp(), -count, line))
    while waiting and given < limit:
        yield heapq.heappop(waiting)[2]
        given += 1


async def follow_records(store: TrailStore, wanted: RecordFilter, clock: Clock) -> AsyncIterator[bytes]:
    """Records that match and are written from now on, in the order in which they are found; never ends by itself.

    Whatever the clocks of those who write say, none is missed: what is new is known by the heads of the chains.

    Raises:
        Unavailable: the datastore does not answer.

    """
    matches = matcher(wanted)
    seen = {head.chain: head.sequence async for head in all_heads(store)}
    while True:
        started = clock.monotonic()
        moved = [head async for head in all_heads(store) if head.sequence > seen.get(head.chain, 0)]
        for head in moved:
            async for segment in segments_of(store, head.chain, after=seen.get(head.chain, 0)):
                for _, line in matches(segment):
                    yield line
                seen[head.chain] = segment.last
        await asyncio.sleep(max(POLL_SECONDS, (clock.monotonic() - started) * _SHARE))


async def all_heads(store: TrailStore, *, after: str = "") -> AsyncIterator[Head]:
    """The heads of all chains by name, beginning behind a name."""
    is_more = True
    while is_more:
        page = await store.chain_heads(after=after, limit=HEADS)
        is_more = len(page) == HEADS
        for head in page:
            yield head
            after = head.chain


async def segments_of(store: TrailStore, chain: str, *, after: int, page: int = PAGE) -> AsyncIterator[Segment]:
    """The segments of a chain in order that hold records beyond `after`."""
    while True:
        found = await store.chain_segments(chain, after=after, limit=page)
        for segment in found:
            yield segment
            # INVARIANT: grows even over rows that somebody has tampered with, so that this ends.
            after = max(after + 1, segment.last)
        if len(found) < page:
            return


Matcher = Callable[[Segment], Iterator[tuple[datetime, bytes]]]


def matcher(wanted: RecordFilter) -> Matcher:
    """The records of a segment that match, with their times. Bytes are compared before anything is parsed."""
    needles = [_json(text) for text in _exact(wanted)]
    if wanted.decision:
        needles.append(b'"decision":' + _json(wanted.decision))

    def matches(segment: Segment) -> Iterator[tuple[datetime, bytes]]:
        is_odd = not isinstance(segment.body, bytes)  # as SQLite allows; for `verify` to tell
        if is_odd or any(needle not in segment.body for needle in needles):
            return
        for line in segment.body.split(b"\n"):
            if not line or any(needle not in line for needle in needles):
                continue
            record = _parsed(line)
            if record is not None and is_wanted(record, wanted):
                yield record["time"], line

    return matches


def is_wanted(record: Mapping[str, Any], wanted: RecordFilter) -> bool:
    """Whether a record, its time parsed, matches."""
    time = record["time"]
    plain = (
        (wanted.principal, record.get("principal")),
        (wanted.store_id, record.get("store")),
        (wanted.kind, record.get("kind")),
        (wanted.reason, record.get("reason")),
        (wanted.request_id, record.get("request_id")),
    )
    return (
        all(not text or text == found for text, found in plain)
        and (wanted.since is None or time >= wanted.since)
        and (wanted.until is None or time <= wanted.until)
        and (not wanted.call or _is_call(str(record.get("call", "")), wanted.call))
        and _has_item(record, wanted)
    )


def items_of(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What a record is about, item by item: of a question, a batch, or a change."""
    if "object" in record or "decision" in record:
        yield record
    for part in ("items", "before", "after"):
        yield from _tuples(record.get(part))


def _tuples(part: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(part, Mapping):
        if "object" in part or "user" in part:
            yield part
        else:
            for inner in part.values():
                yield from _tuples(inner)
    elif isinstance(part, Sequence) and not isinstance(part, str):
        for inner in part:
            yield from _tuples(inner)


def _has_item(record: Mapping[str, Any], wanted: RecordFilter) -> bool:
    asked = [
        (name, text)
        for name, text in (
            ("object", wanted.object),
            ("relation", wanted.relation),
            ("user", wanted.user),
            ("decision", wanted.decision),
        )
        if text
    ]
    return not asked or any(all(item.get(name) == text for name, text in asked) for item in items_of(record))


def _exact(wanted: RecordFilter) -> list[str]:
    named = (
        wanted.principal,
        wanted.store_id,
        wanted.object,
        wanted.relation,
        wanted.user,
        wanted.kind,
        wanted.reason,
        wanted.request_id,
    )
    return [text for text in named if text]


def _is_call(path: str, wanted: str) -> bool:
    return wanted in (path, path.rpartition("/")[2])


def _json(text: str) -> bytes:
    return orjson.dumps(text)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The record in a line; None when it is damaged, which is for `verify` to tell."""
    try:
        record = orjson.loads(line)
        record["time"] = datetime.fromisoformat(record["time"])
    except (ValueError, TypeError, KeyError):
        return None
    return dict(record)


async def _windowed(store: TrailStore, wanted: RecordFilter) -> AsyncIterator[Segment]:
    before: SegmentPosition | None = None
    while True:
        page = await store.newest_segments(since=wanted.since, until=wanted.until, before=before, limit=PAGE)
        for segment in page:
            yield segment
            before = SegmentPosition(segment.ended_at, segment.chain, segment.first)
        if len(page) < PAGE:
            return
