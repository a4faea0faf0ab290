"""Read: filters, pages, and the revision that holds them together."""

from __future__ import annotations

import pytest

from authz.commands.read import ReadQuery, read
from authz.commands.services import Services
from authz.commands.write import WriteQuery, write
from authz.consistency import Consistency, Mode
from authz.errors import InvalidConsistencyToken, InvalidContinuationToken, InvalidRequest
from authz.store.api import TupleFilter
from authz.tuples import RelationshipTuple
from tests.commands.support import CALL, SettableClock, new_world, put

pytestmark = pytest.mark.anyio

ANNE = RelationshipTuple("document:1", "viewer", "user:anne")
BOB = RelationshipTuple("document:2", "viewer", "user:bob")
OWNER = RelationshipTuple("document:1", "owner", "user:anne")
GROUP = RelationshipTuple("group:1", "member", "user:anne")


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        (None, {ANNE, BOB, OWNER, GROUP}),
        (TupleFilter("document:1"), {ANNE, OWNER}),
        (TupleFilter("document:1", "owner"), {OWNER}),
        (TupleFilter("document:1", "", "user:anne"), {ANNE, OWNER}),
        (TupleFilter("document:", "", "user:anne"), {ANNE, OWNER}),
        (TupleFilter("document:", "viewer", "user:bob"), {BOB}),
        (TupleFilter("document:3"), set()),
    ],
)
async def test_filters(services: Services, filter_: TupleFilter | None, expected: set[RelationshipTuple]) -> None:
    """
    A filter gives exactly the tuples that match it.
    """
    store_id = await new_world(services)
    await put(services, store_id, ANNE, BOB, OWNER, GROUP)
    found = await read(services, CALL, ReadQuery(store_id, filter_))
    assert expected == {stored.tuple for stored in found.tuples}


@pytest.mark.parametrize(
    "filter_",
    [
        TupleFilter(),
        TupleFilter("", "viewer"),
        TupleFilter("", "", "user:anne"),
        TupleFilter("document:"),
        TupleFilter("document", "", "user:anne"),
        TupleFilter(":1", "", "user:anne"),
    ],
)
async def test_filters_that_are_too_wide_are_refused(services: Services, filter_: TupleFilter) -> None:
    """
    A filter needs an object type, and an object id or a user.
    """
    store_id = await new_world(services)
    with pytest.raises(InvalidRequest):
        await read(services, CALL, ReadQuery(store_id, filter_))


async def test_pages_show_the_tuples_of_the_first_page_s_revision(services: Services) -> None:
    """
    Deletes and writes between two pages neither hide nor double a tuple.
    """
    store_id = await new_world(services)
    tuples = [ANNE._replace(object=f"document:{number}") for number in range(10)]
    await put(services, store_id, *tuples)
    first = await read(services, CALL, ReadQuery(store_id, None, 4))
    await write(services, CALL, WriteQuery(store_id, "", [BOB._replace(object="document:99")], [tuples[7].key]))
    seen = [stored.tuple for stored in first.tuples]
    token = first.continuation_token
    while token:
        page = await read(services, CALL, ReadQuery(store_id, None, 4, token))
        seen += [stored.tuple for stored in page.tuples]
        token = page.continuation_token
    assert tuples == sorted(seen)
    assert len(tuples) == len(seen)


async def test_a_token_outlives_not_the_history(services: Services) -> None:
    """
    When garbage collection has passed a token's revision, the listing must begin again.
    """
    store_id = await new_world(services)
    tuples = [ANNE._replace(object=f"document:{number}") for number in range(10)]
    await put(services, store_id, *tuples)
    page = await read(services, CALL, ReadQuery(store_id, None, 4))
    await write(services, CALL, WriteQuery(store_id, "", deletes=[tuples[0].key]))
    assert isinstance(services.clock, SettableClock)
    services.clock.move(3600)
    assert await services.datastore.collect_garbage(services.clock.now(), limit=100)
    with pytest.raises(InvalidContinuationToken, match="begin again"):
        await read(services, CALL, ReadQuery(store_id, None, 4, page.continuation_token))


async def test_consistency_tokens_are_honoured(services: Services) -> None:
    """
    A read at an exact snapshot shows what stood then; a token from the future is refused.
    """
    store_id = await new_world(services)
    before = await put(services, store_id, ANNE)
    after = await put(services, store_id, BOB)
    then = Consistency(Mode.AT_EXACT_SNAPSHOT, services.tokens.encode(store_id, before.revision))
    found = await read(services, CALL, ReadQuery(store_id, consistency=then))
    assert ([ANNE], before.revision) == ([stored.tuple for stored in found.tuples], found.revision)
    ahead = Consistency(Mode.AT_LEAST_AS_FRESH, services.tokens.encode(store_id, after.revision + 1))
    with pytest.raises(InvalidConsistencyToken):
        await read(services, CALL, ReadQuery(store_id, consistency=ahead))
