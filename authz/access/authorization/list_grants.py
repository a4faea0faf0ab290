"""The roles that were given, page by page. Called by the handler of ListGrants.

All pages of one listing are read at the revision of its first page. What was granted on a store stands on the store and
on its modules: two runs over the stored tuples, one behind the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from authz.access.authorization.grants import Grant, grant_of
from authz.access.authorization.names import MODULE, SYSTEM_STORE, holder, store_object
from authz.call import Call
from authz.commands.continuation import decode_place, encode_place
from authz.commands.paging import page_size
from authz.commands.services import Services
from authz.consistency import Consistency
from authz.errors import InvalidContinuationToken
from authz.store.api import StoredTuple, TupleFilter

_CALL = "list-grants"
_READ = 1000
"""Tuples read at once."""


class ListGrantsQuery(NamedTuple):
    """Only grants to this principal (or `group:…`), and on this store, where given. A page size of 0 is the default."""

    principal: str = ""
    store_id: str = ""
    page_size: int = 0
    continuation_token: str = ""


class ListedGrants(NamedTuple):
    """A page of grants in the order in which they were given; the token is empty on the last page."""

    grants: Sequence[Grant]
    continuation_token: str


class _Place(NamedTuple):
    """Where a listing stands: in which run, behind which position, at which revision."""

    revision: int
    run: int
    after: int


async def list_grants(services: Services, _call: Call, query: ListGrantsQuery) -> ListedGrants:
    """List grants.

    Raises:
        InvalidContinuationToken: the token is damaged, of another listing, or older than the history that is kept.
        InvalidPageSize, InvalidRequest: as they say.

    """
    size = page_size(query.page_size, services.limits)
    runs = _runs(query)
    place = await _begin(services, query)
    found: list[tuple[Grant, _Place]] = []
    while len(found) <= size and place.run < len(runs):
        batch = await services.datastore.read_tuples(
            SYSTEM_STORE, runs[place.run], revision=place.revision, after=place.after, limit=_READ
        )
        found += [(grant, place._replace(after=each.position)) for each in batch if (grant := _wanted(query, each))]
        is_done = len(batch) < _READ
        place = _Place(place.revision, place.run + 1, 0) if is_done else place._replace(after=batch[-1].position)
    page = found[:size]
    token = encode_place(services.tokens, _CALL, _about(query), list(page[-1][1])) if len(found) > size else ""
    return ListedGrants([grant for grant, _ in page], token)


def _runs(query: ListGrantsQuery) -> list[TupleFilter]:
    user = holder(query.principal) if query.principal else ""
    if not query.store_id:
        return [TupleFilter(user=user)]
    return [TupleFilter(store_object(query.store_id), "", user), TupleFilter(f"{MODULE}:", "", user)]


def _wanted(query: ListGrantsQuery, stored: StoredTuple) -> Grant | None:
    grant = grant_of(stored.tuple)
    return grant if query.store_id in ("", grant.store_id) else None


def _about(query: ListGrantsQuery) -> str:
    """What a token is bound to, so that a token of one listing continues no other."""
    return f"{query.store_id} {query.principal}"


async def _begin(services: Services, query: ListGrantsQuery) -> _Place:
    place = decode_place(services.tokens, _CALL, _about(query), query.continuation_token)
    if place is None:
        return _Place(await services.indexes.revision_for(SYSTEM_STORE, Consistency()), 0, 0)
    revision, run, after = (int(each) for each in place)
    if revision < await services.datastore.oldest_revision(SYSTEM_STORE):
        raise InvalidContinuationToken("the continuation token is older than the history that is kept: begin again")
    return _Place(revision, run, after)
