"""Add and remove tuples in one transaction. Called by the edge and the CLI.

The order of the checks decides which error a caller sees: writes, then deletes, then duplicates, then the count;
whether tuples exist is decided last, in the transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from authz.call import Call
from authz.commands.services import Services
from authz.errors import (
    DuplicateTuple,
    EmptyWrite,
    EntityLimitExceeded,
    InvalidRequest,
    InvalidWrite,
    WriteConflict,
)
from authz.model.compile import CompiledModel
from authz.model.tuples import check_tuple
from authz.store.api import OnExisting, TupleWrite, WriteResult
from authz.tuples import RelationshipTuple, TupleKey


class WriteQuery(NamedTuple):
    """Tuples to add and keys to remove. `on_duplicate` and `on_missing` are `error` (also when empty) or `ignore`."""

    store_id: str
    model_id: str
    writes: Sequence[RelationshipTuple] = ()
    deletes: Sequence[TupleKey] = ()
    on_duplicate: str = ""
    on_missing: str = ""


class Written(NamedTuple):
    """The model that allowed the tuples, and the revision at which they stand."""

    model_id: str
    revision: int


async def write(services: Services, call: Call, query: WriteQuery) -> Written:
    """Apply one write transaction: deletes before writes, all or nothing.

    Raises:
        EmptyWrite: neither writes nor deletes.
        ModelNotFound, LatestModelNotFound: there is no such model.
        InvalidRequest: a tuple is malformed, not allowed by the model, implied by itself, or its context is too large.
        DuplicateTuple: one key comes twice, in whichever list.
        EntityLimitExceeded: too many tuples.
        InvalidWrite: a tuple exists or is missing, and that is to be an error.
        WriteConflict: a tuple exists with another condition, or another transaction won.

    """
    on_duplicate = _on_existing("writes.on_duplicate", query.on_duplicate)
    on_missing = _on_existing("deletes.on_missing", query.on_missing)
    if not query.writes and not query.deletes:
        raise EmptyWrite("a write needs at least one tuple to write or to delete")
    model = await services.models.get(query.store_id, query.model_id)
    _check(services, model, query)
    transaction = TupleWrite(query.deletes, query.writes, on_missing, on_duplicate)
    # A caller that goes away between commit and application must not leave this process's index behind.
    result = await asyncio.shield(_commit(services, call, query.store_id, transaction))
    return Written(model.id, result.revision)


async def _commit(services: Services, call: Call, store_id: str, transaction: TupleWrite) -> WriteResult:
    now = services.clock.now()
    try:
        result = await services.datastore.write(store_id, transaction, by=call.origin, now=now)
    except (InvalidWrite, WriteConflict):
        # Its caller learns of tuples that another process may have committed and not told of, or died before it did.
        services.indexes.doubt(store_id)
        raise
    await services.indexes.applied(store_id, result)
    return result


def _on_existing(field: str, text: str) -> OnExisting:
    try:
        return OnExisting(text or OnExisting.ERROR.value)
    except ValueError:
        raise InvalidRequest(f"`{field}` must be `error` or `ignore`: got `{text[:64]}`") from None


def _check(services: Services, model: CompiledModel, query: WriteQuery) -> None:
    for tuple_ in query.writes:
        check_tuple(model, tuple_)
        _check_not_implied(tuple_)
        _check_context_size(tuple_, services.limits.max_condition_context_bytes)
    for key in query.deletes:
        _check_delete(key)
    _check_unique(query)
    count, allowed = len(query.writes) + len(query.deletes), services.limits.max_tuples_per_write
    if count > allowed:
        raise EntityLimitExceeded(f"the write names {count} tuples: at most {allowed} are allowed")


def _check_not_implied(tuple_: RelationshipTuple) -> None:
    if tuple_.user == f"{tuple_.object}#{tuple_.relation}":
        raise InvalidRequest(f"invalid tuple `{tuple_.key}`: it is true by itself and cannot be written")


def _check_context_size(tuple_: RelationshipTuple, allowed: int) -> None:
    if tuple_.condition is None or not tuple_.condition.context:
        return
    size = len(orjson.dumps(tuple_.condition.context))
    if size > allowed:
        raise InvalidRequest(
            f"invalid tuple `{tuple_.key}`: the context of condition `{tuple_.condition.name}` has {size} bytes,"
            f" at most {allowed} are allowed"
        )


def _check_delete(key: TupleKey) -> None:
    """Only the form counts, so that tuples of models that are long gone can be removed."""
    user = key.user
    if not user or user.count(":") > 1 or user.count("#") > 1 or any(character.isspace() for character in user):
        raise InvalidRequest(f"invalid tuple `{key}`: user `{user}` is malformed")


def _check_unique(query: WriteQuery) -> None:
    seen: set[TupleKey] = set()
    for key in [*query.deletes, *(tuple_.key for tuple_ in query.writes)]:
        if key in seen:
            raise DuplicateTuple(f"tuple `{key}` is named twice in one write")
        seen.add(key)
