"""The system store is made ready at every start, by any number of nodes, of any two versions."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from authz.access.authorization import SYSTEM_STORE, prepare_system_store
from authz.access.authorization.system import system_body
from authz.commands.check import CheckQuery, check
from authz.commands.list_stores import ListStoresQuery, list_stores
from authz.commands.write_model import WriteModelQuery, write_model
from authz.store.sql import SqlDatastore
from schema_dsl import dsl_to_json, validate_json
from tests.access.authorization.support import STORE, World, principal, world_over
from tests.commands.support import CALL, services_over

pytestmark = pytest.mark.anyio


def test_the_model_is_valid() -> None:
    """By our own rules for people who edit models."""
    assert validate_json(system_body()) == []


async def _bodies(datastore: SqlDatastore) -> list[object]:
    return [orjson.loads(each.body) for each in await datastore.list_models(SYSTEM_STORE, before_id="", limit=100)]


async def test_the_model_is_written_once(sqlite_datastore: SqlDatastore) -> None:
    """A second start finds it."""
    for _ in range(3):
        await prepare_system_store(services_over(sqlite_datastore))
    assert await _bodies(sqlite_datastore) == [system_body()]


async def test_many_nodes_start_at_once(datastore: SqlDatastore, other_node: SqlDatastore) -> None:
    """All succeed, and all copies are the same."""
    await asyncio.gather(*(prepare_system_store(services_over(each)) for each in (datastore, other_node, datastore)))
    bodies = await _bodies(datastore)
    assert bodies
    assert all(body == system_body() for body in bodies)


async def test_a_node_of_another_version_decides_by_its_own_model(world: World) -> None:
    """A newer model in the datastore changes no decision here, and a restart does not write the old one again."""
    await world.give("corp/anne", "reader", STORE)
    newer = dsl_to_json("model\n  schema 1.1\ntype principal\ntype robot\n")
    await write_model(world.services, CALL, WriteModelQuery(SYSTEM_STORE, newer, 1))
    await world.give("corp/bob", "reader", STORE)
    assert await world.may(principal("corp/anne"), "Read")
    assert await world.may(principal("corp/bob"), "Read")
    await prepare_system_store(world.services)
    assert len(await world.services.datastore.list_models(SYSTEM_STORE, before_id="", limit=9)) == 2


async def test_the_system_store_is_in_no_list(world: World) -> None:
    """Also not for those who see all stores."""
    listed = await list_stores(world.services, CALL, ListStoresQuery())
    assert [store.id for store in listed.stores] == []
    assert await world.services.datastore.get_store(SYSTEM_STORE) is None


async def test_rights_can_be_asked_about(world: World) -> None:
    """An administrator can put ordinary questions to the system store."""
    await world.give("corp/anne%smith", "reader", STORE)
    query = CheckQuery(SYSTEM_STORE, "", f"store:{STORE}", "can_read", "principal:corp/anne%25smith")
    assert (await check(world.services, CALL, query)).allowed


async def test_models_of_the_store_outlive_nothing_else(sqlite_datastore: SqlDatastore) -> None:
    """A service prepared anew over the same datastore keeps what was granted."""
    await (await world_over(sqlite_datastore)).give("corp/anne", "writer", STORE)
    assert await (await world_over(sqlite_datastore)).may(principal("corp/anne"), "Write")
