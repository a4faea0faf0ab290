"""Assertions: kept with their model, checked against it, never run."""

from __future__ import annotations

import pytest

from authz.commands.assertions import Assertion
from authz.commands.limits import Limits
from authz.commands.read_assertions import ReadAssertionsQuery, read_assertions
from authz.commands.services import Services
from authz.commands.write_assertions import WriteAssertionsQuery, write_assertions
from authz.errors import EntityLimitExceeded, InvalidRequest, ModelNotFound
from authz.store.sql import SqlDatastore
from authz.tuples import RelationshipCondition, RelationshipTuple, TupleKey
from tests.commands.support import CALL, UNKNOWN_ID, new_model, new_store, services_over

pytestmark = pytest.mark.anyio

KEY = TupleKey("document:1", "viewer", "user:anne")
CONDITIONAL = RelationshipTuple(*KEY, RelationshipCondition("weekday", {"day": "monday"}))


async def test_assertions_are_read_as_they_were_written(services: Services) -> None:
    """
    All parts come back, an empty context as one, and the last write replaces those before.
    """
    store_id = await new_store(services)
    model_id = await new_model(services, store_id)
    query = ReadAssertionsQuery(store_id, model_id)
    assert await read_assertions(services, CALL, query) == []
    full = [
        Assertion(KEY, True, (CONDITIONAL, CONDITIONAL._replace(condition=None)), {"day": "tuesday", "n": [1.5, None]}),
        Assertion(KEY._replace(relation="owner"), False, context={}),
        Assertion(KEY, False),
    ]
    for assertions in (full, full[:1], []):
        await write_assertions(services, CALL, WriteAssertionsQuery(store_id, model_id, assertions, 100))
        assert assertions == await read_assertions(services, CALL, query)


@pytest.mark.parametrize(
    "assertion",
    [
        Assertion(KEY._replace(relation="nothing"), True),
        Assertion(KEY._replace(object="nothing:1"), True),
        Assertion(KEY._replace(user="nobody"), True),
        Assertion(KEY, True, (CONDITIONAL._replace(condition=RelationshipCondition("weekday", {"x": 1})),)),
        Assertion(KEY, True, (CONDITIONAL._replace(relation="nothing"),)),
    ],
)
async def test_an_assertion_that_the_model_does_not_define_is_refused(services: Services, assertion: Assertion) -> None:
    """
    The error says which assertion, and nothing is kept.
    """
    store_id = await new_store(services)
    model_id = await new_model(services, store_id)
    query = WriteAssertionsQuery(store_id, model_id, [Assertion(KEY, True), assertion], 100)
    with pytest.raises(InvalidRequest, match="assertion 1") as caught:
        await write_assertions(services, CALL, query)
    assert caught.value.reason == "validation_error"
    assert await read_assertions(services, CALL, ReadAssertionsQuery(store_id, model_id)) == []


async def test_the_model_must_exist(services: Services) -> None:
    """
    Assertions of a model that is not there can neither be written nor read.
    """
    store_id = await new_store(services)
    with pytest.raises(ModelNotFound):
        await write_assertions(services, CALL, WriteAssertionsQuery(store_id, UNKNOWN_ID, [], 0))
    with pytest.raises(ModelNotFound):
        await read_assertions(services, CALL, ReadAssertionsQuery(store_id, UNKNOWN_ID))


async def test_the_size_is_limited(sqlite_datastore: SqlDatastore) -> None:
    """
    Too many bytes are refused.
    """
    services = services_over(sqlite_datastore, Limits(max_assertions_bytes=10))
    store_id = await new_store(services)
    model_id = await new_model(services, store_id)
    await write_assertions(services, CALL, WriteAssertionsQuery(store_id, model_id, [Assertion(KEY, True)], 10))
    with pytest.raises(EntityLimitExceeded):
        await write_assertions(services, CALL, WriteAssertionsQuery(store_id, model_id, [Assertion(KEY, True)], 11))
