"""What commands work with, handed to each of them. Built once by `app`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from authz.call import Call
from authz.clock import Clock
from authz.commands.directives import Directives
from authz.commands.limits import Limits
from authz.commands.registry import ModelRegistry
from authz.commands.tokens import TokenCodec
from authz.index.registry import IndexRegistry
from authz.store.api import Datastore
from authz.store.trail import RecordFilter


class Rights(Protocol):
    """What a caller may see. Implemented by `access`; asked by handlers whose answer depends on it."""

    async def readable_stores(self, call: Call) -> frozenset[str] | None:
        """The stores that the caller may read; None when that is all of them."""
        ...

    async def may_audit(self, call: Call, store_id: str) -> bool:
        """Whether the caller may see records of calls: those of a store, or all for the empty id."""
        ...

    def is_first_admin(self, principal_id: str) -> bool:
        """Whether the configuration itself names a principal as administrator."""
        ...


class Records(Protocol):
    """What was recorded of calls and changes. Implemented by `audit`; asked by the handlers of its service."""

    def query(self, wanted: RecordFilter, *, limit: int) -> AsyncIterator[bytes]:
        """Up to `limit` records that match, newest first: lines without their line end."""
        ...

    def follow(self, wanted: RecordFilter) -> AsyncIterator[bytes]:
        """Records that match and are written from now on; never ends by itself."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """The parts below the edge."""

    datastore: Datastore
    models: ModelRegistry
    indexes: IndexRegistry
    tokens: TokenCodec
    clock: Clock
    limits: Limits
    directives: Directives
    rights: Rights
    records: Records
