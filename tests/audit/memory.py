"""A trail store in memory, for properties that need hundreds of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from authz.errors import WriteConflict
from authz.store.trail import Head, Segment, SegmentPosition


class MemoryTrail:
    """See `authz.store.trail.TrailStore`."""

    def __init__(self) -> None:
        self.heads: dict[str, Head] = {}
        self.segments: list[Segment] = []

    async def append_segment(self, segment: Segment, head: Head) -> None:
        """See `TrailStore`."""
        known = self.heads.get(segment.chain)
        if (known.sequence if known else 0) != segment.first - 1:
            raise WriteConflict("moved")
        self.heads[segment.chain] = head
        self.segments.append(segment)

    async def chain_head(self, chain: str) -> Head | None:
        """See `TrailStore`."""
        return self.heads.get(chain)

    async def chain_heads(self, *, after: str, limit: int) -> Sequence[Head]:
        """See `TrailStore`."""
        return [self.heads[name] for name in sorted(self.heads) if name > after][:limit]

    async def chain_segments(self, chain: str, *, after: int, limit: int) -> Sequence[Segment]:
        """See `TrailStore`."""
        found = [each for each in self.segments if each.chain == chain and each.last > after]
        return sorted(found, key=lambda each: each.last)[:limit]

    async def newest_segments(
        self, *, since: datetime | None, until: datetime | None, before: SegmentPosition | None, limit: int
    ) -> Sequence[Segment]:
        """See `TrailStore`."""
        found = [
            each
            for each in self.segments
            if (since is None or each.ended_at >= since)
            and (until is None or each.started_at <= until)
            and (before is None or _position(each) < before)
        ]
        return sorted(found, key=_position, reverse=True)[:limit]

    async def segments_after(self, position: SegmentPosition, *, limit: int) -> Sequence[Segment]:
        """See `TrailStore`."""
        return sorted((each for each in self.segments if _position(each) > position), key=_position)[:limit]

    async def cut_chain(self, head: Head) -> int:
        """See `TrailStore`."""
        gone = [each for each in self.segments if each.chain == head.chain and each.last <= head.base_sequence]
        self.segments = [each for each in self.segments if each not in gone]
        self.heads[head.chain] = head
        return len(gone)


def _position(segment: Segment) -> SegmentPosition:
    return SegmentPosition(segment.ended_at, segment.chain, segment.first)
