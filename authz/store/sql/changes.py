"""The changelog: what the index follows, and what ReadChanges lists. Called by `datastore` on a reading connection.

A committed revision never changes, so that its entries may be read in more than one statement.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Integer, String, and_, bindparam, or_, select

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
_after = _entries.where(_c.revision > bindparam("revision", type_=BigInteger())).limit(
    bindparam("size", type_=BigInteger())
)
_rest = _entries.where(
    _c.revision == bindparam("revision", type_=BigInteger()), _c.ordinal > bindparam("ordinal", type_=Integer())
)
_head = select(revisions.c.revision).where(revisions.c.store_id == _STORE)
_time = select(_c.time).where(
    _c.store_id == _STORE, _c.revision == bindparam("revision", type_=BigInteger()), _c.ordinal == 0
)

CLOCK_SKEW = timedelta(minutes=10)
"""How far the clock of a node may be off without a change being left out by a `start_time`."""


def changes_after(connection: Connection, store_id: str, revision: int, limit: int) -> Sequence[Change]:
    """Whole revisions after the given one, about `limit` entries."""
    found = connection.execute(_after, {"store_id": store_id, "revision": revision, "size": limit}).all()
    changes = [_change(row) for row in found]
    if len(changes) == limit:
        last = changes[-1]
        rest = {"store_id": store_id, "revision": last.revision, "ordinal": last.ordinal}
        changes.extend(_change(row) for row in connection.execute(_rest, rest))
    return changes


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
    """A page of the changelog; both ends of the window of time belong to it."""
    behind = or_(_c.revision > after.revision, and_(_c.revision == after.revision, _c.ordinal > after.ordinal))
    first = after.revision if start_time is None else _first_revision(connection, store_id, after.revision, start_time)
    statement = _entries.where(_c.revision >= first, behind).limit(limit)
    if object_type:
        statement = statement.where(_c.object_type == object_type)
    if start_time is not None:
        statement = statement.where(_c.time >= start_time)
    if not_after is not None:
        statement = statement.where(_c.time <= not_after)
    return [_change(row) for row in connection.execute(statement, {"store_id": store_id})]


def _first_revision(connection: Connection, store_id: str, after: int, start_time: datetime) -> int:
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
