"""A datastore whose every answer waits until it is let go on, and whose servers take over from each other.

Used by tests that try many orders in which things can happen. One store; each revision changes one tuple.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import NamedTuple, TypeVar

from authz.store.api import (
    Change,
    ForwardKey,
    Operation,
    ReverseKey,
    TupleColumns,
    WriteMark,
    WriteResult,
)
from authz.tuples import RelationshipTuple

T = TypeVar("T")

NUMBERS = range(3)
USER = "user:anne"
_TIME = datetime(2026, 1, 1, tzinfo=UTC)


class Known(NamedTuple):
    """A revision, and the number of the server whose it is."""

    server: int
    revision: int


class Servers:
    """The primary, and those that took its place: what each of them holds."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.histories: list[list[Change]] = [[]]
        self.oldest_change = 1
        self.commits = 0
        self._kept = [0]
        """Up to which revision each server has what the one before had."""
        self._gates: list[asyncio.Future[None]] = []

    @property
    def newest(self) -> int:
        """The number of the server that answers now."""
        return len(self.histories) - 1

    @property
    def head(self) -> int:
        """Its newest revision."""
        return len(self.histories[-1])

    def at(self, server: int, revision: int) -> set[int]:
        """The numbers of the tuples that are alive at a server's revision."""
        alive: set[int] = set()
        for change in self.histories[server][:revision]:
            alive ^= {_number(change.tuple)}
        return alive

    def survivor(self, known: Known, server: int) -> int:
        """What a later server still has of a revision; nothing if it is an earlier one."""
        kept = self._kept[known.server + 1 : server + 1]
        return min([known.revision, *kept]) if server >= known.server else 0

    def commit(self) -> WriteResult:
        """Add a tuple, or take it away."""
        number, before = self.dice.choice(NUMBERS), self.commits
        operation = Operation.DELETE if number in self.at(self.newest, self.head) else Operation.WRITE
        change = Change(self.head + 1, 0, operation, _tuple(number), _TIME, "")
        self.histories[-1].append(change)
        self.commits += 1
        return WriteResult(change.revision, (change,), WriteMark(before, self.commits))

    def take_over(self) -> None:
        """Another server is the primary from now on; it may lack the last commits."""
        kept = max(self.head - self.dice.randrange(3), 0)
        self.histories.append(self.histories[-1][:kept])
        self._kept.append(kept)
        self.oldest_change = min(self.oldest_change, max(kept, 1))

    def trim(self) -> None:
        """Forget some of the changelog, never its newest revision."""
        self.oldest_change = max(self.oldest_change, self.dice.randint(0, self.head))

    async def gate(self) -> None:
        """Wait until it is one's turn."""
        gate = asyncio.get_running_loop().create_future()
        self._gates.append(gate)
        await gate

    def let_go(self) -> bool:
        """Let one of those who wait go on; False when nobody does."""
        self._gates = [gate for gate in self._gates if not gate.done()]
        if self._gates:
            self.dice.choice(self._gates).set_result(None)
        return bool(self._gates)


class GatedReader:
    """A `TupleReader` of one node. Its signal misses nothing, as SQLite's, or is given by `news` alone."""

    def __init__(self, servers: Servers, *, is_exact: bool) -> None:
        self.lineage = 0
        self.news = True
        self._servers = servers
        self._is_exact = is_exact
        self._seen = -1
        self._heard: set[int] = set()
        self._met = 0

    def meet(self) -> None:
        """Be connected with the server that answers now."""
        self.lineage = self._servers.newest

    async def _ask(self, answer: Callable[[], T]) -> T:
        await self._servers.gate()
        self.meet()
        found = answer()
        await self._servers.gate()
        return found

    def _alive(self, revision: int) -> set[int]:
        return self._servers.at(self._servers.newest, revision)

    async def head_revision(self, store_id: str) -> int:
        """The newest revision, when it was asked for."""
        return await self._ask(lambda: self._servers.head)

    async def oldest_revision(self, store_id: str) -> int:
        """Everything is kept."""
        return await self._ask(lambda: 0)

    async def count_tuples(self, store_id: str, revision: int, at_most: int) -> int:
        """How many tuples there are."""
        return await self._ask(lambda: min(len(self._alive(revision)), at_most))

    async def changes_after(self, store_id: str, revision: int, limit: int) -> Sequence[Change]:
        """The changes of the next few revisions that are kept."""
        most = self._servers.dice.randint(1, 3)

        def kept() -> Sequence[Change]:
            first = max(revision, self._servers.oldest_change - 1)
            return self._servers.histories[-1][first : first + most]

        return await self._ask(kept)

    async def columns(self, store_id: str, revision: int) -> AsyncGenerator[Sequence[TupleColumns], None]:
        """All tuples, one by one."""
        for number in NUMBERS:
            if number in await self._ask(lambda: self._alive(revision)):
                yield [TupleColumns("doc", "viewer", "", [_tuple(number).object], [USER], [])]

    async def rows(
        self, store_id: str, revision: int, forward: Sequence[ForwardKey], reverse: Sequence[ReverseKey]
    ) -> Sequence[RelationshipTuple]:
        """The tuples of the rows."""
        names = {key.object for key in forward}
        found = await self._ask(lambda: [_tuple(number) for number in self._alive(revision)])
        return [each for each in found if reverse or each.object in names]

    def heard(self, result: WriteResult) -> None:
        """Knows of the write, if the signal counts commits."""
        if result.mark is not None:
            self._heard.add(result.mark.after)

    def may_have_changed(self) -> bool:
        """Whether there is news, or another server."""
        while self._seen + 1 in self._heard:
            self._seen += 1
        if self._is_exact:
            seen, self._seen = self._seen, self._servers.commits
            return seen != self._seen
        told = self.news or self.lineage != self._met
        self.news, self._met = False, self.lineage
        return told


class SharedSignal:
    """The signal of one of some workers, over a list of counters."""

    def __init__(self, counters: list[int], worker: int) -> None:
        self._counters = counters
        self._worker = worker

    def raise_(self, key: str) -> None:
        """See `Signal`."""
        self._counters[self._worker] += 1

    def state(self, key: str) -> bytes:
        """See `Signal`."""
        return bytes(self._counters[: self._worker] + self._counters[self._worker + 1 :])


def _tuple(number: int) -> RelationshipTuple:
    return RelationshipTuple(f"doc:{number}", "viewer", USER)


def _number(tuple_: RelationshipTuple) -> int:
    return int(tuple_.object.removeprefix("doc:"))
