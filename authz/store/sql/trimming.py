"""Remove the oldest changes of the changelog. Called by `datastore`, one short transaction at a time.

Whole revisions, in order, and never the newest one of a store: see the invariant of `changes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, String, bindparam, delete, select

from authz.store.sql.changes import CLOCK_SKEW, first_revision, oldest_change
from authz.store.sql.instants import Instant
from authz.store.sql.tables import changelog, revisions

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

_c, _r = changelog.c, revisions.c
_STORE = bindparam("store", type_=String())

_oldest = (
    select(_c.store_id)
    .where(_c.store_id == _r.store_id)
    .order_by(_c.revision, _c.ordinal)
    .limit(1)
    .correlate(revisions)
)
_next = (
    select(_r.store_id)
    .where(
        _r.store_id > bindparam("after", type_=String()),
        _oldest.with_only_columns(_c.time).scalar_subquery() < bindparam("known", type_=Instant()),
        _oldest.with_only_columns(_c.revision).scalar_subquery() < _r.revision,
    )
    .order_by(_r.store_id)
    .limit(1)
)
_beyond = (
    select(_c.revision)
    .where(_c.store_id == _STORE)
    .order_by(_c.revision, _c.ordinal)
    .offset(bindparam("size", type_=BigInteger()))
    .limit(1)
)
_remove = delete(changelog).where(_c.store_id == _STORE, _c.revision < bindparam("below", type_=BigInteger()))


def next_excess(connection: Connection, older_than: datetime, after_store: str) -> str | None:
    """The first store behind `after_store`, by id, that has changes to remove."""
    parameters = {"after": after_store, "known": older_than - 2 * CLOCK_SKEW}
    return connection.execute(_next, parameters).scalar()


def trim(connection: Connection, store_id: str, older_than: datetime, limit: int) -> int:
    """Remove changes older than a time, about `limit` at most; returns how many."""
    oldest = oldest_change(connection, store_id)
    below = first_revision(connection, store_id, oldest, older_than)
    beyond = connection.execute(_beyond, {"store": store_id, "size": limit}).scalar()
    if beyond is not None:
        below = min(below, max(beyond, oldest + 1))
    return connection.execute(_remove, {"store": store_id, "below": below}).rowcount
