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


class ReadChangesQuery(NamedTuple):
    """Which page of the changelog; only changes of objects of `type`, if given. A page size of 0 means the default."""

    store_id: str
    type: str = ""
    page_size: int = 0
    continuation_token: str = ""
    start_time: datetime | None = None


class ReadChanges(NamedTuple):
    """A page of changes, oldest first; the token continues behind them, and stays the same while nothing is new."""

    changes: Sequence[Change]
    continuation_token: str


async def read_changes(services: Services, _call: Call, query: ReadChangesQuery) -> ReadChanges:
    """Read changes behind a token, or from a time on, or from the beginning.

    Raises:
        InvalidStartTime: the start time lies in the future.
        InvalidContinuationToken: the token is damaged, or of another call or store.
        ContinuationTokenMismatch: the token was made for another type.

    """
    now = services.clock.now()
    if query.start_time is not None and query.start_time > now:
        raise InvalidStartTime("`start_time` lies in the future")
    place = decode_place(services.tokens, _CALL, query.store_id, query.continuation_token)
    horizon = services.limits.changelog_horizon
    changes = await services.datastore.read_changes(
        query.store_id,
        object_type=query.type,
        after=_position(place, query),
        start_time=query.start_time if place is None else None,
        not_after=now - timedelta(seconds=horizon) if horizon else None,
        limit=page_size(query.page_size, services.limits),
    )
    if not changes:
        return ReadChanges((), query.continuation_token)
    last = changes[-1]
    token = encode_place(services.tokens, _CALL, query.store_id, [last.revision, last.ordinal, query.type])
    return ReadChanges(changes, token)


def _position(place: Place | None, query: ReadChangesQuery) -> ChangePosition:
    if place is None:
        return ChangePosition(0, -1)
    revision, ordinal, type_ = place
    if type_ != query.type:
        raise ContinuationTokenMismatch(f"the continuation token was made for type `{type_}`, not `{query.type}`")
    return ChangePosition(int(revision), int(ordinal))
