"""Rows that were read on demand, kept while they are used and fit: the memory that all partial indexes share.

A cell holds one row as the database gives it: all tuples of an (object, relation), or of a (user, object type,
relation), split by edge. Cells stand in a ring; what was used since the hand last came by gets a second chance (CLOCK).
Used by `index.shared`, on the event loop; other threads only read cells and mark them as used.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from authz.index.rows import Context, Row, members

CELL_BYTES = 330
"""What a cell costs with its places in the ring and the table of its index, without its row."""
PATIENCE = 32
"""Used cells passed over in search of one to drop; then the next goes, used or not."""
_TRIMMED = 4
_FROZEN_CELLS = 100_000
LARGEST_SHARE = 4
"""A row that takes more than this fraction of the capacity is not kept."""


class Owner(Protocol):
    """Whoever keeps cells in the cache."""

    def released(self, cell: Cell) -> int:
        """A cell was dropped; returns the bytes that this frees besides the cell's own."""
        ...

    def tidy(self) -> None:
        """Recycle ids that nobody can know any more."""
        ...


class Shelf:
    """The cells of one (type, relation) by object, or of one (type, relation, user's relation) by user."""

    __slots__ = ("cells", "is_forward", "owner", "relation", "type", "user_relation")

    def __init__(self, owner: Owner, type_: str, relation: str, user_relation: str = "", *, is_forward: bool) -> None:
        self.owner = owner
        self.type = type_
        self.relation = relation
        self.user_relation = user_relation
        self.is_forward = is_forward
        self.cells: dict[int, Cell] = {}


class Cell:
    """One row at the revision `since` and at all later ones, as long as it stands in its shelf."""

    __slots__ = ("bytes", "following", "key", "previous", "rows", "shelf", "since", "used")

    def __init__(self, shelf: Shelf, key: int, rows: dict[int, Row], since: int) -> None:
        self.shelf = shelf
        self.key = key
        self.rows = rows
        """By number of the edge."""
        self.since = since
        self.used = False
        self.bytes = 0
        self.previous: Cell | None = None
        self.following: Cell | None = None

    def ids(self) -> Iterator[int]:
        """Every id that the cell holds, as often as it holds it."""
        yield self.key
        for row in self.rows.values():
            yield from members(row)

    def measure(self) -> int:
        """About how many bytes the cell takes, without names."""
        size = CELL_BYTES
        if self.rows:
            size += self.rows.__sizeof__()
        for row in self.rows.values():
            if isinstance(row, set | list):
                size += row.__sizeof__() + 16
            elif isinstance(row, dict):
                size += row.__sizeof__() + sum(map(context_bytes, row.values()))
        return size


def context_bytes(context: Context) -> int:
    """About how many bytes a condition's context takes."""
    size, pending = 0, list[object]([context])
    while pending:
        part = pending.pop()
        size += sys.getsizeof(part) + 16
        if isinstance(part, Mapping):
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)
    return size


class RowCache:
    """Cells within a capacity in bytes."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.bytes = 0
        """What cells and names take, as estimated."""
        self.cells = 0
        self.entered = 0
        """How many cells were ever entered."""
        self._littered: set[Owner] = set()
        # Stands for no row, only for a place in the ring.
        self._hand: Final = Cell.__new__(Cell)
        self._hand.previous = self._hand.following = self._hand

    def admits(self, size: int) -> bool:
        """Whether a row of so many bytes is worth keeping."""
        return size * LARGEST_SHARE <= self.capacity

    def enter(self, cell: Cell, names: int) -> None:
        """Keep a new cell, and drop others if need be; `names` are the bytes of names that only it holds."""
        cell.bytes = cell.measure()
        cell.shelf.cells[cell.key] = cell
        self._link(cell)
        self.cells += 1
        self.entered += 1
        self.bytes += cell.bytes + names
        # More than what came in, should the capacity have shrunk, but not everything at once.
        self.trim(_TRIMMED * (cell.bytes + names))
        if self.entered % _FROZEN_CELLS == 0:
            # Cells stay long, and nothing keeps them that the collector could find: it need not walk them.
            gc.collect(1)
            gc.freeze()

    def changed(self, cell: Cell, names: int) -> None:
        """The row of a cell was changed in place, which took or (negative) freed bytes of names."""
        before, cell.bytes = cell.bytes, cell.measure()
        self.bytes += cell.bytes - before + names

    def drop(self, cell: Cell) -> None:
        """Forget a cell; whoever reads it may go on."""
        cell.shelf.cells.pop(cell.key, None)
        self._unlink(cell)
        self.cells -= 1
        owner = cell.shelf.owner
        self.bytes -= cell.bytes + owner.released(cell)
        self._littered.add(owner)

    def tidy(self) -> None:
        """Let the owners of dropped cells recycle ids. Not while a question is being answered over live rows."""
        while self._littered:
            self._littered.pop().tidy()

    def trim(self, at_most: int = sys.maxsize) -> bool:
        """Drop cells until the capacity holds or so many bytes are freed; returns whether the capacity holds."""
        enough = self.bytes - at_most
        while self.bytes > self.capacity and self.cells:
            if self.bytes <= enough:
                return False
            self._drop_one()
        return True

    def _drop_one(self) -> None:
        for _ in range(PATIENCE):
            cell = self._oldest()
            if not cell.used:
                break
            cell.used = False
            self._unlink(cell)
            self._link(cell)
        self.drop(self._oldest())

    def _oldest(self) -> Cell:
        oldest = self._hand.following
        assert oldest is not None
        return oldest

    def _link(self, cell: Cell) -> None:
        """Put a cell where the hand comes last."""
        last = self._hand.previous
        assert last is not None
        last.following = self._hand.previous = cell
        cell.previous, cell.following = last, self._hand

    def _unlink(self, cell: Cell) -> None:
        previous, following = cell.previous, cell.following
        assert previous is not None
        assert following is not None
        previous.following, following.previous = following, previous
        cell.previous = cell.following = None
