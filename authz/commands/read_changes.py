"""Read the changelog page by page. Called by the edge and the CLI."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from authz.call import Call
from authz.commands.continuation import Place, decode_place, encode_place
from authz.commands.paging import page_size
from authz.commands.services import Services
from authz.errors import ContinuationTokenMismatch, InvalidStartTime
from authz.store.api import Change, ChangePosition

_CALL = "read-changes"
_BEGINNING = ChangePosition(0, -1)
_LAST_ORDINAL = 2**31 - 1


class ReadChangesQuery(NamedTuple):
    """Which page of the changelog; only changes of objects of `type`, if given. A page size of 0 means the default."""

    store_id: str
    type: str = ""
    page_size: int = 0
    continuation_token: str = ""
    start_time: datetime | None = None


class ReadChanges(NamedTuple):
    """A page of changes, oldest first; the token continues behind them, and stays the same while nothing is new.

    Changes that were removed before the first call are not missed; a token behind which changes may have been removed
    is refused.
    """

    changes: Sequence[Change]
    continuation_token: str


async def read_changes(services: Services, _call: Call, query: ReadChangesQuery) -> ReadChanges:
    """Read changes behind a token, or from a time on, or from the beginning.

    Raises:
        InvalidStartTime: the start time lies in the future.
        InvalidContinuationToken: the token is damaged, or of another call or store, or what is behind it is gone.
        ContinuationTokenMismatch: the token was made for another type.

    """
    now = services.clock.now()
    if query.start_time is not None and query.start_time > now:
        raise InvalidStartTime("`start_time` lies in the future")
    place = decode_place(services.tokens, _CALL, query.store_id, query.continuation_token)
    horizon = services.limits.changelog_horizon
    not_after = now - timedelta(seconds=horizon) if horizon else None
    after = _position(place, query)
    settled = await _settled(services, query, not_after)
    limit = page_size(query.page_size, services.limits)
    changes = await services.datastore.read_changes(
        query.store_id,
        object_type=query.type,
        after=after,
        start_time=query.start_time if place is None else None,
        not_after=not_after,
        limit=limit,
    )
    reached = ChangePosition(changes[-1].revision, changes[-1].ordinal) if changes else after
    if len(changes) < limit and reached != _BEGINNING:
        reached = max(reached, settled)
    if reached == after:
        return ReadChanges((), query.continuation_token)
    token = encode_place(services.tokens, _CALL, query.store_id, [*reached, query.type])
    return ReadChanges(changes, token)


async def _settled(services: Services, query: ReadChangesQuery, not_after: datetime | None) -> ChangePosition:
    """How far the changes of a type are known once a page comes out short.

    Where changes are removed, a token must not stay at the last change of a rare type until that is gone. Without a
    type it stays at the newest change, which is never removed.
    """
    if not query.type or not services.limits.changelog_retention:
        return _BEGINNING
    return ChangePosition(await services.datastore.settled_revision(query.store_id, not_after), _LAST_ORDINAL)


def _position(place: Place | None, query: ReadChangesQuery) -> ChangePosition:
    if place is None:
        return _BEGINNING
    revision, ordinal, type_ = place
    if type_ != query.type:
        raise ContinuationTokenMismatch(f"the continuation token was made for type `{type_}`, not `{query.type}`")
    return ChangePosition(int(revision), int(ordinal))
