"""Give and take roles: tuples of the system store. Called by the handlers of AccessService and CreateStore.

Whether the caller may do so is decided before, by the authorizer.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from authz.access.authorization.names import (
    GROUP,
    GROUP_PREFIX,
    MODULE,
    SERVICE,
    STORE,
    SYSTEM_STORE,
    check_group,
    check_principal,
    decoded,
    group_object,
    holder,
    holder_name,
    module_object,
    split_module,
    store_object,
)
from authz.access.authorization.system import system_model
from authz.call import Authentication, Call
from authz.commands.services import Services
from authz.errors import InvalidRequest
from authz.store.api import OnExisting, TupleWrite
from authz.tuples import RelationshipTuple, object_type, split_object, user_kind

OWNER = "admin"
"""What the creator of a store becomes on it."""


class Grant(NamedTuple):
    """A role that a principal, or the members of a group (`group:ISSUER/NAME`), have on an object."""

    principal: str
    role: str
    store_id: str = ""
    """Empty: on the service, or in a group."""
    module: str = ""
    """Empty: on the whole store."""
    group: str = ""
    """The group that a principal is made a `member` of."""


async def give(services: Services, call: Call, grant: Grant) -> None:
    """Give a role; no error when it was given before. In force here when this returns.

    Raises:
        InvalidRequest: there is no such role, or the names are malformed, or such as no caller can have.

    """
    if grant.principal.startswith(GROUP_PREFIX):
        check_group(grant.principal.removeprefix(GROUP_PREFIX))
    else:
        check_principal(grant.principal)
    if grant.group:
        check_group(grant.group)
    await _commit(services, call, TupleWrite(writes=[tuple_of(grant)], on_duplicate=OnExisting.IGNORE))


async def withdraw(services: Services, call: Call, grant: Grant) -> None:
    """Take a role away; no error when it was not given. In force here when this returns.

    Raises:
        InvalidRequest: as `give`.

    """
    await _commit(services, call, TupleWrite(deletes=[tuple_of(grant).key], on_missing=OnExisting.IGNORE))


async def own(services: Services, call: Call, store_id: str) -> None:
    """Make the caller the administrator of a store that it is about to create. An unknown caller owns nothing."""
    if call.principal.authentication is not Authentication.NONE:
        await give(services, call, Grant(call.principal.id, OWNER, store_id))


def tuple_of(grant: Grant) -> RelationshipTuple:
    """A grant as it is stored.

    Raises:
        InvalidRequest: there is no such role on such an object, or the names are malformed.

    """
    object_, user = _object_of(grant), holder(grant.principal)
    type_ = object_type(object_)
    if (type_, grant.role, user_kind(user), "") not in system_model().allowed:
        raise InvalidRequest(f"`{grant.role}` is no role on a {type_}: use one of {_roles(type_)}")
    return RelationshipTuple(object_, grant.role, user)


def grant_of(tuple_: RelationshipTuple) -> Grant:
    """A stored tuple as the grant that it is."""
    type_, object_id = split_object(tuple_.object)
    principal, role = holder_name(tuple_.user), tuple_.relation
    if type_ == STORE:
        return Grant(principal, role, decoded(object_id))
    if type_ == MODULE:
        return Grant(principal, role, *split_module(object_id))
    return Grant(principal, role, group=decoded(object_id) if type_ == GROUP else "")


def _object_of(grant: Grant) -> str:
    if grant.group and (grant.store_id or grant.module):
        raise InvalidRequest("a role is in a group or on a store, not both")
    if grant.module and not grant.store_id:
        raise InvalidRequest("a role on a module needs the store that the module belongs to")
    if grant.store_id == SYSTEM_STORE:
        raise InvalidRequest("there are no roles on the system store: give them on the service")
    if grant.group:
        object_ = group_object(grant.group)
    elif grant.module:
        object_ = module_object(grant.store_id, grant.module)
    else:
        object_ = store_object(grant.store_id) if grant.store_id else SERVICE
    if object_ is None:
        raise InvalidRequest("the name of the group or module is too long")
    return object_


def _roles(type_: str) -> str:
    names = {name for of, name, kind, _ in system_model().allowed if of == type_ and kind.type == "principal"}
    return ", ".join(f"`{name}`" for name in sorted(names))


async def _commit(services: Services, call: Call, write: TupleWrite) -> None:
    # A caller that goes away between commit and application must not leave this process's rights behind.
    await asyncio.shield(_apply(services, call, write))


async def _apply(services: Services, call: Call, write: TupleWrite) -> None:
    now = services.clock.now()
    result = await services.datastore.write(SYSTEM_STORE, write, by=call.origin, now=now)
    await services.indexes.applied(SYSTEM_STORE, result)
