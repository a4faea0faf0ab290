"""The audit trail as a datastore keeps it: chains of sealed records. Part of `store.api.Datastore`.

A chain is a sequence of records that each prove the one before. What a record says and how it is sealed is the matter
of `audit`, which gives the datastore a `Scribe`; the datastore keeps the segments, and lets changes be sealed in the
transaction that makes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from authz.call import Origin
from authz.tuples import JsonValue


class Entry(NamedTuple):
    """A change, to be recorded in the transaction that makes it."""

    action: str
    """`tuples.write`, `model.write`, `assertions.write`, `store.create`, `store.rename`, `store.delete`,
    `directive.add`, `directive.lift`."""
    by: Origin
    time: datetime
    store_id: str
    """Empty for what belongs to no store."""
    revision: int | None
    before: JsonValue
    after: JsonValue


class Head(NamedTuple):
    """Where a chain ends, and before which record it begins (older ones were removed with their time)."""

    chain: str
    sequence: int
    """The number of the last record; the first record of a chain has number 1."""
    mac: bytes
    """The code of the last record."""
    base_sequence: int
    """The number of the last record that was removed; 0 when none was."""
    base_mac: bytes
    """The code of that record; empty when none was removed."""
    key_id: str
    """The key of the seal."""
    seal: bytes
    """Proves that all the above was written by the holder of the key."""


class Segment(NamedTuple):
    """Records `first` to `last` of a chain, one line each, as they were sealed."""

    chain: str
    first: int
    last: int
    started_at: datetime
    """The earliest time of a record in it."""
    ended_at: datetime
    """The latest time of a record in it."""
    body: bytes


class SegmentPosition(NamedTuple):
    """A place in the order of all segments: by the time of their last record, then chain and number."""

    ended_at: datetime
    chain: str
    first: int


class RecordFilter(NamedTuple):
    """Which records to find: those that match all members which are not empty. `call` may lack the service's name."""

    principal: str = ""
    store_id: str = ""
    object: str = ""
    relation: str = ""
    user: str = ""
    decision: str = ""
    call: str = ""
    kind: str = ""
    reason: str = ""
    request_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 0
    follow: bool = False


class Scribe(Protocol):
    """Seals changes. Called on the datastore's threads, inside the transaction that holds the chain's head."""

    def seal(self, chain: str, head: Head | None, entries: Sequence[Entry]) -> tuple[Segment, Head]:
        """The entries as the next records of a chain (`head` is None for a new chain), and its new head."""
        ...


class TrailStore(Protocol):
    """The trail in a datastore."""

    async def append_segment(self, segment: Segment, head: Head) -> None:
        """Add a segment and move the chain's head to `head`, in one transaction.

        Raises `WriteConflict` when the chain does not end right before the segment, or begins elsewhere than `head`
        says: somebody else wrote to it, or cut it.
        """
        ...

    async def chain_head(self, chain: str) -> Head | None:
        """The head of a chain."""
        ...

    async def chain_heads(self, *, after: str, limit: int) -> Sequence[Head]:
        """Heads of all chains by name, beginning behind the name `after`."""
        ...

    async def chain_segments(self, chain: str, *, after: int, limit: int) -> Sequence[Segment]:
        """Segments of a chain in order, beginning with the first whose last record is beyond `after`."""
        ...

    async def newest_segments(
        self, *, since: datetime | None, until: datetime | None, before: SegmentPosition | None, limit: int
    ) -> Sequence[Segment]:
        """Segments that hold records of a window of time, newest first by `SegmentPosition`, below `before`."""
        ...

    async def segments_after(self, position: SegmentPosition, *, limit: int) -> Sequence[Segment]:
        """Segments that ended after a position, oldest first.

        Their times are those of the records: a segment may appear below a position that was read already, as late as
        its transaction took and the clocks of the nodes differ.
        """
        ...

    async def cut_chain(self, head: Head) -> int:
        """Remove the segments of a chain up to `head.base_sequence` and set its head; returns how many went.

        One transaction: for a long chain, cut some thousands at a time. Raises `WriteConflict` when the chain has moved
        on from `head.sequence` or was cut further; `head.base_sequence` is where a segment ends.
        """
        ...
