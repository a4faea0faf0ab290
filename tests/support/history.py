"""A store with its whole history in lists, to be read at any revision, slowly. Used by tests of partial indexes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import UTC, datetime
from random import Random

from authz.store.api import Change, ForwardKey, ReverseKey, TupleColumns, TupleWrite, WriteResult
from authz.tuples import RelationshipTuple, TupleKey
from tests.contract.naive_store import NaiveStore

_TIME = datetime(2026, 1, 1, tzinfo=UTC)


class History:
    """A `TupleReader` whose answers take some turns of the event loop, so that much happens meanwhile."""

    def __init__(self, dice: Random) -> None:
        self.naive = NaiveStore()
        self.rounds = 0
        self._dice = dice

    def write(self, writes: Iterable[RelationshipTuple], deletes: Iterable[TupleKey] = ()) -> list[Change]:
        """The changes of one more revision."""
        done = self.naive.write(TupleWrite(tuple(deletes), tuple(writes)))
        return [Change(*entry, _TIME, "") for entry in done]

    async def rows(
        self, store_id: str, revision: int, forward: Sequence[ForwardKey], reverse: Sequence[ReverseKey]
    ) -> Sequence[RelationshipTuple]:
        """The tuples of the rows, some turns later."""
        self.rounds += 1
        for _ in range(self._dice.randrange(4)):
            await asyncio.sleep(0)
        found = self.naive.rows(revision, list(forward), list(reverse))
        for _ in range(self._dice.randrange(4)):
            await asyncio.sleep(0)
        return found

    async def changes_after(self, store_id: str, revision: int, limit: int) -> Sequence[Change]:
        """The changes of the next few revisions."""
        last = min(revision + self._dice.randint(1, 3), self.naive.head)
        return [Change(*entry, _TIME, "") for entry in self.naive.entries if revision < entry[0] <= last]

    async def head_revision(self, store_id: str) -> int:
        """The newest revision."""
        return self.naive.head

    async def oldest_revision(self, store_id: str) -> int:
        """Everything is kept."""
        return 0

    async def count_tuples(self, store_id: str, revision: int, at_most: int) -> int:
        """How many tuples there are."""
        return min(len(self.naive.at(revision)), at_most)

    async def snapshot(self, store_id: str, revision: int) -> AsyncGenerator[Sequence[RelationshipTuple], None]:
        """All tuples, one by one."""
        for each in self.naive.at(revision):
            await asyncio.sleep(0)
            yield [each]

    async def columns(self, store_id: str, revision: int) -> AsyncGenerator[Sequence[TupleColumns], None]:
        """All tuples without conditions, one by one."""
        for each in self.naive.at(revision):
            await asyncio.sleep(0)
            type_ = each.object.partition(":")[0]
            yield [TupleColumns(type_, each.relation, "", [each.object], [each.user], [])]

    def heard(self, result: WriteResult) -> None:
        """Makes no difference."""

    lineage = 0

    def may_have_changed(self) -> bool:
        """Always."""
        return True


def churn(
    dice: Random, state: Iterable[TupleKey], pool: Sequence[RelationshipTuple]
) -> tuple[list[RelationshipTuple], list[TupleKey]]:
    """What a random write adds and deletes; a tuple may be deleted and added again with another condition."""
    present = set(state)
    deletes = dice.sample(sorted(present), min(dice.randrange(4), len(present)))
    left = present.difference(deletes)
    writes = {each.key: each for each in dice.sample(pool, min(dice.randrange(4), len(pool))) if each.key not in left}
    return list(writes.values()), deletes
