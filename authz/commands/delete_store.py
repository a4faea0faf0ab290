"""Delete a store. Called by the edge and the CLI."""

from __future__ import annotations

from typing import NamedTuple

from authz.call import Call
from authz.commands.services import Services


class DeleteStoreQuery(NamedTuple):
    """Which store."""

    store_id: str


async def delete_store(services: Services, call: Call, query: DeleteStoreQuery) -> None:
    """Delete a store; no error when there is none. Its tuples and models are left."""
    await services.datastore.delete_store(query.store_id, services.clock.now(), by=call.origin)
