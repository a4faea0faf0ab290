"""List the authorization models of a store page by page. Called by the edge and the CLI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from authz.call import Call
from authz.commands.continuation import decode_place, encode_place
from authz.commands.paging import page_size
from authz.commands.services import Services
from authz.store.api import ModelRecord

_CALL = "list-models"


class ListModelsQuery(NamedTuple):
    """Which page of which store. A page size of 0 means the default."""

    store_id: str
    page_size: int = 0
    continuation_token: str = ""


class ListedModels(NamedTuple):
    """A page of models, newest first; the token is empty on the last page."""

    models: Sequence[ModelRecord]
    continuation_token: str


async def list_models(services: Services, _call: Call, query: ListModelsQuery) -> ListedModels:
    """List models, newest first.

    Raises:
        InvalidContinuationToken: the token is damaged, or of another call or store.

    """
    place = decode_place(services.tokens, _CALL, query.store_id, query.continuation_token)
    size = page_size(query.page_size, services.limits)
    before_id = str(place[0]) if place else ""
    found = await services.datastore.list_models(query.store_id, before_id=before_id, limit=size + 1)
    page = found[:size]
    token = encode_place(services.tokens, _CALL, query.store_id, [page[-1].id]) if len(found) > size else ""
    return ListedModels(page, token)
