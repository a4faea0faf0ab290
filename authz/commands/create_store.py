"""Add a store. Called by the edge and the CLI."""

from __future__ import annotations

from typing import NamedTuple

from authz.call import Call
from authz.commands.ids import new_id
from authz.commands.services import Services
from authz.store.api import StoreRecord


class CreateStoreQuery(NamedTuple):
    """The name of the new store, which need not be unique, and its id, if it was chosen before: a `new_id`."""

    name: str
    id: str = ""


async def create_store(services: Services, call: Call, query: CreateStoreQuery) -> StoreRecord:
    """Add a store and return it."""
    now = services.clock.now()
    store = StoreRecord(query.id or new_id(now), query.name, now, now)
    await services.datastore.create_store(store, by=call.origin)
    return store
