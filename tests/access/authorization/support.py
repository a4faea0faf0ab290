"""A service with rights, and short ways to ask what a principal may do. Used by the tests of rights and by attacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.access.authorization import SYSTEM_STORE, Authorizer, prepare_system_store
from authz.access.authorization.grants import Grant, give, tuple_of, withdraw
from authz.call import Authentication, Call, Principal, Scope
from authz.commands.services import Services
from authz.commands.write_model import WriteModelQuery, write_model
from authz.errors import Forbidden
from authz.rpc.exchange import Method
from authz.rpc.methods import METHODS
from authz.store.api import Datastore, TupleWrite
from schema_dsl import combine_modules
from tests.commands.support import CALL, services_over

STORE = "01HYYYYYYYYYYYYYYYYYYYYYYY"
OTHER = "01HXXXXXXXXXXXXXXXXXXXXXXX"
ROOT = "key/root"
BY_NAME = {method.name: method for method in METHODS}
PREMATURE = {"Grant", "Withdraw", "RevokeTokens", "Suspend", "Lift"}
"""What nobody may do while nobody must prove who he is: it would outlast that time."""

MODULES = {
    "core.fga": "module core\ntype user\ntype doc\n  relations\n    define owner: [user]\n",
    "wiki.fga": (
        "module wiki\ntype page\n  relations\n    define editor: [user]\n"
        "extend type doc\n  relations\n    define writer: [user]\n"
    ),
    "chat.fga": "module chat\ntype room\n  relations\n    define member: [user]\n",
}


def principal(
    id_: str, groups: Iterable[str] = (), scopes: Iterable[Scope] | None = None, *, is_known: bool = True
) -> Principal:
    """A caller that has proved who it is, unless it is not known."""
    how = Authentication.TOKEN if is_known else Authentication.NONE
    return Principal(id_, how, None if scopes is None else frozenset(scopes), frozenset(groups))


def request_for(method: Method, store_id: str) -> Message:
    """A request about a store (about the service, for the empty id), as far as rights look at it."""
    request: Any = method.request()
    fields = request.DESCRIPTOR.fields_by_name
    if "store_id" in fields:
        request.store_id = store_id
    if "grant" in fields:
        request.grant.principal, request.grant.role, request.grant.store_id = "corp/mallory", "reader", store_id
    if method.name == "Write":
        request.writes.tuple_keys.add(object="doc:1", relation="owner", user="user:anne")
    message: Message = request
    return message


@dataclass(frozen=True)
class World:
    """Services whose rights are in force; `ROOT` is their administrator by the settings."""

    services: Services
    authorizer: Authorizer

    async def may(self, who: Principal, name: str, store_id: str = STORE, request: Message | None = None) -> bool:
        """Whether a principal may make a call about a store."""
        method = BY_NAME[name]
        asked = request or request_for(method, store_id)
        has_store = "store_id" in method.request.DESCRIPTOR.fields_by_name
        gate = self.authorizer.gate(method.path, method.scope)
        try:
            return await gate(Call(principal=who), store_id if has_store else "", asked)
        except Forbidden:
            return False

    async def allowed(self, who: Principal, store_id: str = STORE) -> set[str]:
        """The names of all calls about a store that a principal may make."""
        return {name for name in BY_NAME if await self.may(who, name, store_id)}

    async def give(self, principal_id: str, role: str, store_id: str = "", module: str = "", group: str = "") -> None:
        """Give a role."""
        await give(self.services, CALL, Grant(principal_id, role, store_id, module, group))

    async def give_all(self, *grants: Grant) -> None:
        """Give many roles in one transaction."""
        write = TupleWrite(writes=[tuple_of(grant) for grant in grants])
        result = await self.services.datastore.write(SYSTEM_STORE, write, by=CALL.origin, now=self.services.clock.now())
        await self.services.indexes.applied(SYSTEM_STORE, result)

    async def withdraw(
        self, principal_id: str, role: str, store_id: str = "", module: str = "", group: str = ""
    ) -> None:
        """Take a role away."""
        await withdraw(self.services, CALL, Grant(principal_id, role, store_id, module, group))

    async def put_modules(self, store_id: str = STORE, files: dict[str, str] = MODULES) -> str:
        """Write a model made of modules; returns its id."""
        body = combine_modules(files, "1.2")
        return (await write_model(self.services, CALL, WriteModelQuery(store_id, body, 1))).model_id


async def world_over(datastore: Datastore, *, is_enabled: bool = True) -> World:
    """A service over a datastore."""
    services = services_over(datastore)
    authorizer = Authorizer(
        services.indexes, services.models, services.clock, admins=frozenset({ROOT}), enabled=is_enabled
    )
    world = World(dataclasses.replace(services, rights=authorizer), authorizer)
    await prepare_system_store(world.services)
    return world


def write_of(*tuples: str, deletes: Iterable[str] = (), store_id: str = STORE, model_id: str = "") -> pb.WriteRequest:
    """A write of tuples given as `object relation user`."""
    request = pb.WriteRequest(store_id=store_id, authorization_model_id=model_id)
    for text in tuples:
        object_, relation, user = text.split()
        request.writes.tuple_keys.add(object=object_, relation=relation, user=user)
    for text in deletes:
        object_, relation, user = text.split()
        request.deletes.tuple_keys.add(object=object_, relation=relation, user=user)
    return request
