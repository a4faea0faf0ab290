"""To which modules of a store's model a write belongs. Called by the authorizer for those with rights on modules."""

from __future__ import annotations

from typing import Any

from authz.commands.registry import ModelRegistry
from authz.errors import LatestModelNotFound, ModelNotFound
from authz.model.compile import CompiledModel
from authz.tuples import object_type


async def modules_written(models: ModelRegistry, store_id: str, request: Any) -> frozenset[str] | None:
    """The modules of all relations that a Write names; None when one belongs to no module, or there is no model.

    A relation counts as part of a module by the model that the request names and by the newest one: a relation that has
    moved to another module must not be written by way of an older model. A request that names no model is bound to the
    newest one, so that the write is ruled by the very model that it was judged by.
    """
    try:
        newest = await models.get(store_id)
        named = await models.get(store_id, request.authorization_model_id or newest.id)
    except (LatestModelNotFound, ModelNotFound):
        return None
    request.authorization_model_id = named.id
    found = [
        _module(model, key.object, key.relation)
        for key in (*request.writes.tuple_keys, *request.deletes.tuple_keys)
        for model in {newest, named}
    ]
    return None if None in found else frozenset(module for module in found if module)


def _module(model: CompiledModel, object_: str, relation: str) -> str | None:
    found = model.relation(object_type(object_), relation)
    return found.module or None if found is not None else None
