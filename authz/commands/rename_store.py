"""Give a store another name. Called by the edge (UpdateStore) and the CLI."""

from __future__ import annotations

from typing import NamedTuple

from authz.call import Call
from authz.commands.services import Services
from authz.errors import StoreNotFound
from authz.store.api import StoreRecord


class RenameStoreQuery(NamedTuple):
    """Which store, and its new name."""

    store_id: str
    name: str


async def rename_store(services: Services, call: Call, query: RenameStoreQuery) -> StoreRecord:
    """Rename a store and return it.

    Raises:
        StoreNotFound: it never was, or is deleted.

    """
    store = await services.datastore.rename_store(query.store_id, query.name, services.clock.now(), by=call.origin)
    if store is None:
        raise StoreNotFound(f"no store `{query.store_id}`")
    return store
