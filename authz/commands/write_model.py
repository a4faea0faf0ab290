"""Add an authorization model. Called by the edge and the CLI."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import orjson

from authz.call import Call
from authz.commands.ids import new_id
from authz.commands.services import Services
from authz.errors import EntityLimitExceeded
from authz.model.compile import CompiledModel, compile_model
from authz.store.api import ModelRecord
from authz.tuples import JsonValue

_DEFAULT_SCHEMA = "1.1"


class WriteModelQuery(NamedTuple):
    """A model in protobuf JSON form: `schema_version` (1.1 when absent), `type_definitions`, `conditions`.

    `size` is its length in bytes on the wire, which the limit is about.
    """

    store_id: str
    body: dict[str, JsonValue]
    size: int


class WrittenModel(NamedTuple):
    """The id that the model was given."""

    model_id: str


async def write_model(services: Services, call: Call, query: WriteModelQuery) -> WrittenModel:
    """Validate a model and make it the newest one of its store.

    Raises:
        EntityLimitExceeded: too many types or bytes.
        InvalidModel: a rule of the modelling language is broken.

    """
    _check_limits(services, query)
    datastore = services.datastore
    now = services.clock.now()
    model_id = new_id(now, after=await datastore.latest_model_id(query.store_id))
    body = query.body if query.body.get("schema_version") else {**query.body, "schema_version": _DEFAULT_SCHEMA}
    # A large model takes long to compile; meanwhile the event loop answers others.
    model = await asyncio.to_thread(compile_model, model_id, body)
    text = orjson.dumps(body).decode()
    record = ModelRecord(query.store_id, model_id, model.schema_version, text, now)
    # A caller that goes away between commit and registration must not leave an old model as the newest.
    await asyncio.shield(_commit(services, call, record, model))
    return WrittenModel(model_id)


async def _commit(services: Services, call: Call, record: ModelRecord, model: CompiledModel) -> None:
    try:
        await services.datastore.write_model(record, by=call.origin)
    finally:
        services.models.forget_latest()
    services.models.add(record.store_id, model)


def _check_limits(services: Services, query: WriteModelQuery) -> None:
    limits = services.limits
    types = query.body.get("type_definitions")
    if isinstance(types, list) and len(types) > limits.max_types_per_model:
        raise EntityLimitExceeded(f"the model has {len(types)} types: at most {limits.max_types_per_model} are allowed")
    if query.size > limits.max_model_bytes:
        raise EntityLimitExceeded(f"the model has {query.size} bytes: at most {limits.max_model_bytes} are allowed")
