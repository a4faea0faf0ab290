"""Pages of searches. Used by their handlers.

A token holds where its page begins, how long it is, a digest of everything that was asked, and the revision of the page
before it: a later page is never answered from an older state. It is signed, and bound to the call and the store.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import orjson

from authz._proto.authz.v1 import authzen_pb2 as pb
from authz.commands.continuation import Place, decode_place, encode_place
from authz.commands.searches import SearchQuery
from authz.commands.windows import Window
from authz.consistency import Consistency, Mode
from authz.errors import InvalidContinuationToken

if TYPE_CHECKING:
    from authz.commands.accesses import Access
    from authz.commands.searches import Searched
    from authz.commands.services import Services

_DIGEST_BYTES = 16
_BY_THEMSELVES = frozenset({Mode.AT_EXACT_SNAPSHOT, Mode.FULLY_CONSISTENT})
"""Modes that need no help of the page before."""


class Page(NamedTuple):
    """Which page of what is wanted."""

    call: str
    store_id: str
    digest: str
    limit: int
    """How many results the caller wants; -1: as many as there may be."""
    is_asked: bool
    """Whether the request speaks of pages at all."""
    after: str
    since: int
    """The revision of the page before; 0 for the first one."""

    def window(self, most: int) -> Window:
        """The part of the list that is wanted."""
        return Window(most if self.limit < 0 else min(self.limit, most), self.after)

    def consistency(self, services: Services, asked: Consistency) -> Consistency:
        """As asked, but not older than the page before, unless a snapshot is asked for.

        Raises:
            InvalidConsistencyToken: the token that is asked with is damaged, or was made for another store.

        """
        if not self.since or asked.mode in _BY_THEMSELVES:
            return asked
        if asked.mode is Mode.AT_LEAST_AS_FRESH and services.tokens.decode(asked.token, self.store_id) >= self.since:
            return asked
        return Consistency(Mode.AT_LEAST_AS_FRESH, services.tokens.encode(self.store_id, self.since))


def page_of(services: Services, call: str, query: SearchQuery, asked: pb.PageRequest | None) -> Page:
    """The page that a request wants.

    Raises:
        InvalidContinuationToken: the token is damaged, or the request is not the one that it continues.

    """
    digest = _digest(query.access, query.model_id)
    limit = asked.limit if asked is not None and asked.HasField("limit") else None
    page = Page(call, query.store_id, digest, -1 if limit is None else limit, asked is not None, "", 0)
    place = decode_place(services.tokens, f"authzen:{call}", query.store_id, "" if asked is None else asked.token)
    if place is None:
        return page
    after, since, known_limit, known_digest = place
    if known_digest != digest or limit not in (None, known_limit):
        raise InvalidContinuationToken("`page.token` continues another search: repeat the request that it came from")
    return page._replace(after=str(after), since=int(since), limit=int(known_limit))


def page_message(services: Services, page: Page, found: Searched) -> pb.PageResponse | None:
    """What an answer says of pages; None when nobody asked, and all is in it."""
    names = found.names
    if not page.is_asked and not names.has_more:
        return None
    message = pb.PageResponse(count=len(names.found), total=names.total)
    if names.has_more:
        after = names.found[-1] if names.found else page.after
        place: Place = [after, found.revision, page.limit, page.digest]
        message.next_token = encode_place(services.tokens, f"authzen:{page.call}", page.store_id, place)
    return message


def _digest(access: Access, model_id: str) -> str:
    """Of everything that decides what is found."""
    subject, action, resource, context = access
    asked = [model_id, [*subject], [*action], [*resource], context]
    raw = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(raw).hexdigest()[: 2 * _DIGEST_BYTES]
