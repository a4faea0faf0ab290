"""Read stored tuples page by page. Called by the edge and the CLI.

All pages of one listing are read at the revision of its first page, so that tuples written or deleted meanwhile are
neither doubled nor lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from authz.call import Call
from authz.commands.continuation import decode_place, encode_place
from authz.commands.paging import page_size
from authz.commands.services import Services
from authz.consistency import Consistency
from authz.errors import InvalidContinuationToken, InvalidRequest
from authz.store.api import StoredTuple, TupleFilter
from authz.tuples import object_type, split_object

_CALL = "read"


class ReadQuery(NamedTuple):
    """Which tuples, and which page of them. A page size of 0 means the default; no filter means all tuples."""

    store_id: str
    filter: TupleFilter | None = None
    page_size: int = 0
    continuation_token: str = ""
    consistency: Consistency = Consistency()


class ReadTuples(NamedTuple):
    """A page of tuples as of a revision; the token is empty on the last page."""

    tuples: Sequence[StoredTuple]
    continuation_token: str
    revision: int


async def read(services: Services, _call: Call, query: ReadQuery) -> ReadTuples:
    """Read stored tuples, whatever today's model says of them.

    Raises:
        InvalidRequest: a filter without object type, or with neither object id nor user.
        InvalidContinuationToken: damaged, of another call or store, or older than the history that is kept.
        InvalidConsistencyToken: see `Consistency`.

    """
    if query.filter is not None:
        _check_filter(query.filter)
    size = page_size(query.page_size, services.limits)
    revision, after = await _begin(services, query)
    found = await services.datastore.read_tuples(
        query.store_id, query.filter or TupleFilter(), revision=revision, after=after, limit=size + 1
    )
    page = found[:size]
    token = ""
    if len(found) > size:
        token = encode_place(services.tokens, _CALL, query.store_id, [revision, page[-1].position])
    return ReadTuples(page, token, revision)


async def _begin(services: Services, query: ReadQuery) -> tuple[int, int]:
    """The revision to read at, and the position to begin behind."""
    place = decode_place(services.tokens, _CALL, query.store_id, query.continuation_token)
    if place is None:
        return await services.indexes.revision_for(query.store_id, query.consistency), 0
    revision, after = int(place[0]), int(place[1])
    if revision < await services.datastore.oldest_revision(query.store_id):
        raise InvalidContinuationToken("the continuation token is older than the history that is kept: begin again")
    return revision, after


def _check_filter(filter_: TupleFilter) -> None:
    type_, object_id = split_object(filter_.object)
    if not object_type(filter_.object) or not type_:
        raise InvalidRequest(f"the filter needs an object type (`type:` or `type:id`): got object `{filter_.object}`")
    if not object_id and not filter_.user:
        raise InvalidRequest("the filter needs an object id or a user beside the object type")
