"""Stores: create, get, list, rename, delete."""

from __future__ import annotations

import pytest

from authz.commands.create_store import CreateStoreQuery, create_store
from authz.commands.delete_store import DeleteStoreQuery, delete_store
from authz.commands.get_store import GetStoreQuery, get_store
from authz.commands.list_stores import ListStoresQuery, list_stores
from authz.commands.rename_store import RenameStoreQuery, rename_store
from authz.commands.services import Services
from authz.errors import InvalidContinuationToken, InvalidPageSize, StoreNotFound
from tests.commands.support import CALL, UNKNOWN_ID, SettableClock, new_store

pytestmark = pytest.mark.anyio


async def test_a_store_can_be_found_by_its_id(services: Services) -> None:
    """
    What was created is found, with the time of its creation.
    """
    made = await create_store(services, CALL, CreateStoreQuery("shop"))
    found = await get_store(services, CALL, GetStoreQuery(made.id))
    assert made == found
    assert (services.clock.now(), services.clock.now()) == (found.created_at, found.updated_at)


async def test_an_unknown_store_is_not_found(services: Services) -> None:
    """
    Get and rename of a store that never was say so.
    """
    with pytest.raises(StoreNotFound, match=UNKNOWN_ID):
        await get_store(services, CALL, GetStoreQuery(UNKNOWN_ID))
    with pytest.raises(StoreNotFound, match=UNKNOWN_ID):
        await rename_store(services, CALL, RenameStoreQuery(UNKNOWN_ID, "other"))


async def test_rename_keeps_the_id_and_tells_the_time(services: Services) -> None:
    """
    A renamed store has the new name, its id and a later time of update.
    """
    store_id = await new_store(services)
    assert isinstance(services.clock, SettableClock)
    services.clock.move(5)
    await rename_store(services, CALL, RenameStoreQuery(store_id, "depot"))
    found = await get_store(services, CALL, GetStoreQuery(store_id))
    assert (found.name, (found.updated_at - found.created_at).total_seconds()) == ("depot", 5.0)


async def test_a_deleted_store_is_gone_and_deleting_again_is_no_error(services: Services) -> None:
    """
    Delete hides the store; it can be repeated, also for ids that never were.
    """
    store_id = await new_store(services)
    for name in (store_id, store_id, UNKNOWN_ID):
        await delete_store(services, CALL, DeleteStoreQuery(name))
    with pytest.raises(StoreNotFound):
        await get_store(services, CALL, GetStoreQuery(store_id))
    assert not (await list_stores(services, CALL, ListStoresQuery())).stores


async def test_pages_show_every_store_once(services: Services) -> None:
    """
    Following the tokens shows all stores in the order of creation; the last page has no token.
    """
    made = [await new_store(services) for _ in range(7)]
    seen: list[str] = []
    token = ""
    for size in (3, 3, 1):
        page = await list_stores(services, CALL, ListStoresQuery(3, token))
        assert size == len(page.stores)
        seen += [store.id for store in page.stores]
        token = page.continuation_token
    assert (made, "") == (seen, token)


async def test_names_filter_exactly(services: Services) -> None:
    """
    Only stores with exactly the name are listed; names need not be unique.
    """
    wanted = [await new_store(services, "shop"), await new_store(services, "shop")]
    await new_store(services, "shops")
    found = await list_stores(services, CALL, ListStoresQuery(name="shop"))
    assert wanted == [store.id for store in found.stores]


async def test_a_bad_token_or_page_size_is_refused(services: Services) -> None:
    """
    A damaged token and a page size out of range are clear errors.
    """
    with pytest.raises(InvalidContinuationToken):
        await list_stores(services, CALL, ListStoresQuery(continuation_token="bm9wZQ=="))
    for size in (-1, 101):
        with pytest.raises(InvalidPageSize, match=str(size)):
            await list_stores(services, CALL, ListStoresQuery(size))
