"""Tuples as of a revision: pages, rows of the index, filtered listings. Called by `datastore` on a reading connection.

INVARIANT: each function reads `oldest_revision` after the tuples and raises when the revision has fallen behind it.
Rows are removed in the transaction that raises `oldest_revision`, so whoever misses a removed row sees it raised; the
statements therefore need no transaction around them, and a snapshot of any size holds none open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, String, bindparam, select

from authz.errors import InvalidConsistencyToken
from authz.store.api import ForwardKey, ReverseKey, StoredTuple, TupleFilter
from authz.store.sql.encoding import read_tuple, tuple_columns
from authz.store.sql.tables import BY_OBJECT, BY_POSITION, BY_USER, revisions, tuples
from authz.tuples import RelationshipTuple, split_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection, Select, TextClause

    from authz.store.sql.dialect import Dialect

_STORE = bindparam("store_id", type_=String())
_REVISION = bindparam("revision", type_=BigInteger())
_alive = (
    tuples.c.store_id == _STORE,
    tuples.c.created_revision <= _REVISION,
    tuples.c.deleted_revision > _REVISION,
)
_columns = tuple_columns(tuples)

_head = select(revisions.c.revision).where(revisions.c.store_id == _STORE)
_oldest = select(revisions.c.oldest_revision).where(revisions.c.store_id == _STORE)
_page = (
    select(tuples.c.position, *_columns)
    .where(*_alive, tuples.c.position > bindparam("after", type_=BigInteger()), BY_POSITION)
    .order_by(tuples.c.position)
    .limit(bindparam("size", type_=BigInteger()))
)


def head_revision(connection: Connection, store_id: str) -> int:
    """The newest committed revision."""
    return connection.execute(_head, {"store_id": store_id}).scalar() or 0


def oldest_revision(connection: Connection, store_id: str) -> int:
    """The oldest revision that can be read."""
    return connection.execute(_oldest, {"store_id": store_id}).scalar() or 0


def require_readable(connection: Connection, store_id: str, revision: int) -> None:
    """Raise `InvalidConsistencyToken` when tuples that were alive at `revision` may be gone."""
    if revision < oldest_revision(connection, store_id):
        raise InvalidConsistencyToken(f"revision `{revision}` is no longer kept")


def snapshot_page(
    connection: Connection, store_id: str, revision: int, after: int, size: int
) -> tuple[Sequence[RelationshipTuple], int | None]:
    """Up to `size` tuples behind position `after`, and the position to go on from; None after the last page."""
    found = connection.execute(_page, {"store_id": store_id, "revision": revision, "after": after, "size": size}).all()
    require_readable(connection, store_id, revision)
    return [read_tuple(*row[1:]) for row in found], found[-1][0] if len(found) == size else None


class RowReader:
    """Rows of the index, any number of keys in two statements."""

    def __init__(self, dialect: Dialect) -> None:
        name = String()
        self._forward_keys = dialect.key_table({"object_type": name, "object_id": name, "relation": name})
        self._reverse_keys = dialect.key_table({"tuple_user": name, "object_type": name, "relation": name})
        rows = select(tuples.c.position, *_columns).where(*_alive)
        self._forward = dialect.find(self._forward_keys, rows.where(BY_OBJECT), tuples)
        self._reverse = dialect.find(self._reverse_keys, rows.where(BY_USER), tuples)

    def rows(
        self,
        connection: Connection,
        store_id: str,
        revision: int,
        forward: Sequence[ForwardKey],
        reverse: Sequence[ReverseKey],
    ) -> Sequence[RelationshipTuple]:
        """All tuples of the rows, each once."""
        found: dict[int, RelationshipTuple] = {}
        parameters = {"store_id": store_id, "revision": revision}
        if forward:
            bound = self._forward_keys.bind(list({(*split_object(key.object), key.relation) for key in forward}))
            found.update(_execute(connection, self._forward, parameters | bound))
        if reverse:
            bound = self._reverse_keys.bind([tuple(key) for key in set(reverse)])
            found.update(_execute(connection, self._reverse, parameters | bound))
        require_readable(connection, store_id, revision)
        return list(found.values())


def read_tuples(
    connection: Connection, store_id: str, filter_: TupleFilter, *, revision: int, after: int, limit: int
) -> Sequence[StoredTuple]:
    """A page of the tuples that match, by position."""
    index, conditions = _conditions(filter_)
    # Where the matches are few, their order is computed, lest a planner walks the store by position to find them.
    place = tuples.c.position if index is BY_POSITION else tuples.c.position + 0
    statement = (
        select(tuples.c.created_at, tuples.c.position, *_columns)
        .where(*_alive, *conditions, place > after, index)
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


def _execute(
    connection: Connection, statement: Select[Any], parameters: dict[str, object]
) -> dict[int, RelationshipTuple]:
    return {row[0]: read_tuple(*row[1:]) for row in connection.execute(statement, parameters)}
