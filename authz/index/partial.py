"""A view that reads rows on demand, as of a fixed revision, and keeps the ones it used. Made by `index.registry`.

It answers questions at an old revision without loading the whole store. A row that was never read is `MISSING`; `fetch`
reads all rows found missing since the last time in one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from authz.index.names import Names
from authz.index.rows import MISSING, Row, Rows
from authz.index.tables import Table
from authz.model.plan import Edge
from authz.store.api import ForwardKey, ReverseKey, TupleReader
from authz.tuples import RelationshipTuple, object_type, split_userset, user_kind


class _Wanted(NamedTuple):
    forward: dict[ForwardKey, None]
    reverse: dict[ReverseKey, None]


class PartialView:
    """Tuples of a store as of a revision, read row by row."""

    def __init__(self, reader: TupleReader, store_id: str, revision: int) -> None:
        self.revision = revision
        self.bindings: dict[object, object] = {}
        self._reader = reader
        self._store_id = store_id
        self._names = Names()
        self._tables: dict[Edge, Table] = {}
        self._wanted = _Wanted({}, {})
        self._held_forward: set[ForwardKey] = set()
        self._held_reverse: set[ReverseKey] = set()
        self.name = self._names.name

    def find(self, name: str) -> int | None:
        """The id of a name; every name has one, for only reading its rows tells whether any tuple has it."""
        return self._names.intern(name)

    def forward(self, edge: Edge) -> Sequence[Rows]:
        """Rows by object, or `MISSING`."""
        return (_ForwardRows(self, edge, self._table(edge).forward),)

    def reverse(self, edge: Edge) -> Sequence[Rows]:
        """Rows by user, or `MISSING`."""
        return (_ReverseRows(self, edge, self._table(edge).reverse),)

    def _table(self, edge: Edge) -> Table:
        return self._tables.setdefault(edge, Table(edge))

    def holds_forward(self, key: ForwardKey) -> bool:
        """Whether a forward row has been read; if not it is wanted from now on."""
        if key in self._held_forward:
            return True
        self._wanted.forward[key] = None
        return False

    def holds_reverse(self, key: ReverseKey) -> bool:
        """Whether a reverse row has been read; if not it is wanted from now on."""
        if key in self._held_reverse:
            return True
        self._wanted.reverse[key] = None
        return False

    async def fetch(self) -> None:
        """Read all wanted rows in one batch.

        Raises:
            InvalidConsistencyToken: the revision is no longer kept.

        """
        forward, reverse = self._wanted
        self._wanted = _Wanted({}, {})
        if not forward and not reverse:
            return
        tuples = await self._reader.rows(self._store_id, self.revision, tuple(forward), tuple(reverse))
        for tuple_ in tuples:
            self._enter(tuple_, forward, reverse)
        self._held_forward.update(forward)
        self._held_reverse.update(reverse)

    def _enter(
        self, tuple_: RelationshipTuple, forward: dict[ForwardKey, None], reverse: dict[ReverseKey, None]
    ) -> None:
        type_, condition = object_type(tuple_.object), tuple_.condition
        edge = Edge(type_, tuple_.relation, user_kind(tuple_.user), condition.name if condition else "")
        object_ = self._names.intern(tuple_.object)
        user = self._names.intern(split_userset(tuple_.user)[0])
        table, context = self._table(edge), condition.context if condition else None
        if ForwardKey(tuple_.object, tuple_.relation) in forward:
            table.add_forward(object_, user, context)
        if ReverseKey(tuple_.user, type_, tuple_.relation) in reverse:
            table.add_reverse(object_, user, context)


class _ForwardRows:
    """Forward rows of one edge, `MISSING` until the (object, relation) they belong to has been read."""

    __slots__ = ("_edge", "_rows", "_view")

    def __init__(self, view: PartialView, edge: Edge, rows: dict[int, Row]) -> None:
        self._view = view
        self._edge = edge
        self._rows = rows

    def get(self, key: int, /) -> Row:
        row = self._rows.get(key)
        if row is None and not self._view.holds_forward(ForwardKey(self._view.name(key), self._edge.relation)):
            return MISSING
        return row


class _ReverseRows:
    """Reverse rows of one edge, `MISSING` until the (user, type, relation) they belong to has been read."""

    __slots__ = ("_edge", "_rows", "_view")

    def __init__(self, view: PartialView, edge: Edge, rows: dict[int, Row]) -> None:
        self._view = view
        self._edge = edge
        self._rows = rows

    def get(self, key: int, /) -> Row:
        row = self._rows.get(key)
        if row is not None:
            return row
        edge = self._edge
        user = self._view.name(key)
        if edge.user.relation:
            user = f"{user}#{edge.user.relation}"
        return None if self._view.holds_reverse(ReverseKey(user, edge.type, edge.relation)) else MISSING
