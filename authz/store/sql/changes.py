"""The changelog: what the index follows, and what ReadChanges lists. Called by `datastore` on a connection.

INVARIANT: the oldest changes are removed by whole revisions, in order, and the newest revision never is. So whoever
reads in one statement sees whole revisions, and from the first one on all of them; the statements need no transaction.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, String, and_, bindparam, func, or_, select

from authz.errors import InvalidContinuationToken
from authz.store.api import Change, ChangePosition, Operation
from authz.store.sql.encoding import read_tuple, tuple_columns
from authz.store.sql.tables import changelog, revisions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

_c = changelog.c
_STORE = bindparam("store_id", type_=String())
_entries = (
    select(_c.revision, _c.ordinal, _c.operation, _c.time, _c.actor, *tuple_columns(changelog))
    .where(_c.store_id == _STORE)
    .order_by(_c.revision, _c.ordinal)
)
_behind = _c.revision > bindparam("revision", type_=BigInteger())
_first = (
    select(_c.revision.label("reached"))
    .where(_c.store_id == _STORE, _behind)
    .order_by(_c.revision, _c.ordinal)
    .limit(bindparam("size", type_=BigInteger()))
    .subquery("first")
)
_after = _entries.where(_behind, _c.revision <= select(func.max(_first.c.reached)).scalar_subquery())
_oldest = select(_c.revision).where(_c.store_id == _STORE).order_by(_c.revision, _c.ordinal).limit(1)
_head = select(revisions.c.revision).where(revisions.c.store_id == _STORE)
_time = select(_c.time).where(
    _c.store_id == _STORE, _c.revision == bindparam("revision", type_=BigInteger()), _c.ordinal == 0
)

CLOCK_SKEW = timedelta(minutes=10)
"""How far the clock of a node may be off without a change being left out by a `start_time`."""


def changes_after(connection: Connection, store_id: str, revision: int, limit: int) -> Sequence[Change]:
    """Whole revisions after the given one, about `limit` entries; those that are no longer kept are passed over."""
    found = connection.execute(_after, {"store_id": store_id, "revision": revision, "size": limit})
    return [_change(row) for row in found]


def read_changes(
    connection: Connection,
    store_id: str,
    *,
    object_type: str,
    after: ChangePosition,
    start_time: datetime | None,
    not_after: datetime | None,
    limit: int,
) -> Sequence[Change]:
    """A page of the changelog; both ends of the window of time belong to it.

    Raises `InvalidContinuationToken` when changes behind `after` may have been removed, unless it is the beginning.
    """
    behind = or_(_c.revision > after.revision, and_(_c.revision == after.revision, _c.ordinal > after.ordinal))
    first = after.revision if start_time is None else first_revision(connection, store_id, after.revision, start_time)
    statement = _entries.where(_c.revision >= first, behind).limit(limit)
    if object_type:
        statement = statement.where(_c.object_type == object_type)
    if start_time is not None:
        statement = statement.where(_c.time >= start_time)
    if not_after is not None:
        statement = statement.where(_c.time <= not_after)
    changes = [_change(row) for row in connection.execute(statement, {"store_id": store_id})]
    if after.revision and after.revision < oldest_change(connection, store_id):
        raise InvalidContinuationToken("the changes behind the continuation token are no longer kept: begin anew")
    return changes


def oldest_change(connection: Connection, store_id: str) -> int:
    """The revision of the oldest change that is kept; 0 when there is none."""
    return connection.execute(_oldest, {"store_id": store_id}).scalar() or 0


def settled_revision(connection: Connection, store_id: str, not_after: datetime | None) -> int:
    """A revision, as new as can be told cheaply, up to which all changes are from before a time, if one is given."""
    head = connection.execute(_head, {"store_id": store_id}).scalar() or 0
    return head if not_after is None else first_revision(connection, store_id, 0, not_after) - 1


def first_revision(connection: Connection, store_id: str, after: int, start_time: datetime) -> int:
    """A revision, not before `after`, below which all changes are older than `start_time`.

    Found by halving, since times grow with revisions but for the skew of the writers' clocks: all that is below a
    change older than `start_time` by twice the skew is itself older than it.
    """
    known = start_time - 2 * CLOCK_SKEW
    low, high = after, connection.execute(_head, {"store_id": store_id}).scalar() or 0
    while low < high:
        middle = (low + high) // 2
        time = connection.execute(_time, {"store_id": store_id, "revision": middle}).scalar()
        if time is None or time < known:
            low = middle + 1
        else:
            high = middle
    return low


def _change(row: Sequence[Any]) -> Change:
    return Change(row[0], row[1], Operation(row[2]), read_tuple(*row[5:]), row[3], row[4])
