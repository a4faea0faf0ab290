"""All tuples of one store in memory, exact at a revision, moved forward by the changelog. Owned by `index.registry`.

One thread (the event loop's) applies changes and may answer from the live rows without any lock. Other threads read
through `snapshot()`: before a row changes, its old value is saved into every open snapshot, so that a snapshot stays
exact at its revision while the index moves on.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from authz.errors import Bug
from authz.index.bindings import Bindings, Derived
from authz.index.decisions import DECISIONS, Decisions, Tally
from authz.index.names import Names
from authz.index.order import in_order
from authz.index.ration import Ration
from authz.index.rows import Context, Row, Rows
from authz.index.tables import Table
from authz.model.plan import Edge
from authz.store.api import Change, Operation
from authz.tuples import RelationshipTuple, UserKind, object_type, split_object, split_userset, user_kind

_Shape = tuple[str, str, UserKind]


class TupleIndex:
    """The resident index of a store; also a `View` for the thread that applies changes."""

    def __init__(
        self, revision: int, *, decisions: int = DECISIONS, tally: Tally | None = None, ration: Ration | None = None
    ) -> None:
        self.revision = revision
        self.changed: dict[tuple[str, str], int] = {}
        """(type, relation) -> the revision at which a tuple of it last changed since the index was loaded."""
        self.decisions = Decisions(self.changed, revision, decisions, tally, ration)
        self.bindings = Bindings()
        self._names = Names()
        self._tables: dict[Edge, Table] = {}
        self._shapes: dict[_Shape, list[Table]] = {}
        # Type -> all rows whose keys are names of that type: a name that is the key of none is in no tuple.
        self._keyed: dict[str, list[dict[int, Row]]] = {}
        self._snapshots: list[Snapshot] = []
        self._opened = 0
        # Ids without a name that a snapshot may still hold, each with the number of the newest such snapshot.
        self._forgotten: deque[tuple[int, int]] = deque()
        self._lock = threading.Lock()
        self.find = self._names.find
        self.name = self._names.name
        self.tuples = 0

    def load(self, tuples: Iterable[RelationshipTuple]) -> None:
        """Enter tuples of the index's revision, before anybody reads."""
        for tuple_ in tuples:
            self._add(tuple_, shared=False)

    def load_columns(
        self, edge: Edge, objects: Sequence[str], users: Sequence[str], contexts: Sequence[Context]
    ) -> None:
        """As `load`, for tuples of one edge: users without the userset's relation, contexts if the edge has them."""
        intern = self._names.intern_many
        self._table(edge).add_many(intern(objects), intern(users), contexts)
        self.tuples += len(objects)

    def apply(self, changes: Sequence[Change]) -> None:
        """Move forward over whole revisions, in order; changes that are in the index already are passed over.

        Raises:
            Bug: a revision is left out, or a deletion names a tuple that is not here.

        """
        with self._lock:
            shared = bool(self._snapshots)
            reached = self.revision
            loose: dict[int, None] = {}
            for change in in_order(changes, self.revision):
                reached = change.revision
                self._apply(change, loose, shared=shared)
            self._free(loose)
            self.revision = reached
            self.decisions.moved()

    def _apply(self, change: Change, loose: dict[int, None], *, shared: bool) -> None:
        """Take in one change; the names of a tuple that is deleted become loose."""
        self.changed[object_type(change.tuple.object), change.tuple.relation] = change.revision
        self.decisions.note(change.tuple.object, change.revision)
        if change.operation is Operation.WRITE:
            self._add(change.tuple, shared=shared)
        else:
            loose.update(dict.fromkeys(self._remove(change.tuple, shared=shared)))

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

    def _remove(self, tuple_: RelationshipTuple, *, shared: bool) -> tuple[int, int]:
        object_ = self.find(tuple_.object)
        user = self.find(split_userset(tuple_.user)[0])
        for table in self._shapes.get(_shape(tuple_), ()):
            if object_ is None or user is None:
                break
            if shared:
                self._save(table, object_, user)
            if table.remove(object_, user, shared=shared):
                self.tuples -= 1
                return object_, user
        raise Bug(f"the changelog deletes `{tuple_.key}`, which is not in the index at revision {self.revision}")

    def _free(self, loose: Iterable[int]) -> None:
        """Forget names that no row holds any more, and recycle ids that no snapshot can hold any more."""
        for key in loose:
            name = self.name(key)
            if any(key in rows for rows in self._keyed[split_object(name)[0]]):
                continue
            for snapshot in self._snapshots:
                snapshot.keep_name(name, key)
            self._names.forget(key)
            self._forgotten.append((self._opened, key))
        oldest = self._snapshots[0].number if self._snapshots else self._opened + 1
        while self._forgotten and self._forgotten[0][0] < oldest:
            self._names.recycle(self._forgotten.popleft()[1])

    def _save(self, table: Table, object_: int, user: int) -> None:
        for snapshot in self._snapshots:
            snapshot.save(table, object_, user)

    def _table(self, edge: Edge) -> Table:
        table = self._tables.get(edge)
        if table is None:
            table = Table(edge)
            self._shapes.setdefault((edge.type, edge.relation, edge.user), []).append(table)
            self._keyed.setdefault(edge.type, []).append(table.forward)
            self._keyed.setdefault(edge.user.type, []).append(table.reverse)
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

    def tables(self) -> list[dict[int, Row]]:
        """The rows of all edges in both directions."""
        return [rows for table in self._tables.values() for rows in (table.forward, table.reverse)]

    def names(self) -> Names:
        """All names."""
        return self._names

    def retire(self, at_most: int) -> bool:
        """Free up to so many rows and names of an index that nobody asks any more; returns whether nothing is left.

        What a snapshot may still read is left alone.
        """
        if self._snapshots:
            return False
        self.bindings.retire()
        self.decisions.forget()
        for rows in self.tables():
            while rows:
                if not at_most:
                    return False
                at_most -= 1
                rows.popitem()
            rows.clear()  # gives back the places of what was taken out
        return self._names.retire(at_most)

    def snapshot(self) -> Snapshot:
        """A view of the present revision that any thread may read; `close` it soon: it makes changes dearer."""
        with self._lock:
            self._opened += 1
            snapshot = Snapshot(self, self._opened)
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

    def __init__(self, index: TupleIndex, number: int) -> None:
        self.revision = index.revision
        self.number = number
        """Snapshots of an index are numbered in the order in which they were taken."""
        self.decisions = index.decisions
        self.bindings: dict[object, Derived] = {}
        self._index = index
        self._saved: dict[tuple[int, bool], dict[int, Row]] = {}
        self._names: dict[str, int] = {}
        self.name = index.name

    def find(self, name: str) -> int | None:
        """The id of a name, the same as long as the snapshot is open."""
        # INVARIANT: a name is kept here before the index forgets it, so one that is not found there is found here.
        found = self._index.find(name)
        return self._names.get(name, found) if self._names else found

    def keep_name(self, name: str, key: int) -> None:
        """Know a name that the index is about to forget."""
        self._names.setdefault(name, key)

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
