"""Orders that hold for a time, on every node: revocations, suspensions, captures. Part of `store.api.Datastore`.

Each directive gets a version when it is added or lifted, one number for all in the order of commits; a process that has
seen version n asks for what came after.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from authz.call import Origin


class Directive(NamedTuple):
    """One order. `body` is JSON text whose members depend on `kind`."""

    id: str
    """A ULID."""
    kind: str
    """`revocation`, `suspension`, `capture` or another word that its reader knows."""
    body: str
    reason: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
    """When it ends by itself; None: when it is lifted."""
    lifted_at: datetime | None = None
    version: int = 0
    """Given by the datastore."""


class DirectiveStore(Protocol):
    """The directives in a datastore."""

    @property
    def lineage(self) -> int:
        """See `store.api.TupleReader.lineage`."""
        ...

    async def add_directive(self, directive: Directive, *, by: Origin) -> Directive:
        """Add an order; returns it with its version."""
        ...

    async def lift_directive(self, directive_id: str, now: datetime, *, by: Origin) -> Directive | None:
        """End an order before its time; None when there is none that has not ended yet."""
        ...

    async def directives_after(self, version: int, *, limit: int) -> Sequence[Directive]:
        """Orders added or lifted after a version, by version; those lifted or expired included."""
        ...

    async def forget_directives(self, ended_before: datetime, *, limit: int) -> int:
        """Remove up to `limit` orders that were lifted or expired before a time; returns how many went."""
        ...
