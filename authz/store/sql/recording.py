"""Record changes in the audit trail, in the transaction that makes them. Called by the mutations of `store.sql`.

INVARIANT: the head of a chain is locked after the revision row of a store or the counter of directives, and before
every other row that two transactions may want to change. So nobody waits in a circle, and what a record says of the
state before is what the record before it left. Stores have a chain each, and do not wait for each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from authz.store.sql.trail import Trail
    from authz.store.trail import Entry, Head, Scribe

SERVICE_CHAIN = "service"
"""The chain of changes that belong to no store."""


class Place(NamedTuple):
    """The end of a chain, which nobody else can extend until the transaction ends; `before` is None for a new chain."""

    chain: str
    before: Head | None


class Recorder:
    """Adds entries to chains; without a scribe nothing is recorded, and no place is held."""

    def __init__(self, trail: Trail, scribe: Scribe | None) -> None:
        self._trail = trail
        self._scribe = scribe

    def hold(self, connection: Connection, store_id: str = "") -> Place | None:
        """Lock the chain of a store, or of the service for the empty id."""
        if self._scribe is None:
            return None
        chain = f"store/{store_id}" if store_id else SERVICE_CHAIN
        return Place(chain, self._trail.lock(connection, chain))

    def record(self, connection: Connection, place: Place | None, entry: Entry) -> None:
        """Seal and store one entry, once for each place that is held. Whatever the scribe raises ends the transaction.

        Raises `Raced` when another transaction has begun the chain meanwhile.
        """
        if self._scribe is None or place is None:
            return
        segment, head = self._scribe.seal(place.chain, place.before, (entry,))
        self._trail.extend(connection, place.before, segment, head)
