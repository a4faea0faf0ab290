"""Rows of the index, and what a view of it offers. Implemented in this package, read by `engine`.

A *row* is what stands at one id of one edge: forward, the users of an object; reverse, the objects of a user. To save
memory a row of one entry is that entry:

    edge without condition:  None | id | set of ids, or a list of them in a reverse row
    edge with condition:     None | {id: context}

`MISSING` instead of a row says that it is not in memory: the question must be asked again once `View.fetch` has
brought it.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from enum import Enum
from typing import Final, Protocol

from authz.index.bindings import Derived
from authz.model.plan import Edge
from authz.tuples import JsonValue


class _Missing(Enum):
    MISSING = "missing"


MISSING: Final = _Missing.MISSING

Context = Mapping[str, JsonValue]
Row = int | set[int] | list[int] | dict[int, Context] | _Missing | None


class Rows(Protocol):
    """The rows of one edge in one direction."""

    def get(self, key: int, /) -> Row:
        """The row of an id; None when there are no tuples."""
        ...


class View(Protocol):
    """Tuples exactly as of `revision`. Ids are valid within one view only."""

    @property
    def revision(self) -> int:
        """The revision at which every row holds."""
        ...

    @property
    def bindings(self) -> MutableMapping[object, Derived]:
        """What the engine derives from this view's rows, kept as long as the view."""
        ...

    def forward(self, edge: Edge) -> Sequence[Rows]:
        """Rows by object id; the tuples of an object are those of all of them. They stay valid as long as the view."""
        ...

    def reverse(self, edge: Edge) -> Sequence[Rows]:
        """Rows by user id: the object's id of an object or userset, or the id of `type:*`."""
        ...

    def find(self, name: str) -> int | None:
        """The id of `type:id` or `type:*`, or None when no tuple in this view names it."""
        ...

    def name(self, key: int) -> str:
        """The text of an id."""
        ...

    async def fetch(self) -> None:
        """Bring the rows that were found missing, all in one round trip."""
        ...


def members(row: Row) -> Sequence[int] | set[int]:
    """The ids of a row that is in memory, of either form."""
    if row is None:
        return ()
    if isinstance(row, int):
        return (row,)
    if isinstance(row, dict):
        return tuple(row)
    assert row is not MISSING
    return row
