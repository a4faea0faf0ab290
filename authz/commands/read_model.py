"""Read one authorization model. Called by the edge and the CLI."""

from __future__ import annotations

from typing import NamedTuple

from authz.call import Call
from authz.commands.services import Services
from authz.errors import ModelNotFound
from authz.store.api import ModelRecord


class ReadModelQuery(NamedTuple):
    """Which model of which store."""

    store_id: str
    model_id: str


async def read_model(services: Services, _call: Call, query: ReadModelQuery) -> ModelRecord:
    """The model as it was written.

    Raises:
        ModelNotFound: the store has no such model.

    """
    record = await services.datastore.read_model(query.store_id, query.model_id)
    if record is None:
        raise ModelNotFound(f"no authorization model `{query.model_id}` in store `{query.store_id}`")
    return record
