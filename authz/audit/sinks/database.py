"""The sink `database`: segments of a chain of this process. Checkpoints are written by the same writer.

The writer knows where its chain ends and believes nobody else: when the datastore says otherwise, it tells so in a new
chain and goes on there, so that neither the records nor the evidence is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog
from ulid import ULID

from authz.audit.chain import NODE, Payload, extend, is_sealed
from authz.audit.keys import Keys
from authz.audit.payloads import note_payload
from authz.clock import Clock
from authz.errors import WriteConflict
from authz.store.trail import Head, Segment, TrailStore

LARGE = 256
"""From how many records on they are sealed off the event loop; fewer take less time than the hop and its wake-ups."""

_log = structlog.get_logger(__name__)


class _Attempt(NamedTuple):
    payloads: Sequence[Payload]
    segment: Segment
    head: Head


class ChainWriter:
    """Appends to a chain that is its own: `PREFIX` and a new ULID."""

    def __init__(self, store: TrailStore, prefix: str, keys: Keys, clock: Clock) -> None:
        self._store = store
        self._prefix = prefix
        self._keys = keys
        self._clock = clock
        self.chain = self._new_chain()
        self._head: Head | None = None
        self._attempt: _Attempt | None = None
        self._doubtful: list[Head] = []
        """Ends that the chain may have since attempts whose outcome nobody has waited for."""

    async def append(self, payloads: Sequence[Payload]) -> None:
        """Append payloads; may be called again with the same sequence after it failed.

        Raises:
            Unavailable: the datastore does not answer; whether they were written shows at the next attempt.

        """
        attempt = self._attempt
        if attempt is None or attempt.payloads is not payloads:
            if attempt is not None:
                self._doubtful.append(attempt.head)
            attempt = await self._sealed(payloads)
        # What may have been written already is written again as it was, and recognised.
        self._attempt = attempt
        try:
            await self._store.append_segment(attempt.segment, attempt.head)
        except WriteConflict:
            attempt = await self._settle(attempt)
        self._head, self._attempt, self._doubtful = attempt.head, None, []

    async def cut(self, base_sequence: int, base_mac: bytes, seal: Callable[[Head], Head]) -> int:
        """Remove the segments up to `base_sequence`; see `TrailStore.cut_chain`."""
        if self._head is None:
            return 0
        head = seal(self._head._replace(base_sequence=base_sequence, base_mac=base_mac))
        removed = await self._store.cut_chain(head)
        self._head = head
        return removed

    async def _sealed(self, payloads: Sequence[Payload]) -> _Attempt:
        ring, chain, head = self._keys.ring, self.chain, self._head
        if len(payloads) < LARGE:
            return _Attempt(payloads, *extend(chain, head, payloads, ring))
        return _Attempt(payloads, *await asyncio.to_thread(extend, chain, head, payloads, ring))

    async def _settle(self, attempt: _Attempt) -> _Attempt:
        """The datastore has another end of our chain than we know."""
        found = await self._store.chain_head(self.chain)
        # INVARIANT: of a head that comes from the datastore nothing is believed that is not under our seal.
        ours = found if found is not None and self._is_ours(found) else None
        if ours is not None and _is_among(ours, [attempt.head]):
            return attempt._replace(head=ours)  # it was written, and the answer was lost
        if ours is not None and self._is_expected(ours):
            self._head = ours
            again = await self._sealed(attempt.payloads)
        else:
            again = await self._begin_anew(attempt, found)
        self._attempt = again
        await self._store.append_segment(again.segment, again.head)
        return again

    def _is_ours(self, found: Head) -> bool:
        key = self._keys.ring.find(found.key_id)
        return key is not None and is_sealed(found, key)

    def _is_expected(self, found: Head) -> bool:
        """Whether the chain was only cut, or an attempt of ours came through after all."""
        known = [] if self._head is None else [self._head]
        return _is_among(found, [*known, *self._doubtful])

    async def _begin_anew(self, attempt: _Attempt, found: Head | None) -> _Attempt:
        lost, known = self.chain, self._head
        at, seen = (0 if head is None else head.sequence for head in (known, found))
        _log.error("audit_chain_tampered", chain=lost, known=at, found=seen)
        note = note_payload(
            "broken",
            self._clock.now(),
            of=lost,
            why=f"the chain ended at {at} when it was last written, and was found to end at {seen}",
            sequence=at,
            mac="" if known is None else known.mac.hex(),
        )
        self.chain, self._head = self._new_chain(), None
        sealed = await self._sealed([note, *attempt.payloads])
        return sealed._replace(payloads=attempt.payloads)

    def _new_chain(self) -> str:
        return f"{self._prefix}{ULID.from_datetime(self._clock.now())}"


def _is_among(found: Head, heads: Sequence[Head]) -> bool:
    return any((found.sequence, found.mac) == (head.sequence, head.mac) for head in heads)


class DatabaseSink:
    """See `Sink`."""

    name = "database"
    outside = None

    def __init__(self, store: TrailStore, keys: Keys, clock: Clock) -> None:
        self.writer = ChainWriter(store, NODE, keys, clock)
        self._given: Sequence[Payload] = ()
        self._own: Sequence[Payload] = ()

    async def write(self, payloads: Sequence[Payload]) -> None:
        """See `Sink`."""
        if payloads is not self._given:
            self._given = payloads
            self._own = [each for each in payloads if not each.is_stored]
        if self._own:
            await self.writer.append(self._own)
        self._given = self._own = ()

    async def close(self) -> None:
        """See `Sink`. The datastore is closed by who opened it."""
