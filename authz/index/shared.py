"""The index of a store that does not fit into memory: rows that were read on demand, exact at a revision.

Made by `index.registry`, which moves it forward by the changelog. It is a `View` for the event loop, of the rows that
it has: a question that misses none is answered from it at once. One that misses some is asked again over a
`PartialView` of the same revision, which reads what it misses and keeps what it used.

INVARIANT: a cell in a shelf holds its row as it is from the cell's revision `since` up to the revision of the index. A
change moves the cells of its two rows or drops them; a row read as of an older revision becomes a cell only when it did
not change since. A cell that any view may be reading is never changed, but replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from authz.errors import Bug, Unavailable
from authz.index.bindings import Bindings
from authz.index.cells import Cell, RowCache, Shelf
from authz.index.decisions import DECISIONS, Decisions, Tally
from authz.index.held import HeldNames
from authz.index.order import in_order
from authz.index.ration import Ration
from authz.index.recent import RecentChanges
from authz.index.rows import MISSING, Row, Rows, members
from authz.index.tables import add_entry, remove_entry
from authz.model.plan import Edge
from authz.store.api import Change, ForwardKey, Operation, ReverseKey, TupleReader
from authz.tuples import RelationshipTuple, object_type, split_userset, user_kind

COPIED = 64
"""Entries up to which a row that changes is copied while views are open; a longer one is dropped."""
TUPLES_PER_TURN = 1_000
"""How many tuples that were read are taken in before other calls get their turn: some milliseconds."""

TRIMMED = 1 << 20
"""Bytes that one run of changes frees at most, should the rows have less room than they had: some milliseconds."""

Key = ForwardKey | ReverseKey


class PartialIndex:
    """Rows of one store that were read on demand. Used on the event loop, but for what says otherwise."""

    def __init__(
        self,
        reader: TupleReader,
        store_id: str,
        revision: int,
        cache: RowCache,
        *,
        decisions: int = DECISIONS,
        tally: Tally | None = None,
        ration: Ration | None = None,
    ) -> None:
        self.revision = revision
        self.changed: dict[tuple[str, str], int] = {}
        """(type, relation) -> the revision at which a tuple of it last changed since the index was made."""
        self.decisions = Decisions(self.changed, revision, decisions, tally, ration)
        self.bindings = Bindings()
        self.names = HeldNames()
        self.find = self.names.lend
        self.name = self.names.name
        self._reader = reader
        self._lineage = reader.lineage
        self._store_id = store_id
        self._loaded = revision
        self._cache = cache
        self._shelves: dict[tuple[str, ...], Shelf] = {}
        self._edges: dict[Edge, int] = {}
        self._edge_numbers = count()
        self._recent = RecentChanges(revision)
        self._open: dict[int, None] = {}
        self._is_retired = False

    def forward(self, edge: Edge) -> Sequence[Rows]:
        """Rows by object that are in memory."""
        return (_LiveRows(self.shelf(edge, is_forward=True), self.edge_number(edge)),)

    def reverse(self, edge: Edge) -> Sequence[Rows]:
        """Rows by user that are in memory."""
        return (_LiveRows(self.shelf(edge, is_forward=False), self.edge_number(edge)),)

    async def fetch(self) -> None:
        """Not here: a question that misses rows is asked again over a `PartialView`."""
        raise Bug("a question over the rows in memory asked for others")

    def shelf(self, edge: Edge, *, is_forward: bool) -> Shelf:
        """The cells that have rows of an edge. Called from any thread."""
        key: tuple[str, ...] = (edge.type, edge.relation)
        if not is_forward:
            key = (*key, edge.user.relation)
        found = self._shelves.get(key)
        if found is None:
            found = self._shelves.setdefault(key, Shelf(self, *key, is_forward=is_forward))
        return found

    def edge_number(self, edge: Edge) -> int:
        """What stands for an edge in cells. Called from any thread."""
        found = self._edges.get(edge)
        return self._edges.setdefault(edge, next(self._edge_numbers)) if found is None else found

    def opened(self) -> int:
        """A view begins to read; its number. Ids that it meets stay what they are until it is closed."""
        self.names.newest += 1
        self._open[self.names.newest] = None
        return self.names.newest

    def closed(self, number: int) -> None:
        """A view reads no more."""
        del self._open[number]
        self.tidy()
        self._cache.tidy()

    def tidy(self) -> None:
        """Recycle ids that nobody can know any more. Not while a question over the live rows is being answered."""
        # Views are numbered as they are opened, so the first is the oldest.
        self.names.sweep(next(iter(self._open), None))

    def released(self, cell: Cell) -> int:
        """See `Owner`."""
        return self.names.release(cell.ids())

    def retire(self, at_most: int) -> bool:
        """Give back up to so many cells of an index that nobody asks any more; returns whether nothing is left.

        Views that are open may go on; what they read is kept no more.
        """
        self._is_retired = True
        self.bindings.retire()
        self.decisions.forget()
        for shelf in tuple(self._shelves.values()):
            while shelf.cells:
                if not at_most:
                    return False
                at_most -= 1
                # Taken from the end: whoever looks for the first of a dict again and again walks over what is gone.
                self._cache.drop(shelf.cells.popitem()[1])
        self._cache.tidy()
        if self._open:
            return False
        # Shelves refer to their owner: with them the index would stay until the collector comes by, or for ever if it
        # was taken out of the collector's sight.
        self._shelves.clear()
        return True

    def apply(self, changes: Sequence[Change]) -> None:
        """Move forward over whole revisions, in order; changes that are in the index already are passed over.

        Raises:
            Bug: a revision is left out.

        """
        reached = self.revision
        for change in in_order(changes, self.revision):
            reached = change.revision
            self._apply(change)
        self.revision = reached
        self.decisions.moved()
        self._cache.trim(TRIMMED)
        self.tidy()
        self._cache.tidy()

    def _apply(self, change: Change) -> None:
        tuple_ = change.tuple
        edge, object_name, user_name = _parts(tuple_)
        self.changed[edge.type, edge.relation] = change.revision
        self.decisions.note(object_name, change.revision)
        forward, reverse = _keys(tuple_)
        self._recent.note(forward, change.revision)
        self._recent.note(reverse, change.revision)
        object_, user = self.names.find(object_name), self.names.find(user_name)
        if object_ is not None:
            self._move(self.shelf(edge, is_forward=True), object_, edge, user_name, change)
        if user is not None:
            self._move(self.shelf(edge, is_forward=False), user, edge, object_name, change)

    def _move(self, shelf: Shelf, key: int, edge: Edge, entry: str, change: Change) -> None:
        """Bring a cell to the revision of a change, or drop it."""
        cell = shelf.cells.get(key)
        if cell is None:
            return
        number = self.edge_number(edge)
        row = cell.rows.get(number)
        if self._open:
            size = len(members(row))
            self._cache.drop(cell)
            if size > COPIED:
                return
            moved = Cell(shelf, key, dict(cell.rows), change.revision)
            if self._change(moved, number, self.names.lend(entry), change, shared=True):
                moved.used = cell.used
                self._enter(moved)
            return
        other = self.names.lend(entry)
        if not self._change(cell, number, other, change, shared=False):
            self._cache.drop(cell)
            return
        cell.since = change.revision
        is_write = change.operation is Operation.WRITE
        self._cache.changed(cell, self.names.hold((other,)) if is_write else -self.names.release((other,)))

    def _change(self, cell: Cell, number: int, entry: int, change: Change, *, shared: bool) -> bool:
        """Change a row of a cell; False when the cell does not hold what the change says it must."""
        if change.operation is Operation.DELETE:
            return remove_entry(cell.rows, number, entry, shared=shared)
        condition, is_list = change.tuple.condition, not cell.shelf.is_forward
        context = condition.context if condition else None
        return add_entry(cell.rows, number, entry, context, shared=shared, is_list=is_list)

    async def read(self, revision: int, wanted: Mapping[Shelf, Iterable[int]]) -> Sequence[Cell]:
        """Read rows as of a revision, in one round trip, and keep those that still hold.

        The ids that the cells hold stay what they are until every view is closed that is open now.

        Raises:
            Unavailable: another server took over: a revision may stand for other tuples there.

        """
        cells = {
            self._key(shelf, key): Cell(shelf, key, {}, revision) for shelf, keys in wanted.items() for key in keys
        }
        forward = [key for key in cells if isinstance(key, ForwardKey)]
        reverse = [key for key in cells if isinstance(key, ReverseKey)]
        tuples = await self._reader.rows(self._store_id, revision, forward, reverse)
        if self._reader.lineage != self._lineage:
            raise Unavailable("the database was taken over by another server meanwhile: ask again")
        for place, tuple_ in enumerate(tuples, 1):
            self._put(cells, tuple_)
            if place % TUPLES_PER_TURN == 0:
                await asyncio.sleep(0)
        for place, (key, cell) in enumerate(cells.items(), 1):
            self._keep(key, cell)
            if place % TUPLES_PER_TURN == 0:
                await asyncio.sleep(0)
        return list(cells.values())

    def _key(self, shelf: Shelf, key: int) -> Key:
        name = self.name(key)
        if shelf.is_forward:
            return ForwardKey(name, shelf.relation)
        return ReverseKey(f"{name}#{shelf.user_relation}" if shelf.user_relation else name, shelf.type, shelf.relation)

    def _put(self, cells: Mapping[Key, Cell], tuple_: RelationshipTuple) -> None:
        """Put a tuple into the rows that were asked for."""
        edge, object_name, user_name = _parts(tuple_)
        number, context = self.edge_number(edge), tuple_.condition.context if tuple_.condition else None
        object_, user = self.names.lend(object_name), self.names.lend(user_name)
        forward_key, reverse_key = _keys(tuple_)
        forward, reverse = cells.get(forward_key), cells.get(reverse_key)
        if forward is not None:
            add_entry(forward.rows, number, user, context, shared=False)
        if reverse is not None:
            add_entry(reverse.rows, number, object_, context, shared=False, is_list=True)

    def _keep(self, key: Key, cell: Cell) -> None:
        """Put a row that was read into its shelf, if it still holds and nobody else has done so."""
        shelf = cell.shelf
        if self._is_retired or cell.key in shelf.cells or cell.since < self._loaded:
            return
        if not self._cache.admits(cell.measure()):
            return
        if self.changed.get((shelf.type, shelf.relation), 0) > cell.since and self._recent.may_have_changed(
            key, cell.since
        ):
            return
        self._enter(cell)

    def _enter(self, cell: Cell) -> None:
        self._cache.enter(cell, self.names.hold(cell.ids()))


class _LiveRows:
    """Rows of one edge that are in memory, at the revision of the index."""

    __slots__ = ("_edge", "_shelf")

    def __init__(self, shelf: Shelf, edge: int) -> None:
        self._shelf = shelf.cells
        self._edge = edge

    def get(self, key: int, /) -> Row:
        cell = self._shelf.get(key)
        if cell is None:
            return MISSING
        cell.used = True
        return cell.rows.get(self._edge)


def _parts(tuple_: RelationshipTuple) -> tuple[Edge, str, str]:
    """The edge of a tuple, its object's name, and its user's without the userset's relation."""
    condition = tuple_.condition.name if tuple_.condition else ""
    edge = Edge(object_type(tuple_.object), tuple_.relation, user_kind(tuple_.user), condition)
    return edge, tuple_.object, split_userset(tuple_.user)[0]


def _keys(tuple_: RelationshipTuple) -> tuple[ForwardKey, ReverseKey]:
    """The two rows that a tuple is in."""
    return (
        ForwardKey(tuple_.object, tuple_.relation),
        ReverseKey(tuple_.user, object_type(tuple_.object), tuple_.relation),
    )


__all__ = ["PartialIndex"]
