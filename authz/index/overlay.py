"""Contextual tuples laid over a view, for one request. Made by `commands`, read by `engine`."""

from __future__ import annotations

from collections.abc import Iterable

from authz.index.rows import MISSING, Context, Row, Rows, View
from authz.index.tables import Table
from authz.model.plan import Edge
from authz.tuples import RelationshipTuple, UserKind, object_type, split_userset, user_kind


class Overlay:
    """A `View` in which the given tuples exist; one with the key of a stored tuple takes its place.

    Names that only the contextual tuples know get negative ids, so that they never meet an id of the view below.
    """

    def __init__(self, below: View, tuples: Iterable[RelationshipTuple]) -> None:
        self.revision = below.revision
        self.bindings: dict[object, object] = {}
        self._below = below
        self._ids: dict[str, int] = {}
        self._names: list[str] = []
        self._tables: dict[Edge, Table] = {}
        # (type, relation, kind) -> the (object, user) pairs given; stored tuples with these keys are hidden.
        self._given: dict[tuple[str, str, UserKind], set[tuple[int, int]]] = {}
        for tuple_ in tuples:
            self._add(tuple_)

    def _add(self, tuple_: RelationshipTuple) -> None:
        type_, kind, condition = object_type(tuple_.object), user_kind(tuple_.user), tuple_.condition
        object_ = self._intern(tuple_.object)
        user = self._intern(split_userset(tuple_.user)[0])
        edge = Edge(type_, tuple_.relation, kind, condition.name if condition else "")
        table = self._tables.setdefault(edge, Table(edge))
        table.add(object_, user, condition.context if condition else None, shared=False)
        self._given.setdefault((type_, tuple_.relation, kind), set()).add((object_, user))

    def _intern(self, name: str) -> int:
        found = self.find(name)
        if found is None:
            self._names.append(name)
            found = self._ids[name] = -len(self._names)
        return found

    def find(self, name: str) -> int | None:
        """The id of a name in the view below or in the contextual tuples."""
        found = self._below.find(name)
        return self._ids.get(name) if found is None else found

    def name(self, key: int) -> str:
        """The text of an id."""
        return self._names[-key - 1] if key < 0 else self._below.name(key)

    def forward(self, edge: Edge) -> Rows:
        """Rows by object, contextual tuples included."""
        return self._rows(edge, self._below.forward(edge), is_forward=True)

    def reverse(self, edge: Edge) -> Rows:
        """Rows by user, contextual tuples included."""
        return self._rows(edge, self._below.reverse(edge), is_forward=False)

    def _rows(self, edge: Edge, below: Rows, *, is_forward: bool) -> Rows:
        given = self._given.get((edge.type, edge.relation, edge.user))
        if not given:
            return below
        table = self._tables.get(edge) or Table(edge)
        merged = table.forward if is_forward else table.reverse
        hidden: dict[int, set[int]] = {}
        for object_, user in given:
            key, entry = (object_, user) if is_forward else (user, object_)
            hidden.setdefault(key, set()).add(entry)
        return _OverlaidRows(below, merged, hidden, is_conditional=bool(edge.condition))

    async def fetch(self) -> None:
        """Bring the rows that were missing below."""
        await self._below.fetch()


class _OverlaidRows:
    """Rows of one edge with contextual entries added and the stored entries of the same keys hidden."""

    __slots__ = ("_below", "_given", "_hidden", "_is_conditional")

    def __init__(
        self, below: Rows, given: dict[int, Row], hidden: dict[int, set[int]], *, is_conditional: bool
    ) -> None:
        self._below = below
        self._given = given
        self._hidden = hidden
        self._is_conditional = is_conditional

    def get(self, key: int, /) -> Row:
        stored = self._below.get(key) if key >= 0 else None
        hidden = self._hidden.get(key)
        if hidden is None or stored is MISSING:
            return stored
        return self._merge(stored, self._given.get(key), hidden)

    def _merge(self, stored: Row, given: Row, hidden: set[int]) -> Row:
        if self._is_conditional:
            kept = {entry: context for entry, context in _items(stored) if entry not in hidden}
            return {**kept, **dict(_items(given))} or None
        entries = (_entries(stored) - hidden) | _entries(given)
        if len(entries) > 1:
            return entries
        return next(iter(entries), None)


def _items(row: Row) -> Iterable[tuple[int, Context]]:
    return row.items() if isinstance(row, dict) else ()


def _entries(row: Row) -> set[int]:
    if isinstance(row, set):
        return row
    return {row} if isinstance(row, int) else set()
