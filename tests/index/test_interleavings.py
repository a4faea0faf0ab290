"""Whatever happens while something else is under way, nobody gets an answer that is older than was promised, or mixed.

Each seed is one order of events, the same at every run. Two nodes over one store write, ask in every mode, are refused,
give up and forget, while servers take over, the changelog is trimmed and the signal comes late or never.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
from structlog.testing import capture_logs

from authz.consistency import Consistency, Mode
from authz.errors import InvalidConsistencyToken, Unavailable
from authz.index import residency
from authz.index.memory import TupleIndex
from authz.index.partial import PartialView
from authz.index.registry import IndexRegistry
from authz.store.api import WriteResult
from tests.index.test_registry import STORE, TOKENS, holds
from tests.support.interleaving import NUMBERS, GatedReader, Known, Servers, SharedSignal

SEEDS = 700
_STEPS = 1000
_TURNS = (0, 1, 2, 3, 8)
"""How many turns of the loop there may be between two events."""


@pytest.mark.parametrize(
    ("quick", "budget"),
    [(residency.QUICK_TUPLES, None), (0, None), (residency.QUICK_TUPLES, 1)],
    ids=["resident", "loaded-later", "partial"],
)
def test_no_order_of_events_makes_an_answer_stale(
    monkeypatch: pytest.MonkeyPatch, quick: int, budget: int | None
) -> None:
    """A token, an own write, what one was told of, and every write for who asks for all: all is honoured."""
    monkeypatch.setattr(residency, "QUICK_TUPLES", quick)
    with capture_logs():
        for seed in range(SEEDS):
            try:
                asyncio.run(_Story(Random(seed), budget).run())
            except Exception as error:
                error.add_note(f"seed {seed}")
                raise


class _Node:
    """One process: its indexes, and what it must not fall behind of."""

    def __init__(self, reader: GatedReader, indexes: IndexRegistry) -> None:
        self.reader = reader
        self.indexes = indexes
        self.owes: list[Known] = []
        """What its callers were told of, or those of a worker beside it."""


class _Story:
    """One order of events, by the dice."""

    def __init__(self, dice: Random, budget: int | None) -> None:
        self.dice = dice
        self.servers = Servers(dice)
        self.is_exact = dice.random() < 0.3
        self.is_shared = dice.random() < 0.5
        self.has_takeovers = not self.is_exact and dice.random() < 0.3
        self.loss, self.speed = dice.choice((0, 0.3, 1)), dice.choice((0.1, 0.35, 0.6))
        self.acknowledged: list[Known] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.nodes: list[_Node] = []
        counters = [0, 0]
        for worker in range(2):
            reader = GatedReader(self.servers, is_exact=self.is_exact)
            signal = SharedSignal(counters, worker) if self.is_shared else None
            self.nodes.append(_Node(reader, IndexRegistry(reader, TOKENS.decode, signal, budget=budget, decisions=0)))

    async def run(self) -> None:
        """Begin some things, and let one go on after the other, until all have ended."""
        left = self.dice.randint(4, 24)
        for _ in range(_STEPS):
            for _ in range(self.dice.choice(_TURNS)):
                await asyncio.sleep(0)
            if left and self.dice.random() < self.speed:
                left -= 1
                self.begin(self.dice.choice(self.nodes))
            elif not self.servers.let_go() and not left and all(task.done() for task in self.tasks):
                break
        for task in self.tasks:
            assert task.done(), "somebody waits for ever"
            if not task.cancelled():
                task.result()

    def begin(self, node: _Node) -> None:
        """Something happens."""
        events: list[tuple[int, Any]] = [
            (15, lambda: self.start(self.write(node))),
            (15, lambda: self.start(self.write_elsewhere())),
            (5, lambda: self.start(self.refuse(node))),
            (5, self.servers.trim),
            (6 * self.has_takeovers, self.servers.take_over),
            (4, lambda: self.evict(node)),
            (4, self.leave),
            (46, lambda: self.start(self.ask(node, self.dice.choice(list(Mode))))),
        ]
        self.dice.choices([event for _, event in events], [weight for weight, _ in events])[0]()

    def start(self, work: Any) -> None:
        self.tasks.append(asyncio.create_task(work))

    def leave(self) -> None:
        """A caller is cancelled; what is to be written is written."""
        asking = [task for task in self.tasks if "ask" in repr(task.get_coro()) and not task.done()]
        if asking:
            self.dice.choice(asking).cancel()

    def evict(self, node: _Node) -> None:
        """As when another store needs the room."""
        entry = node.indexes._residency.entries.get(STORE)
        if entry is not None and not entry.lock.locked():
            node.indexes._residency.drop(entry)

    async def write(self, node: _Node) -> None:
        """Also a write that changes nothing, which tells its caller where the store is."""
        await self.servers.gate()
        node.reader.meet()
        result = self.servers.commit() if self.dice.random() < 0.9 else WriteResult(self.servers.head, ())
        if result.changes:
            node.reader.news = True
            self.start(self.notify())
        known = Known(self.servers.newest, result.revision)
        await asyncio.sleep(0)
        try:
            await node.indexes.applied(STORE, result)
        except Unavailable:
            assert self.has_takeovers
            return
        self.acknowledge(known, node)

    async def write_elsewhere(self) -> None:
        """On a host that has no part in the signal of the workers."""
        await self.servers.gate()
        known = Known(self.servers.newest, self.servers.commit().revision)
        self.start(self.notify())
        self.acknowledged.append(known)

    def acknowledge(self, known: Known, node: _Node) -> None:
        """A caller of a node is told of a revision."""
        self.acknowledged.append(known)
        for each in self.workers(node):
            each.owes.append(known)

    def workers(self, node: _Node) -> list[_Node]:
        """Those who hear from a node at once what it tells its callers."""
        return self.nodes if self.is_shared else [node]

    async def notify(self) -> None:
        """The nodes hear of a commit, later, or never."""
        for node in self.nodes:
            await self.servers.gate()
            node.reader.news |= self.dice.random() >= self.loss

    async def refuse(self, node: _Node) -> None:
        """A write is refused for what somebody else has committed."""
        await self.servers.gate()
        node.reader.meet()
        known = Known(self.servers.newest, self.servers.head)
        await asyncio.sleep(0)
        node.indexes.doubt(STORE)
        self.acknowledge(known, node)

    async def ask(self, node: _Node, mode: Mode) -> None:
        """Ask for a view and read it, or for a revision, and compare with what was known before."""
        token = None
        if mode in {Mode.AT_LEAST_AS_FRESH, Mode.AT_EXACT_SNAPSHOT}:
            token = self.dice.choice(self.acknowledged[-4:] or [Known(0, 0)])
        asked = Consistency(mode, TOKENS.encode(STORE, token.revision) if token else "")
        sees_all = self.is_exact or mode is Mode.FULLY_CONSISTENT
        floor = [*node.owes, *(self.acknowledged if sees_all else ()), *([token] if token else ())]
        exact = token if mode is Mode.AT_EXACT_SNAPSHOT else None
        first, newest = node.reader.lineage, self.servers.newest
        alive = None
        try:
            if self.dice.random() < 0.3:
                revision, first = await node.indexes.revision_for(STORE, asked), newest
            else:
                view = await node.indexes.view(STORE, asked)
                revision, alive = view.revision, await _read(view)
        except InvalidConsistencyToken:
            assert token is not None
            # A node that has not met the server which gave a token cannot know of it.
            assert token.server > first or self.servers.survivor(token, self.servers.newest) < token.revision
            return
        except Unavailable:
            assert self.servers.newest > first
            return
        if mode is Mode.FULLY_CONSISTENT:
            first = newest
        servers = range(first, self.servers.newest + 1)
        whose = [each for each in servers if self._is_right(each, revision, alive, floor, exact)]
        assert whose, (mode, token, revision, alive, floor)
        if exact is None:
            for each in self.workers(node) if alive is None else [node]:
                each.owes.append(Known(whose[0], revision))

    def _is_right(
        self, server: int, revision: int, alive: set[int] | None, floor: list[Known], exact: Known | None
    ) -> bool:
        """Whether it is what one server would say, to whom has all that is known of before."""
        if alive is not None and alive != self.servers.at(server, revision):
            return False
        if alive is not None and revision > len(self.servers.histories[server]):
            return False
        if exact is not None:
            return revision == exact.revision
        return revision >= max((self.servers.survivor(known, server) for known in floor), default=0)


async def _read(view: TupleIndex | PartialView) -> set[int]:
    if isinstance(view, TupleIndex):
        return {number for number in NUMBERS if await holds(view, number)}
    with view:
        return {number for number in NUMBERS if await holds(view, number)}
