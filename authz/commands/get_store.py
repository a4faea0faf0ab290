"""Look up a store. Called by the edge and the CLI."""

from __future__ import annotations

from typing import NamedTuple

from authz.call import Call
from authz.commands.services import Services
from authz.errors import StoreNotFound
from authz.store.api import StoreRecord


class GetStoreQuery(NamedTuple):
    """Which store."""

    store_id: str


async def get_store(services: Services, _call: Call, query: GetStoreQuery) -> StoreRecord:
    """The store.

    Raises:
        StoreNotFound: it never was, or is deleted.

    """
    store = await services.datastore.get_store(query.store_id)
    if store is None:
        raise StoreNotFound(f"no store `{query.store_id}`")
    return store
