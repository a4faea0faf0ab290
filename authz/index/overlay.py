"""Contextual tuples laid over a view, for one request. Made by `commands`, read by `engine`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from authz.index.bindings import Derived
from authz.index.rows import MISSING, Row, Rows, View
from authz.index.tables import Table
from authz.model.plan import Edge
from authz.tuples import RelationshipTuple, UserKind, object_type, split_userset, user_kind


class Overlay:
    """A `View` in which the given tuples exist; one with the key of a stored tuple takes its place.

    Names that only the contextual tuples know get negative ids, so that they never meet an id of the view below.
    """

    def __init__(self, below: View, tuples: Iterable[RelationshipTuple]) -> None:
        self.revision = below.revision
        self.bindings: dict[object, Derived] = {}
        self._below = below
        self._ids: dict[str, int] = {}
        self._names: list[str] = []
        self._tables: dict[Edge, Table] = {}
        # (type, relation, kind) -> the (object, user) pairs given, each with its condition's name.
        self._given: dict[tuple[str, str, UserKind], dict[tuple[int, int], str]] = {}
        for tuple_ in tuples:
            self._add(tuple_)

    def _add(self, tuple_: RelationshipTuple) -> None:
        type_, kind, condition = object_type(tuple_.object), user_kind(tuple_.user), tuple_.condition
        object_ = self._intern(tuple_.object)
        user = self._intern(split_userset(tuple_.user)[0])
        given = self._given.setdefault((type_, tuple_.relation, kind), {})
        if (object_, user) in given:
            return
        edge = Edge(type_, tuple_.relation, kind, condition.name if condition else "")
        table = self._tables.setdefault(edge, Table(edge))
        table.add(object_, user, condition.context if condition else None, shared=False)
        given[object_, user] = edge.condition

    def _intern(self, name: str) -> int:
        found = self.find(name)
        if found is None:
            self._names.append(name)
            found = self._ids[name] = -len(self._names)
        return found

    def find(self, name: str) -> int | None:
        """The id of a name in the contextual tuples or in the view below.

        INVARIANT: a name keeps its id, even when the view below comes to know it while the overlay is in use.
        """
        found = self._ids.get(name)
        return self._below.find(name) if found is None else found

    def name(self, key: int) -> str:
        """The text of an id."""
        return self._names[-key - 1] if key < 0 else self._below.name(key)

    def forward(self, edge: Edge) -> Sequence[Rows]:
        """Rows by object: those below, without what is overridden, and those of the contextual tuples."""
        return self._rows(edge, self._below.forward(edge), is_forward=True)

    def reverse(self, edge: Edge) -> Sequence[Rows]:
        """Rows by user, likewise."""
        return self._rows(edge, self._below.reverse(edge), is_forward=False)

    def _rows(self, edge: Edge, below: Sequence[Rows], *, is_forward: bool) -> Sequence[Rows]:
        given = self._given.get((edge.type, edge.relation, edge.user))
        if not given:
            return below
        hidden: dict[int, set[int]] = {}
        for (object_, user), condition in given.items():
            # The same tuple without a condition says the same whether it is stored or given.
            if condition or edge.condition:
                key, entry = (object_, user) if is_forward else (user, object_)
                hidden.setdefault(key, set()).add(entry)
        rows: list[Rows] = [_HidingRows(each, hidden) for each in below] if hidden else list(below)
        table = self._tables.get(edge)
        if table is not None:
            rows.append(table.forward if is_forward else table.reverse)
        return rows

    async def fetch(self) -> None:
        """Bring the rows that were missing below."""
        await self._below.fetch()


class _HidingRows:
    """Rows of one edge without the entries that contextual tuples override."""

    __slots__ = ("_below", "_hidden", "_kept")

    def __init__(self, below: Rows, hidden: dict[int, set[int]]) -> None:
        self._below = below
        self._hidden = hidden
        self._kept: dict[int, Row] = {}
        """Rows that had to be copied, at most one for each contextual tuple."""

    def get(self, key: int, /) -> Row:
        hidden = self._hidden.get(key)
        if hidden is None:
            return self._below.get(key)
        if key in self._kept:
            return self._kept[key]
        row = self._below.get(key)
        if row is MISSING:
            return MISSING
        kept = self._kept[key] = _without(row, hidden)
        return kept


def _without(row: Row, hidden: set[int]) -> Row:
    if isinstance(row, int):
        return None if row in hidden else row
    if isinstance(row, set) and not row.isdisjoint(hidden):
        return (row - hidden) or None
    if isinstance(row, list):
        return [entry for entry in row if entry not in hidden] or None
    if isinstance(row, dict) and not hidden.isdisjoint(row):
        return {entry: context for entry, context in row.items() if entry not in hidden} or None
    return row
