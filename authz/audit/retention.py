"""Remove records whose time is over from the datastore, so that what is left still verifies. Run by `trail`.

The head of a chain says, under its seal, behind which record it begins. Only whole segments that verify are removed: a
chain that was tampered with keeps its evidence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from authz.audit.chain import NOTHING, is_sealed, sealed
from authz.audit.inspect import Inspection
from authz.audit.keys import Keys
from authz.audit.query import all_heads
from authz.audit.sinks.database import ChainWriter
from authz.clock import Clock
from authz.errors import AuthzError, WriteConflict
from authz.store.trail import Head, TrailStore

INTERVAL = 3600.0
"""Seconds between two rounds."""
PAGE = 16
MAX_JUMP = timedelta(hours=1)
"""A clock that was moved by more while the process ran removes nothing: it would take the records of that time."""
_ATTEMPTS = 5

_log = structlog.get_logger(__name__)


class Pruner:
    """Removes what is older than `keep`. `own` are the writers of this process, which know their chains best."""

    def __init__(
        self, store: TrailStore, keys: Keys, clock: Clock, *, keep: timedelta, own: Sequence[ChainWriter] = ()
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._keep = keep
        self._own = own
        self._started = (clock.now(), clock.monotonic())

    async def prune(self) -> int:
        """One round over all chains; returns how many segments were removed.

        Raises:
            Unavailable: the datastore does not answer.

        """
        now = self._clock.now()
        began, ticks = self._started
        expected = began + timedelta(seconds=self._clock.monotonic() - ticks)
        if abs(now - expected) > MAX_JUMP:
            _log.warning("audit_retention_paused", why="the clock was moved", seconds=(now - expected).total_seconds())
            return 0
        before, removed = now - self._keep, 0
        async for head in all_heads(self._store):
            if head.base_sequence < head.sequence:
                removed += await self._prune_chain(head, before)
        if removed:
            _log.info("audit_records_removed", segments=removed, older_than=before.isoformat())
        return removed

    async def prune_forever(self) -> None:
        """A round every `INTERVAL` seconds until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.prune()
            except AuthzError as error:
                _log.warning("audit_retention_failed", reason=error.reason, message=error.message)
            except Exception as error:  # noqa: BLE001 - no row that somebody has put there may end this
                _log.error("audit_retention_failed", why=type(error).__name__)

    async def _prune_chain(self, head: Head, before: datetime) -> int:
        end = await self._end_of_old(head, before)
        if end is None:
            return 0
        for _ in range(_ATTEMPTS):
            try:
                return await self._cut(head.chain, *end)
            except WriteConflict:
                continue  # the chain moved on meanwhile, which changes nothing of its beginning
        return 0

    async def _cut(self, chain: str, sequence: int, mac: bytes) -> int:
        def seal(head: Head) -> Head:
            # Under the key of its last record: a head tells by it which key that was.
            key = self._keys.ring.find(head.key_id)
            return head if key is None else sealed(head, key)

        own = next((writer for writer in self._own if writer.chain == chain), None)
        if own is not None:
            return await own.cut(sequence, mac, seal)
        head = await self._store.chain_head(chain)
        if head is None or not self._is_ours(head) or head.base_sequence >= sequence:
            return 0
        return await self._store.cut_chain(seal(head._replace(base_sequence=sequence, base_mac=mac)))

    async def _end_of_old(self, head: Head, before: datetime) -> tuple[int, bytes] | None:
        """The last record of the last segment that is old, if what comes before is whole."""
        if not self._is_ours(head):
            return None
        base, ring = (head.base_sequence, head.base_mac or NOTHING), self._keys.ring
        inspection = Inspection(head.chain, *base, ring, is_heeding=False)
        end, sequence, is_more = None, head.base_sequence, True
        while is_more:
            page = await self._store.chain_segments(head.chain, after=sequence, limit=PAGE)
            is_more = len(page) == PAGE
            for segment in page:
                if segment.ended_at >= before:
                    return end
                if not inspection.take(segment):
                    _log.error("audit_chain_tampered", chain=head.chain, why=inspection.why)
                    return end
                end, sequence = (inspection.sequence, inspection.mac), segment.last
        return end

    def _is_ours(self, head: Head) -> bool:
        key = self._keys.ring.find(head.key_id)
        return key is not None and is_sealed(head, key)
