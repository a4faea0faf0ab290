"""Seal changes in the transaction that makes them. Given to the datastore by `app`; called on the datastore's threads.

A change is in the trail exactly when it is in the datastore. Sinks outside of the datastore get a copy afterwards, once
the datastore confirms it (`forward`): at least once while this process lives; if it is killed, the copies of its last
changes may be missing there, though never in the datastore.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from authz.audit.chain import Payload, extend, is_sealed
from authz.audit.keys import Keys
from authz.audit.payloads import change_payload, note_payload
from authz.audit.redaction import Redaction
from authz.store.trail import Entry, Head, Segment

MAX_PENDING = 10_000
"""Sealed changes that may wait for their copy."""

_log = structlog.get_logger(__name__)


class Sealed(NamedTuple):
    """Changes that were sealed, whether or not their transaction was committed."""

    segment: Segment
    payloads: Sequence[Payload]


class AuditScribe:
    """See `store.trail.Scribe`. `is_copying`: changes are handed to `take` for sinks outside of the datastore."""

    def __init__(self, keys: Keys, redaction: Redaction, *, is_copying: bool = False) -> None:
        self._keys = keys
        self._redaction = redaction
        self._is_copying = is_copying
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, int], Sealed] = {}
        self.dropped = 0
        """Changes that were sealed and not copied because too many waited."""

    def seal(self, chain: str, head: Head | None, entries: Sequence[Entry]) -> tuple[Segment, Head]:
        """See `Scribe`. A head that is not ours is told in the chain, for `verify` to find: continuing it in silence
        would make a forgery look true."""
        ring = self._keys.ring
        payloads = [change_payload(entry, self._redaction) for entry in entries]
        told = payloads
        if head is not None:
            key = ring.find(head.key_id)
            if key is not None and not is_sealed(head, key):
                _log.error("audit_head_forged", chain=chain, sequence=head.sequence)
                told = [note_payload("broken", payloads[0].time, why="the seal of the head is wrong"), *payloads]
        segment, new = extend(chain, head, told, ring)
        if self._is_copying:
            self._keep(Sealed(segment, payloads))
        return segment, new

    def take(self) -> list[Sealed]:
        """What was sealed since the last time; the transactions may still be under way."""
        if not self._pending:
            return []
        with self._lock:
            taken, self._pending = list(self._pending.values()), {}
        return taken

    def _keep(self, sealed: Sealed) -> None:
        with self._lock:
            # A transaction that is tried again seals again at the same place: the last attempt is the one that counts.
            self._pending[sealed.segment.chain, sealed.segment.first] = sealed
            if len(self._pending) > MAX_PENDING:
                del self._pending[next(iter(self._pending))]
                self.dropped += 1
                _log.error("audit_copy_dropped", chain=sealed.segment.chain, dropped=self.dropped)
