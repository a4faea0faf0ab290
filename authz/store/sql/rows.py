"""Rows of the index for any number of keys, at the cost of the driver. Called by `datastore` on a reading connection.

A statement is compiled once, and given to the driver as text: what SQLAlchemy adds to every execution is several times
what the database does for a few keys. See `reading` for why the oldest revision is read; here by the same statement,
which sees one state of the database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import BigInteger, String, cast, null, select, union_all

from authz.store.sql.encoding import read_condition, tuple_columns
from authz.store.sql.reading import STORE, alive, no_longer_kept
from authz.store.sql.tables import BY_OBJECT, BY_USER, revisions, tuples
from authz.tuples import RelationshipTuple, split_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Engine, SelectBase, TextClause

    from authz.store.api import ForwardKey, ReverseKey
    from authz.store.sql.dialect import Dialect, KeyTable


class RowReader:
    """Rows of the index, any number of keys in two statements."""

    def __init__(self, dialect: Dialect) -> None:
        name = String()
        self._forward_keys = dialect.key_table({"object_type": name, "object_id": name, "relation": name})
        self._reverse_keys = dialect.key_table({"tuple_user": name, "object_type": name, "relation": name})
        self._forward = _Prepared(dialect.reader, _statement(dialect, self._forward_keys, BY_OBJECT))
        self._reverse = _Prepared(dialect.reader, _statement(dialect, self._reverse_keys, BY_USER))

    def rows(
        self,
        connection: Connection,
        store_id: str,
        revision: int,
        forward: Sequence[ForwardKey],
        reverse: Sequence[ReverseKey],
    ) -> Sequence[RelationshipTuple]:
        """All tuples of the rows, each once. Raises `InvalidConsistencyToken` when the revision is no longer kept."""
        found: dict[int, RelationshipTuple] = {}
        parameters = {"store_id": store_id, "revision": revision}
        if forward or not reverse:
            left = self._forward_keys.bind(list({(*split_object(key.object), key.relation) for key in forward}))
            _collect(found, self._forward.rows(connection, parameters | left), revision)
        if reverse:
            right = self._reverse_keys.bind([tuple(key) for key in set(reverse)])
            _collect(found, self._reverse.rows(connection, parameters | right), revision)
        return list(found.values())


class _Prepared:
    """A reading statement, compiled for the driver."""

    def __init__(self, engine: Engine, statement: SelectBase) -> None:
        self.statement = statement
        compiled = statement.compile(dialect=engine.dialect)
        self._text = str(compiled)
        self._constants = compiled.params
        self._order = getattr(compiled, "positiontup", None)

    def rows(self, connection: Connection, parameters: dict[str, object]) -> Sequence[Sequence[Any]]:
        """All rows of the answer."""
        named = {**self._constants, **parameters}
        values: Any = named if self._order is None else tuple(named[name] for name in self._order)
        cursor = connection.connection.cursor()
        try:
            cursor.execute(self._text, values)
            return cursor.fetchall()
        except Exception:  # noqa: BLE001 - asked again in the usual way, which succeeds or tells what is wrong
            return connection.exec_driver_sql(self._text, values).all()
        finally:
            cursor.close()


def _statement(dialect: Dialect, keys: KeyTable, index: TextClause) -> SelectBase:
    """The tuples of the keys, and one row with the oldest revision that can be read: see `_collect`."""
    oldest = select(revisions.c.oldest_revision).where(revisions.c.store_id == STORE)
    found = dialect.find(keys, select(tuples.c.position, *tuple_columns(tuples)).where(*alive, index), tuples)
    packed = dialect.packed(found)
    if packed is not None:
        return select(oldest.scalar_subquery(), packed.scalar_subquery())
    each = found.subquery("each").c
    nothing = (cast(null(), column.type) for column in each)
    return union_all(oldest.add_columns(*nothing), select(cast(null(), BigInteger), *each))


def _collect(found: dict[int, RelationshipTuple], answer: Sequence[Sequence[Any]], revision: int) -> None:
    """Add the tuples of an answer; each row is the oldest revision, or a tuple, or in one text all tuples."""
    for oldest, *rest in answer:
        if oldest is not None and revision < oldest:
            raise no_longer_kept(revision)
        rows: Iterable[Sequence[Any]] = orjson.loads(rest[0]) if len(rest) == 1 else (rest,)
        for position, name, relation, user, condition, context in rows:
            if position is not None:
                given = None if condition is None else read_condition(condition, context)
                found[position] = RelationshipTuple(name, relation, user, given)
