"""A tuple reader over a list, for views that read rows on demand. Used by engine and property tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from authz.index.cells import RowCache
from authz.index.partial import PartialView
from authz.index.shared import PartialIndex
from authz.store.api import Change, ForwardKey, ReverseKey, TupleColumns, WriteResult
from authz.tuples import RelationshipTuple, object_type


class HeldBackReader:
    """Gives rows only when they are asked for; counts the round trips. Never really waits."""

    def __init__(self, tuples: Sequence[RelationshipTuple]) -> None:
        self._tuples = tuple(tuples)
        self.rounds = 0

    def view(self) -> PartialView:
        """A view that has read nothing yet."""
        return PartialView(PartialIndex(self, "STORE", 1, RowCache(0)), 1).open()

    async def rows(
        self, store_id: str, revision: int, forward: Sequence[ForwardKey], reverse: Sequence[ReverseKey]
    ) -> Sequence[RelationshipTuple]:
        """The tuples of the rows."""
        self.rounds += 1
        left, right = set(forward), set(reverse)
        return [
            each
            for each in self._tuples
            if ForwardKey(each.object, each.relation) in left
            or ReverseKey(each.user, object_type(each.object), each.relation) in right
        ]

    def columns(self, store_id: str, revision: int) -> AsyncGenerator[Sequence[TupleColumns], None]:
        """Not for this reader."""
        raise AssertionError("a partial view loads nothing whole")

    async def count_tuples(self, store_id: str, revision: int, at_most: int) -> int:
        """As many as were given."""
        return min(len(self._tuples), at_most)

    async def head_revision(self, store_id: str) -> int:
        """Always the first."""
        return 1

    async def oldest_revision(self, store_id: str) -> int:
        """Always the first."""
        return 1

    async def changes_after(self, store_id: str, revision: int, limit: int) -> Sequence[Change]:
        """None."""
        return ()

    def heard(self, result: WriteResult) -> None:
        """Nothing is written here."""

    lineage = 0

    def may_have_changed(self) -> bool:
        """Never."""
        return False
