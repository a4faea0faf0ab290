"""Write: what is refused, in which order, and what stands afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from authz.commands.limits import Limits
from authz.commands.read import ReadQuery, read
from authz.commands.services import Services
from authz.commands.write import WriteQuery, write
from authz.errors import (
    DuplicateTuple,
    EmptyWrite,
    EntityLimitExceeded,
    InvalidRequest,
    InvalidWrite,
    LatestModelNotFound,
    ModelNotFound,
    WriteConflict,
)
from authz.store.api import WriteResult
from authz.store.sql import SqlDatastore
from authz.tuples import RelationshipCondition, RelationshipTuple, TupleKey
from tests.commands.support import CALL, UNKNOWN_ID, new_model, new_store, new_world, put, services_over

pytestmark = pytest.mark.anyio

ANNE = RelationshipTuple("document:1", "viewer", "user:anne")
BOB = RelationshipTuple("document:1", "viewer", "user:bob")
BAD_USER = RelationshipTuple("document:1", "nothing", "nobody:bob")


def on_weekdays(day: str = "monday") -> RelationshipTuple:
    """The first tuple under a condition."""
    return ANNE._replace(condition=RelationshipCondition("weekday", {"day": day}))


async def stored(services: Services, store_id: str) -> set[RelationshipTuple]:
    """All tuples of the store."""
    return {found.tuple for found in (await read(services, CALL, ReadQuery(store_id))).tuples}


async def test_written_tuples_stand_and_deleted_ones_do_not(services: Services) -> None:
    """
    A write applies deletes and writes together, and each write raises the revision by one.
    """
    store_id = await new_world(services)
    first = await put(services, store_id, ANNE)
    second = await write(services, CALL, WriteQuery(store_id, "", [BOB], [ANNE.key]))
    assert ({BOB}, first.revision + 1) == (await stored(services, store_id), second.revision)


async def test_the_actor_is_the_principal(services: Services) -> None:
    """
    The changelog says who wrote.
    """
    store_id = await new_world(services)
    await put(services, store_id, ANNE)
    (change,) = await services.datastore.changes_after(store_id, 0, 10)
    assert CALL.principal.id == change.actor


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({}, EmptyWrite),
        ({"writes": [BAD_USER]}, InvalidRequest),
        ({"writes": [ANNE._replace(object="document")]}, InvalidRequest),
        ({"writes": [RelationshipTuple("group:g", "member", "group:g#member")]}, InvalidRequest),
        ({"writes": [on_weekdays("x" * 40_000)]}, InvalidRequest),
        ({"writes": [ANNE], "on_duplicate": "replace"}, InvalidRequest),
        ({"deletes": [ANNE.key], "on_missing": "Error"}, InvalidRequest),
        ({"deletes": [TupleKey("document:1", "viewer", "user:a:b")]}, InvalidRequest),
        ({"deletes": [TupleKey("document:1", "viewer", "user a")]}, InvalidRequest),
        ({"deletes": [TupleKey("document:1", "viewer", "")]}, InvalidRequest),
        ({"writes": [ANNE, on_weekdays()]}, DuplicateTuple),
        ({"deletes": [ANNE.key, ANNE.key]}, DuplicateTuple),
        ({"writes": [ANNE], "deletes": [ANNE.key]}, DuplicateTuple),
        ({"deletes": [ANNE.key]}, InvalidWrite),
    ],
)
async def test_a_bad_write_is_refused_whole(services: Services, query: dict[str, Any], error: type) -> None:
    """
    Each mistake has its error, and nothing of the write stands.
    """
    store_id = await new_world(services)
    with pytest.raises(error) as caught:
        await write(services, CALL, WriteQuery(store_id, "", **query))
    assert caught.type is error
    assert not await stored(services, store_id)


@pytest.mark.parametrize(
    ("writes", "deletes", "error"),
    [
        ([BAD_USER, ANNE, ANNE, BOB], [TupleKey("a", "b", "x:y:z")], "user `nobody:bob`"),
        ([ANNE, ANNE, BOB], [TupleKey("a", "b", "x:y:z")], "x:y:z"),
        ([ANNE, ANNE, BOB], [BOB.key], "named twice"),
        ([ANNE, BOB], [TupleKey("document:2", "viewer", "user:x")], "at most 2"),
    ],
)
async def test_the_first_check_that_fails_decides(
    sqlite_datastore: SqlDatastore, writes: Sequence[RelationshipTuple], deletes: Sequence[TupleKey], error: str
) -> None:
    """
    Writes are judged before deletes, both before duplicates, these before the count, and that before the store.
    """
    services = services_over(sqlite_datastore, Limits(max_tuples_per_write=2))
    store_id = await new_world(services)
    with pytest.raises(InvalidRequest, match=error):
        await write(services, CALL, WriteQuery(store_id, "", writes, deletes))


async def test_the_number_of_tuples_is_limited(services: Services) -> None:
    """
    A hundred tuples may be written at once, one more may not.
    """
    store_id = await new_world(services)
    tuples = [ANNE._replace(object=f"document:{number}") for number in range(101)]
    with pytest.raises(EntityLimitExceeded):
        await put(services, store_id, *tuples)
    await put(services, store_id, *tuples[:100])


async def test_existing_and_missing_tuples_can_be_ignored(services: Services) -> None:
    """
    `ignore` makes writing what stands and deleting what is missing no error, unless the condition differs.
    """
    store_id = await new_world(services)
    await put(services, store_id, ANNE)
    with pytest.raises(InvalidWrite):
        await put(services, store_id, ANNE)
    query = WriteQuery(store_id, "", [ANNE], [BOB.key], "ignore", "ignore")
    await write(services, CALL, query)
    with pytest.raises(WriteConflict):
        await write(services, CALL, query._replace(writes=[on_weekdays()]))
    assert {ANNE} == await stored(services, store_id)


async def test_tuples_of_retired_models_can_be_deleted(services: Services) -> None:
    """
    A delete needs no place in today's model.
    """
    store_id = await new_world(services)
    await put(services, store_id, ANNE)
    await new_model(services, store_id, "model\n  schema 1.1\ntype user\n")
    await write(services, CALL, WriteQuery(store_id, "", deletes=[ANNE.key]))
    assert not await stored(services, store_id)


async def test_the_model_must_exist(services: Services) -> None:
    """
    An unknown model and a store without models are told apart.
    """
    store_id = await new_store(services)
    with pytest.raises(LatestModelNotFound):
        await put(services, store_id, ANNE)
    with pytest.raises(ModelNotFound):
        await write(services, CALL, WriteQuery(store_id, UNKNOWN_ID, [ANNE]))


async def test_a_caller_that_leaves_does_not_tear_the_write_apart(services: Services) -> None:
    """
    When the caller goes away in the middle, a committed write still reaches this process's index.
    """
    store_id = await new_world(services)
    committed, go_on, reached = asyncio.Event(), asyncio.Event(), asyncio.Event()
    apply = services.indexes.applied

    async def slow(store_id: str, result: WriteResult) -> None:
        committed.set()
        await go_on.wait()
        await apply(store_id, result)
        reached.set()

    services.indexes.applied = slow  # type: ignore[method-assign]
    task = asyncio.create_task(put(services, store_id, ANNE))
    await committed.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    async with asyncio.timeout(5):
        await reached.wait()
    assert {ANNE} == await stored(services, store_id)
