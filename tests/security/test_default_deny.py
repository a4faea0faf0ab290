"""Nobody may do anything that he was not given a right to: every call of every service, as it comes from `proto/`.

A call that is added to the interface is covered here by itself.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from authz._proto.authz.v1 import access_pb2, audit_pb2
from authz._proto.openfga.v1 import openfga_service_pb2
from authz.access.authorization import DENIED, SYSTEM_STORE
from authz.access.authorization.grants import Grant
from authz.call import Principal, Scope
from authz.commands.create_store import CreateStoreQuery, create_store
from authz.rpc.chain import CHAIN, compose
from authz.rpc.exchange import Method
from authz.rpc.methods import METHODS
from authz.store.sql import SqlDatastore
from tests.access.authorization.support import OTHER, STORE, World, principal, request_for, world_over
from tests.commands.support import CALL
from tests.rpc.support import edge, exchange

pytestmark = pytest.mark.anyio

_METHODS = {method.path: method for method in METHODS}
CALLS: list[MethodDescriptor] = [
    method
    for module in (openfga_service_pb2, access_pb2, audit_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]

STRANGERS = {
    "nobody": principal("corp/mallory"),
    "with every scope": principal("corp/mallory", scopes=Scope),
    "in groups": principal("corp/mallory", ["corp/staff", "corp/admin", "*", "corp/staff#member"]),
    "named like an administrator": principal("key/root/"),
    "named like a wildcard": principal("*"),
    "named like a userset": principal("corp/ops#member"),
    "named like an object": principal("service:authz"),
    "named like a group": principal("group:corp/ops"),
    "named like an encoded name": principal("corp%2Fanne"),
    "without a name": principal(""),
    "anonymous": principal("anonymous", is_known=False),
    "an administrator's name without proof": principal("key/root", is_known=False),
    "an administrator's token without a scope": principal("key/root", scopes=()),
}


@pytest.fixture
async def world(sqlite_datastore: SqlDatastore) -> World:
    """A service in which others have every right there is."""
    world = await world_over(sqlite_datastore)
    await world.put_modules()
    holders = ("corp/anne", "group:corp/ops")
    roles = ("admin", "model_writer", "writer", "reader", "checker")
    await world.give_all(
        *(Grant(holder, "admin") for holder in holders),
        *(Grant(holder, role, STORE) for holder in holders for role in roles),
        *(Grant("corp/anne", "writer", STORE, module) for module in ("core", "wiki", "chat")),
    )
    return world


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.full_name)
async def test_every_call_is_denied_by_default(world: World, call: MethodDescriptor) -> None:
    """To every kind of stranger, on a store that exists, on one that does not, and on the service."""
    path = f"/{call.containing_service.full_name}/{call.name}"
    assert path in _METHODS, f"nobody answers `{path}`"
    for stranger in STRANGERS.values():
        for store_id in (STORE, OTHER, ""):
            assert not await _may(world, path, stranger, store_id)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.full_name)
async def test_every_call_is_allowed_to_somebody(world: World, call: MethodDescriptor) -> None:
    """An administrator may make it: no rule denies by asking for what cannot be had."""
    path = f"/{call.containing_service.full_name}/{call.name}"
    for who in (principal("corp/anne"), principal("corp/carl", ["corp/ops"]), principal("key/root")):
        assert await _may(world, path, who, STORE)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.full_name)
async def test_refusals_are_all_alike(world: World, call: MethodDescriptor) -> None:
    """A stranger is told the same of every call, whether the store exists or not, or is that of the rights."""
    method = _METHODS[f"/{call.containing_service.full_name}/{call.name}"]
    steps = [link for link in CHAIN if link.name in ("errors", "validate", "authorize")]
    proceed = compose(dataclasses.replace(edge(), services=world.services, authorizer=world.authorizer), method, steps)
    made = await create_store(world.services, CALL, CreateStoreQuery("shop", STORE))
    for store_id in (made.id, OTHER, SYSTEM_STORE):
        asked = exchange(method, well_formed(method, store_id))
        asked.call.principal = principal("corp/mallory")
        assert await proceed(asked) is None
        assert asked.failure is not None
        assert asked.failure[:3] == (grpc.StatusCode.PERMISSION_DENIED, "forbidden", DENIED)
        assert (asked.initial, asked.trailing) == ([], [])


def well_formed(method: Method, store_id: str) -> Message:
    """A request about a store that passes validation."""
    request: Any = request_for(method, store_id)
    json_of = {
        "authorization_model_id": OTHER,
        "id": OTHER,
        "name": "shop",
        "tuple_key": {"object": "doc:1", "relation": "owner", "user": "user:anne"},
        "checks": [{"correlation_id": "a", "tuple_key": {"object": "doc:1", "relation": "owner", "user": "user:anne"}}],
        "type": "doc",
        "relation": "owner",
        "user": "user:anne",
        "object": {"type": "doc", "id": "1"},
        "user_filters": [{"type": "user"}],
        "type_definitions": [{"type": "user"}],
        "schema_version": "1.1",
        "assertions": [],
        "token_id": "j1",
        "issuer": "corp",
        "principal": "corp/anne",
        "expires_at": "2030-01-01T00:00:00Z",
    }
    fields = request.DESCRIPTOR.fields_by_name
    if method.name == "Expand":
        json_of["tuple_key"] = {"object": "doc:1", "relation": "owner"}
    if method.name == "QueryRecords":
        json_of = {}
    if method.name == "RevokeTokens":
        del json_of["principal"]
    return ParseDict({name: value for name, value in json_of.items() if name in fields}, request)


async def _may(world: World, path: str, who: Principal, store_id: str) -> bool:
    method = _METHODS[path]
    request: Any = request_for(method, store_id)
    return await world.may(who, method.name, store_id, request)
