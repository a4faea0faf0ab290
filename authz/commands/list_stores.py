"""List stores page by page. Called by the edge and the CLI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from authz.call import Call
from authz.commands.continuation import decode_place, encode_place
from authz.commands.paging import page_size
from authz.commands.services import Services
from authz.store.api import StoreRecord

_CALL = "list-stores"


class ListStoresQuery(NamedTuple):
    """Which page; only stores with exactly this name, if given. A page size of 0 means the default."""

    page_size: int = 0
    continuation_token: str = ""
    name: str = ""
    among: frozenset[str] | None = None
    """Only stores with these ids; None: all."""


class ListedStores(NamedTuple):
    """A page of stores by id; the token is empty on the last page."""

    stores: Sequence[StoreRecord]
    continuation_token: str


async def list_stores(services: Services, _call: Call, query: ListStoresQuery) -> ListedStores:
    """List stores in the order in which they were created.

    Raises:
        InvalidContinuationToken: the token is damaged or of another call.

    """
    place = decode_place(services.tokens, _CALL, "", query.continuation_token)
    size = page_size(query.page_size, services.limits)
    after_id = str(place[0]) if place else ""
    if query.among is None:
        found = await services.datastore.list_stores(name=query.name, after_id=after_id, limit=size + 1)
    else:
        found = await _list_among(services, query.among, name=query.name, after_id=after_id, limit=size + 1)
    page = found[:size]
    token = encode_place(services.tokens, _CALL, "", [page[-1].id]) if len(found) > size else ""
    return ListedStores(page, token)


async def _list_among(
    services: Services, ids: frozenset[str], *, name: str, after_id: str, limit: int
) -> Sequence[StoreRecord]:
    """As the datastore lists, of these ids alone. It costs what the caller may see, not what the service holds."""
    found: list[StoreRecord] = []
    for store_id in sorted(each for each in ids if each > after_id):
        store = await services.datastore.get_store(store_id)
        if store is not None and name in ("", store.name):
            found.append(store)
        if len(found) == limit:
            break
    return found
