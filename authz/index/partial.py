"""A view that reads rows on demand, as of one revision, and keeps those it used. Made by `index.registry` per request.

Rows that its index has in memory are used when they hold at the view's revision; the others are `MISSING` until
`fetch` has read all of them in one batch. A row that the view has used stays what it was, whatever the index forgets
or applies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from authz.index.bindings import Derived
from authz.index.cells import Cell, Shelf
from authz.index.rows import MISSING, Row, Rows
from authz.index.shared import PartialIndex
from authz.model.plan import Edge


class PartialView:
    """Tuples of a store as of a revision, read row by row.

    To be opened on the event loop before it is read, and closed there afterwards; in between, one thread at a time may
    read it.
    """

    def __init__(self, index: PartialIndex, revision: int) -> None:
        self.index = index
        self.revision = revision
        self.decisions = index.decisions
        self.bindings: dict[object, Derived] = {}
        self.find = index.names.lend
        self.name = index.names.name
        self._number = 0
        self._held: dict[Shelf, dict[int, Cell]] = {}
        self._wanted: dict[Shelf, dict[int, None]] = {}

    @property
    def is_live(self) -> bool:
        """Whether the view's revision is that of its index, so that the index itself may be asked first."""
        return self.revision == self.index.revision

    def open(self) -> PartialView:
        """Begin to read."""
        if not self._number:
            self._number = self.index.opened()
        return self

    def close(self) -> None:
        """Read no more."""
        # INVARIANT: nothing that holds ids outlives the view's number, for they may be recycled from here on.
        self.bindings.clear()
        self._held.clear()
        self._wanted.clear()
        if self._number:
            self.index.closed(self._number)
            self._number = 0

    def __enter__(self) -> PartialView:
        return self.open()

    def __exit__(self, *_: Any) -> None:
        self.close()

    def forward(self, edge: Edge) -> Sequence[Rows]:
        """Rows by object, or `MISSING`."""
        return self._rows(edge, self.index.shelf(edge, is_forward=True))

    def reverse(self, edge: Edge) -> Sequence[Rows]:
        """Rows by user, or `MISSING`."""
        return self._rows(edge, self.index.shelf(edge, is_forward=False))

    def _rows(self, edge: Edge, shelf: Shelf) -> Sequence[Rows]:
        held, wanted = self._held.setdefault(shelf, {}), self._wanted.setdefault(shelf, {})
        return (_ViewRows(shelf.cells, held, wanted, self.revision, self.index.edge_number(edge)),)

    async def fetch(self) -> None:
        """Read all wanted rows in one batch.

        Raises:
            InvalidConsistencyToken: the revision is no longer kept.

        """
        wanted = {shelf: tuple(keys) for shelf, keys in self._wanted.items() if keys}
        if not wanted:
            return
        for cell in await self.index.read(self.revision, wanted):
            self._held[cell.shelf][cell.key] = cell
        for shelf in wanted:
            self._wanted[shelf].clear()


class _ViewRows:
    """Rows of one edge at the view's revision, `MISSING` until the row of the database that they belong to was read."""

    __slots__ = ("_cells", "_edge", "_held", "_revision", "_wanted")

    def __init__(
        self, cells: dict[int, Cell], held: dict[int, Cell], wanted: dict[int, None], revision: int, edge: int
    ) -> None:
        self._cells = cells
        self._held = held
        self._wanted = wanted
        self._revision = revision
        self._edge = edge

    def get(self, key: int, /) -> Row:
        cell = self._held.get(key)
        if cell is None:
            cell = self._cells.get(key)
            # INVARIANT: a cell in its shelf holds up to the index's revision, which is not below the view's.
            if cell is None or cell.since > self._revision:
                self._wanted[key] = None
                return MISSING
            cell.used = True
            self._held[key] = cell
        return cell.rows.get(self._edge)
