"""What was granted can be listed, in pages, by principal and by store."""

from __future__ import annotations

import pytest

from authz.access.authorization.grants import Grant
from authz.access.authorization.list_grants import ListedGrants, ListGrantsQuery, list_grants
from authz.errors import InvalidContinuationToken, InvalidPageSize
from tests.access.authorization.support import OTHER, STORE, World
from tests.commands.support import CALL

pytestmark = pytest.mark.anyio

GRANTS = [
    Grant("corp/anne", "admin"),
    Grant("corp/anne", "reader", STORE),
    Grant("group:corp/st%aff", "writer", STORE, "wiki"),
    Grant("corp/bøb:#@*", "writer", STORE),
    Grant("corp/anne", "reader", OTHER),
    Grant("corp/anne", "writer", OTHER, "wiki"),
    Grant("corp/anne", "writer", STORE, "co/re"),
    Grant("key/cron", "member", group="ops/night"),
]


async def _filled(world: World) -> World:
    for grant in GRANTS:
        await world.give(*grant)
    return world


async def _all(world: World, query: ListGrantsQuery) -> list[Grant]:
    found: list[Grant] = []
    token, pages = "", 0
    while pages == 0 or token:
        page: ListedGrants = await list_grants(world.services, CALL, query._replace(continuation_token=token))
        assert len(page.grants) <= (query.page_size or 50)
        found += page.grants
        token, pages = page.continuation_token, pages + 1
        assert pages < 50
    return found


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 8, 100])
async def test_everything_in_pages(world: World, size: int) -> None:
    """Every grant comes once, in the order in which it was given."""
    await _filled(world)
    assert await _all(world, ListGrantsQuery(page_size=size)) == GRANTS


@pytest.mark.parametrize("size", [1, 2, 100])
async def test_by_store(world: World, size: int) -> None:
    """First what was granted on the store, then on its modules; nothing of another store."""
    await _filled(world)
    found = await _all(world, ListGrantsQuery(store_id=STORE, page_size=size))
    assert found == [GRANTS[1], GRANTS[3], GRANTS[2], GRANTS[6]]


async def test_by_principal(world: World) -> None:
    """A principal's own grants, or a group's; on one store, if asked."""
    await _filled(world)
    assert await _all(world, ListGrantsQuery("corp/anne", page_size=2)) == [GRANTS[at] for at in (0, 1, 4, 5, 6)]
    assert await _all(world, ListGrantsQuery("corp/anne", STORE)) == [GRANTS[1], GRANTS[6]]
    assert await _all(world, ListGrantsQuery("group:corp/st%aff")) == [GRANTS[2]]
    assert await _all(world, ListGrantsQuery("corp/bøb:#@*")) == [GRANTS[3]]
    assert await _all(world, ListGrantsQuery("corp/nobody")) == []


async def test_pages_are_of_one_moment(world: World) -> None:
    """What is withdrawn between two pages is still listed, what is given is not: nothing is lost or doubled."""
    await _filled(world)
    first = await list_grants(world.services, CALL, ListGrantsQuery(page_size=3))
    await world.withdraw(*GRANTS[0])
    await world.withdraw(*GRANTS[4])
    await world.give("corp/late", "admin")
    rest = await list_grants(
        world.services, CALL, ListGrantsQuery(page_size=100, continuation_token=first.continuation_token)
    )
    assert [*first.grants, *rest.grants] == GRANTS


async def test_tokens_belong_to_one_listing(world: World) -> None:
    """A token of one store's list opens no other list."""
    await _filled(world)
    token = (await list_grants(world.services, CALL, ListGrantsQuery(store_id=STORE, page_size=1))).continuation_token
    assert token
    for query in (ListGrantsQuery(), ListGrantsQuery(store_id=OTHER), ListGrantsQuery("corp/anne", STORE)):
        with pytest.raises(InvalidContinuationToken):
            await list_grants(world.services, CALL, query._replace(continuation_token=token))
    with pytest.raises(InvalidPageSize):
        await list_grants(world.services, CALL, ListGrantsQuery(page_size=1000))
