"""A tuple reader over a list, for views that read rows on demand. Used by engine and property tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from authz.index.partial import PartialView
from authz.store.api import Change, ForwardKey, ReverseKey
from authz.tuples import RelationshipTuple, object_type


class HeldBackReader:
    """Gives rows only when they are asked for; counts the round trips. Never really waits."""

    def __init__(self, tuples: Sequence[RelationshipTuple]) -> None:
        self._tuples = tuple(tuples)
        self.rounds = 0

    def view(self) -> PartialView:
        """A view that has read nothing yet."""
        return PartialView(self, "STORE", 1)

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

    def snapshot(self, store_id: str, revision: int) -> AsyncIterator[Sequence[RelationshipTuple]]:
        """Not for this reader."""
        raise AssertionError("a partial view loads nothing whole")

    async def head_revision(self, store_id: str) -> int:
        """Always the first."""
        return 1

    async def oldest_revision(self, store_id: str) -> int:
        """Always the first."""
        return 1

    async def changes_after(self, store_id: str, revision: int, limit: int) -> Sequence[Change]:
        """None."""
        return ()

    def may_have_changed(self) -> bool:
        """Never."""
        return False
