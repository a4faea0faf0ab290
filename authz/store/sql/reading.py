"""Tuples as of a revision: how many, and filtered listings. Called by `datastore` on a reading connection.

INVARIANT: each function reads `oldest_revision` after the tuples and raises when the revision has fallen behind it.
Rows are removed in the transaction that raises `oldest_revision`, so whoever misses a removed row sees it raised; the
statements therefore need no transaction around them, and a snapshot of any size holds none open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, String, bindparam, func, literal, select

from authz.errors import InvalidConsistencyToken
from authz.store.api import StoredTuple, TupleFilter
from authz.store.sql.encoding import read_tuple, tuple_columns
from authz.store.sql.tables import BY_OBJECT, BY_POSITION, BY_USER, revisions, tuples
from authz.tuples import split_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection, TextClause


STORE = bindparam("store_id", type_=String())
_REVISION = bindparam("revision", type_=BigInteger())
alive = (
    tuples.c.store_id == STORE,
    tuples.c.created_revision <= _REVISION,
    tuples.c.deleted_revision > _REVISION,
)
_columns = tuple_columns(tuples)
_counted = (
    select(literal(1)).where(*alive, BY_POSITION).limit(bindparam("at_most", type_=BigInteger())).subquery("counted")
)
_count = select(func.count()).select_from(_counted)

_head = select(revisions.c.revision).where(revisions.c.store_id == STORE)
_oldest = select(revisions.c.oldest_revision).where(revisions.c.store_id == STORE)


def head_revision(connection: Connection, store_id: str) -> int:
    """The newest committed revision."""
    return connection.execute(_head, {"store_id": store_id}).scalar() or 0


def oldest_revision(connection: Connection, store_id: str) -> int:
    """The oldest revision that can be read."""
    return connection.execute(_oldest, {"store_id": store_id}).scalar() or 0


def require_readable(connection: Connection, store_id: str, revision: int) -> None:
    """Raise `InvalidConsistencyToken` when tuples that were alive at `revision` may be gone."""
    if revision < oldest_revision(connection, store_id):
        raise no_longer_kept(revision)


def no_longer_kept(revision: int) -> InvalidConsistencyToken:
    """The error of a reader that comes too late."""
    return InvalidConsistencyToken(f"revision `{revision}` is no longer kept")


def count_tuples(connection: Connection, store_id: str, revision: int, at_most: int) -> int:
    """How many tuples are alive, up to `at_most`."""
    parameters = {"store_id": store_id, "revision": revision, "at_most": at_most}
    count: int = connection.execute(_count, parameters).scalar_one()
    require_readable(connection, store_id, revision)
    return count


def read_tuples(
    connection: Connection, store_id: str, revision: int, filter_: TupleFilter, *, after: int, limit: int
) -> Sequence[StoredTuple]:
    """A page of the tuples that match, by position."""
    index, conditions = _conditions(filter_)
    # Where the matches are few, their order is computed, lest a planner walks the store by position to find them.
    place = tuples.c.position if index is BY_POSITION else tuples.c.position + 0
    statement = (
        select(tuples.c.created_at, tuples.c.position, *_columns)
        .where(*alive, *conditions, place > after, index)
        .order_by(place)
        .limit(limit)
    )
    found = connection.execute(statement, {"store_id": store_id, "revision": revision}).all()
    require_readable(connection, store_id, revision)
    return [StoredTuple(read_tuple(*row[2:]), row[0], row[1]) for row in found]


def _conditions(filter_: TupleFilter) -> tuple[TextClause, list[ColumnElement[bool]]]:
    """The index to use, and what the filter demands."""
    kind, name = split_object(filter_.object)
    demands = {
        tuples.c.object_type: kind,
        tuples.c.object_id: name,
        tuples.c.relation: filter_.relation,
        tuples.c.tuple_user: filter_.user,
    }
    index = BY_OBJECT if name or (kind and not filter_.user) else BY_USER if filter_.user else BY_POSITION
    return index, [column == value for column, value in demands.items() if value]
