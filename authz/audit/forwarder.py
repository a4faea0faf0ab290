"""Copies of changes for the sinks outside of the datastore, once the datastore has them. Run by `trail`.

At least once while the process lives. Whether a sealed change was committed is asked of the datastore: its segment is
there, byte for byte; or another one is in its place and the transaction was rolled back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from authz.audit.chain import Payload
from authz.audit.payloads import copy_payload
from authz.audit.scribe import AuditScribe, Sealed
from authz.clock import Clock
from authz.errors import AuthzError
from authz.store.trail import TrailStore

INTERVAL = 0.2
PATIENCE = 60.0
"""After how many seconds a change that is not in the datastore is known to have been rolled back."""

_log = structlog.get_logger(__name__)


class Forwarder:
    """Hands copies to `tell`."""

    def __init__(
        self, store: TrailStore, scribe: AuditScribe, clock: Clock, *, tell: Callable[[Payload], None]
    ) -> None:
        self._store = store
        self._scribe = scribe
        self._monotonic = clock.monotonic
        self._tell = tell
        self._waiting: list[tuple[float, Sealed]] = []

    async def forward(self) -> int:
        """Copy what was committed; returns how many changes may still be.

        Raises:
            Unavailable: the datastore does not answer; nothing is forgotten.

        """
        now = self._monotonic()
        self._waiting += [(now, sealed) for sealed in self._scribe.take()]
        waiting, self._waiting = self._waiting, []
        for place, (since, sealed) in enumerate(waiting):
            try:
                is_open = await self._is_open(sealed)
            except AuthzError:
                self._waiting += waiting[place:]
                raise
            if is_open and now - since < PATIENCE:
                self._waiting.append((since, sealed))
        return len(self._waiting)

    async def forward_forever(self) -> None:
        """Forward every `INTERVAL` seconds until cancelled; a datastore that does not answer is asked again."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.forward()
            except AuthzError as error:
                _log.warning("audit_copies_delayed", reason=error.reason, message=error.message)

    async def _is_open(self, sealed: Sealed) -> bool:
        """Copy a change that is committed; whether that is still to be seen."""
        segment = sealed.segment
        found = await self._store.chain_segments(segment.chain, after=segment.first - 1, limit=1)
        if not found:
            return True
        if found[0].first == segment.first and found[0].body == segment.body:
            before = segment.last - len(sealed.payloads)
            for number, payload in enumerate(sealed.payloads, before + 1):
                self._tell(copy_payload(payload, segment.chain, number))
        return False
