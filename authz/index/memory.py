"""All tuples of one store in memory, exact at a revision, moved forward by the changelog. Owned by `index.registry`.

One thread (the event loop's) applies changes and may answer from the live rows without any lock. Other threads read
through `snapshot()`: before a row changes, its old value is saved into every open snapshot, so that a snapshot stays
exact at its revision while the index moves on.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any

from cachetools import LRUCache

from authz.errors import Bug
from authz.index.names import Names
from authz.index.rows import Row, Rows
from authz.index.tables import Table
from authz.model.plan import Edge
from authz.store.api import Change, Operation
from authz.tuples import RelationshipTuple, UserKind, object_type, split_userset, user_kind

_Shape = tuple[str, str, UserKind]
BINDINGS = 256


class TupleIndex:
    """The resident index of a store; also a `View` for the thread that applies changes."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.bindings: MutableMapping[object, object] = LRUCache(BINDINGS)
        self._names = Names()
        self._tables: dict[Edge, Table] = {}
        self._shapes: dict[_Shape, list[Table]] = {}
        self._snapshots: list[Snapshot] = []
        self._lock = threading.Lock()
        self.find = self._names.find
        self.name = self._names.name
        self.tuples = 0

    def load(self, tuples: Iterable[RelationshipTuple]) -> None:
        """Enter tuples of the index's revision, before anybody reads."""
        for tuple_ in tuples:
            self._add(tuple_, shared=False)

    def apply(self, changes: Sequence[Change]) -> None:
        """Move forward over whole revisions, in order; changes that are in the index already are passed over.

        Raises:
            Bug: a revision is left out, or a deletion names a tuple that is not here.

        """
        with self._lock:
            shared = bool(self._snapshots)
            reached = self.revision
            for change in changes:
                if change.revision <= self.revision:
                    continue
                if change.revision > reached + 1:
                    raise Bug(f"the changelog goes from revision {reached} to {change.revision}")
                reached = change.revision
                self._apply(change, shared=shared)
            self.revision = reached

    def _apply(self, change: Change, *, shared: bool) -> None:
        if change.operation is Operation.WRITE:
            self._add(change.tuple, shared=shared)
        else:
            self._remove(change.tuple, shared=shared)

    def _add(self, tuple_: RelationshipTuple, *, shared: bool) -> None:
        condition = tuple_.condition
        shape = _shape(tuple_)
        table = self._table(Edge(*shape, condition.name if condition else ""))
        object_ = self._names.intern(tuple_.object)
        user = self._names.intern(split_userset(tuple_.user)[0])
        if shared:
            self._save(table, object_, user)
        table.add(object_, user, condition.context if condition else None, shared=shared)
        self.tuples += 1

    def _remove(self, tuple_: RelationshipTuple, *, shared: bool) -> None:
        object_ = self._names.intern(tuple_.object)
        user = self._names.intern(split_userset(tuple_.user)[0])
        for table in self._shapes.get(_shape(tuple_), ()):
            if shared:
                self._save(table, object_, user)
            if table.remove(object_, user, shared=shared):
                self.tuples -= 1
                return
        raise Bug(f"the changelog deletes `{tuple_.key}`, which is not in the index at revision {self.revision}")

    def _save(self, table: Table, object_: int, user: int) -> None:
        for snapshot in self._snapshots:
            snapshot.save(table, object_, user)

    def _table(self, edge: Edge) -> Table:
        table = self._tables.get(edge)
        if table is None:
            table = Table(edge)
            self._shapes.setdefault((edge.type, edge.relation, edge.user), []).append(table)
            self._tables[edge] = table
        return table

    def _shared_table(self, edge: Edge) -> Table:
        """The table of an edge for a reader on any thread."""
        table = self._tables.get(edge)
        if table is None:
            with self._lock:
                table = self._table(edge)
        return table

    def forward(self, edge: Edge) -> Sequence[Rows]:
        """Live rows by object."""
        return (self._shared_table(edge).forward,)

    def reverse(self, edge: Edge) -> Sequence[Rows]:
        """Live rows by user."""
        return (self._shared_table(edge).reverse,)

    async def fetch(self) -> None:
        """Nothing is ever missing here."""

    def snapshot(self) -> Snapshot:
        """A view of the present revision that any thread may read; `close` it soon: it makes changes dearer."""
        with self._lock:
            snapshot = Snapshot(self)
            self._snapshots.append(snapshot)
        return snapshot

    def release(self, snapshot: Snapshot) -> None:
        """Forget a snapshot."""
        with self._lock:
            self._snapshots.remove(snapshot)


def _shape(tuple_: RelationshipTuple) -> _Shape:
    return object_type(tuple_.object), tuple_.relation, user_kind(tuple_.user)


class _SavedRows:
    """Rows of one edge as they were when the snapshot was taken."""

    __slots__ = ("_live", "_saved")

    def __init__(self, live: dict[int, Row], saved: dict[int, Row]) -> None:
        self._live = live
        self._saved = saved

    def get(self, key: int, /) -> Row:
        # INVARIANT: a row is saved before it is changed, so a changed row that is read here is found among
        # the saved ones.
        row = self._live.get(key)
        return self._saved.get(key, row)


class Snapshot:
    """A `View` of an index at one revision, whatever is applied afterwards."""

    def __init__(self, index: TupleIndex) -> None:
        self.revision = index.revision
        self.bindings: dict[object, object] = {}
        self._index = index
        self._saved: dict[tuple[int, bool], dict[int, Row]] = {}
        self.find = index.find
        self.name = index.name

    def forward(self, edge: Edge) -> Sequence[Rows]:
        """Rows by object as of the snapshot."""
        table = self._index._shared_table(edge)  # noqa: SLF001 - a snapshot is a part of its index
        return (_SavedRows(table.forward, self._saved.setdefault((id(table), True), {})),)

    def reverse(self, edge: Edge) -> Sequence[Rows]:
        """Rows by user as of the snapshot."""
        table = self._index._shared_table(edge)  # noqa: SLF001 - a snapshot is a part of its index
        return (_SavedRows(table.reverse, self._saved.setdefault((id(table), False), {})),)

    def save(self, table: Table, object_: int, user: int) -> None:
        """Keep the two rows of a tuple that is about to change."""
        for rows, key, is_forward in ((table.forward, object_, True), (table.reverse, user, False)):
            saved = self._saved.setdefault((id(table), is_forward), {})
            if key not in saved:
                saved[key] = rows.get(key)

    async def fetch(self) -> None:
        """Nothing is ever missing here."""

    def close(self) -> None:
        """Let the index change rows in place again."""
        self._index.release(self)

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
