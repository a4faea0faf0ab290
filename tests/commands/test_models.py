"""Models: write, read, list; which one is the newest."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from authz.commands.limits import Limits
from authz.commands.list_models import ListModelsQuery, list_models
from authz.commands.read_model import ReadModelQuery, read_model
from authz.commands.registry import ModelRegistry
from authz.commands.services import Services
from authz.commands.write_model import WriteModelQuery, write_model
from authz.errors import EntityLimitExceeded, InvalidModel, LatestModelNotFound, ModelNotFound
from authz.store.sql import SqlDatastore, open_datastore
from authz.tuples import JsonValue
from schema_dsl import dsl_to_json
from tests.commands.support import (
    CALL,
    MODEL,
    UNKNOWN_ID,
    SettableClock,
    new_model,
    new_store,
    services_over,
)

pytestmark = pytest.mark.anyio


async def test_a_model_is_read_as_it_was_written(services: Services) -> None:
    """
    The stored body is the JSON form that was given.
    """
    store_id = await new_store(services)
    model_id = await new_model(services, store_id)
    record = await read_model(services, CALL, ReadModelQuery(store_id, model_id))
    assert ("1.1", dsl_to_json(MODEL)) == (record.schema_version, orjson.loads(record.body))


async def test_a_model_without_a_schema_version_is_1_1(services: Services) -> None:
    """
    Clients that leave the schema version out mean 1.1.
    """
    store_id = await new_store(services)
    query = WriteModelQuery(store_id, {"type_definitions": [{"type": "user"}]}, 10)
    written = await write_model(services, CALL, query)
    record = await read_model(services, CALL, ReadModelQuery(store_id, written.model_id))
    assert record.schema_version == "1.1"


async def test_an_invalid_model_is_refused_and_not_kept(services: Services) -> None:
    """
    A model that breaks a rule of the language leaves no trace.
    """
    store_id = await new_store(services)
    with pytest.raises(InvalidModel):
        await write_model(services, CALL, WriteModelQuery(store_id, {"schema_version": "1.0"}, 10))
    assert not (await list_models(services, CALL, ListModelsQuery(store_id))).models


async def test_limits_of_types_and_bytes(sqlite_datastore: SqlDatastore) -> None:
    """
    Too many types or bytes are refused, as many as allowed are not.
    """
    services = services_over(sqlite_datastore, Limits(max_types_per_model=2, max_model_bytes=100))
    store_id = await new_store(services)

    def query(types: int, size: int) -> WriteModelQuery:
        definitions: list[JsonValue] = [{"type": f"t{number}"} for number in range(types)]
        return WriteModelQuery(store_id, {"schema_version": "1.1", "type_definitions": definitions}, size)

    await write_model(services, CALL, query(2, 100))
    for types, size in ((3, 100), (2, 101)):
        with pytest.raises(EntityLimitExceeded):
            await write_model(services, CALL, query(types, size))


async def test_models_are_listed_newest_first(services: Services) -> None:
    """
    Following the tokens shows all models from the newest to the oldest, of this store only.
    """
    store_id, other = await new_store(services), await new_store(services)
    made = [await new_model(services, store_id) for _ in range(5)]
    await new_model(services, other)
    seen: list[str] = []
    token = ""
    for _ in range(3):
        page = await list_models(services, CALL, ListModelsQuery(store_id, 2, token))
        seen += [record.id for record in page.models]
        token = page.continuation_token
    assert (made[::-1], "") == (seen, token)


async def test_the_newest_model_is_used_when_none_is_named(services: Services) -> None:
    """
    The empty id means the model that was written last, also when the clock went back meanwhile.
    """
    store_id = await new_store(services)
    with pytest.raises(LatestModelNotFound):
        await services.models.get(store_id)
    assert isinstance(services.clock, SettableClock)
    for _ in range(3):
        services.clock.move(-60)
        model_id = await new_model(services, store_id)
        assert model_id == (await services.models.get(store_id)).id


async def test_a_model_of_another_store_is_not_found(services: Services) -> None:
    """
    Ids count within their store.
    """
    store_id, other = await new_store(services), await new_store(services)
    model_id = await new_model(services, store_id)
    for store, name in ((other, model_id), (store_id, UNKNOWN_ID)):
        with pytest.raises(ModelNotFound):
            await services.models.get(store, name)
        with pytest.raises(ModelNotFound):
            await read_model(services, CALL, ReadModelQuery(store, name))


async def test_a_compiled_model_is_kept_and_loaded_once(services: Services) -> None:
    """
    Calls that need a model at the same time get the same compiled one.
    """
    store_id = await new_store(services)
    model_id = await new_model(services, store_id)
    fresh = ModelRegistry(services.datastore, services.indexes)
    found = await asyncio.gather(*(fresh.get(store_id, model_id) for _ in range(50)))
    assert len(set(map(id, found))) == 1
    assert found[0] is await fresh.get(store_id)


async def test_the_newest_model_of_another_process_is_seen_at_once(services: Services, sqlite_uri: str) -> None:
    """
    Right after another process has written a model, the empty id means that one.
    """
    store_id = await new_store(services)
    datastore = open_datastore(sqlite_uri)
    try:
        neighbour = services_over(datastore)
        for _ in range(20):
            for writer, reader in ((services, neighbour), (neighbour, services)):
                model_id = await new_model(writer, store_id)
                assert model_id == (await reader.models.get(store_id)).id
                assert model_id == (await writer.models.get(store_id)).id
    finally:
        await datastore.close()


async def test_an_answer_that_crossed_a_change_is_not_kept(services: Services) -> None:
    """
    When the newest model changes while its id is being asked for, the old answer is not remembered.
    """
    store_id = await new_store(services)
    await new_model(services, store_id)
    asked = asyncio.create_task(services.models.get(store_id))
    model_id = await new_model(services, store_id)
    await asked
    assert model_id == (await services.models.get(store_id)).id


async def test_without_a_signal_the_newest_model_is_always_asked_for(services: Services) -> None:
    """
    Where no signal is exact, nothing about the newest model is remembered.
    """
    store_id = await new_store(services)
    registry = ModelRegistry(services.datastore)
    for _ in range(3):
        model_id = await new_model(services, store_id)
        assert model_id == (await registry.get(store_id)).id
