"""Remove tuples that were deleted long ago. Called by `datastore`, one transaction per store."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import BigInteger, bindparam, delete, select, update

from authz.store.sql.tables import revisions, tuples

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from authz.store.sql.dialect import Dialect


class Litter(NamedTuple):
    """Rows of one store to remove, and the revision that then becomes its oldest readable one."""

    store_id: str
    oldest: int
    positions: list[int]


def find_litter(connection: Connection, older_than: datetime, limit: int) -> Sequence[Litter]:
    """Up to `limit` rows deleted before a time, the longest deleted first, by store."""
    c = tuples.c
    rows = connection.execute(
        select(c.store_id, c.deleted_revision, c.position)
        .where(c.deleted_at < older_than, c.deleted_at.is_not(None))
        .order_by(c.deleted_at)
        .limit(limit)
    )
    found: dict[str, Litter] = {}
    for store_id, revision, position in rows:
        litter = found.get(store_id, Litter(store_id, 0, []))
        litter.positions.append(position)
        found[store_id] = litter._replace(oldest=max(litter.oldest, revision))
    return list(found.values())


class Collector:
    """The statements of a removal."""

    def __init__(self, dialect: Dialect) -> None:
        self._places = dialect.key_table({"position": BigInteger()})
        self._remove = delete(tuples).where(self._places.matches(tuples))

    def remove(self, connection: Connection, litter: Litter) -> int:
        """Raise the store's oldest revision, then remove the rows; returns how many were still there."""
        connection.execute(_raise_oldest, {"store": litter.store_id, "oldest": litter.oldest})
        places = self._places.bind([(position,) for position in litter.positions])
        return connection.execute(self._remove, places).rowcount


# INVARIANT: the row is written even when a concurrent removal raised it further, so that both take its lock in turn.
_raise_oldest = (
    update(revisions)
    .where(revisions.c.store_id == bindparam("store"), revisions.c.oldest_revision < bindparam("oldest"))
    .values(oldest_revision=bindparam("oldest", type_=BigInteger()))
)
