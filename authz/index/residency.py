"""What of which store is in memory, within one budget for all of them. Asked by `index.registry`.

A store that fits is *resident*: its index holds every tuple, and a row that is not there has none. Another is
*partial*: rows are read on demand and kept in one cache for all partial stores, in what the resident ones leave of the
budget. A store that takes long to load is partial until it is loaded, and one that outgrows its room becomes partial.
For a store to be loaded, resident ones that nobody asked lately make room, the longest unasked first.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from authz.errors import AuthzError
from authz.index.cells import RowCache
from authz.index.decisions import DECISION_BYTES, DECISIONS, Tally
from authz.index.loading import load
from authz.index.measuring import INDEX_BYTES, TUPLE_BYTES, resident_bytes
from authz.index.memory import TupleIndex
from authz.index.ration import Ration
from authz.index.shared import TRIMMED, PartialIndex
from authz.store.api import TupleReader

QUICK_TUPLES = 50_000
"""A store of no more tuples is loaded while who asks waits: some tenths of a second."""
IDLE_SECONDS = 60.0
"""A resident store makes room for others when it was not asked for so long."""
RETRY_SECONDS = 30.0
"""Until a partial store is looked at again: there may be room for it by now."""
CHANGES_PER_READ = 5_000
_ROWS_SHARE = 8
"""This fraction of the budget is left to the rows of partial stores."""
_DECISIONS_SHARE = 4
"""What is remembered of answers takes at most this fraction of the budget, for all stores together."""
_FORGET_EVERY = 256
_FORGET_SECONDS = 600.0
_RETIRED_AT_ONCE = 5_000
_BETWEEN_PARTS = 0.005

_log = structlog.get_logger(__name__)


class Entry:
    """One store's index and what is known of its freshness."""

    __slots__ = (
        "asked", "bytes", "epoch", "head", "heeded", "index", "lineage", "lock", "measured", "needs", "required",
        "state", "told",
    )  # fmt: skip

    def __init__(self) -> None:
        self.index: TupleIndex | PartialIndex | None = None
        self.head = 0
        self.epoch = -1
        self.lineage = 0
        """Of the datastore, when the index was begun."""
        self.state = b""
        self.told = 0
        """How often the signal of other workers was found changed."""
        self.heeded = -1
        """How often it had been when the head was last asked for."""
        self.required = 0
        self.lock = asyncio.Lock()
        self.asked = 0.0
        """When somebody last asked for the store, on the monotonic clock."""
        self.bytes = 0
        """What of the budget the store has, while it is resident or on its way there."""
        self.measured = 0
        """How many tuples there were when `bytes` was measured."""
        self.needs = 0
        """The bytes that were found too few."""

    def is_current(self, epoch: int, told: int, wanted: int = 0) -> bool:
        """Whether the index has all that was committed before an epoch, that was told of or acknowledged, or wanted."""
        index = self.index
        is_heard = self.epoch >= epoch and self.heeded >= told
        return index is not None and is_heard and index.revision >= max(self.required, wanted)


class Residency:
    """All stores that are in memory.

    Args:
        datastore: where tuples are.
        budget: bytes for all indexes of the process; None for as many as they take.
        decisions: how many decisions each index remembers at most.
        clock: monotonic seconds.

    """

    def __init__(
        self,
        datastore: TupleReader,
        *,
        budget: int | None = None,
        decisions: int = DECISIONS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._datastore = datastore
        self.budget = sys.maxsize if budget is None else budget
        self._limit: Final = self.budget - self.budget // _ROWS_SHARE
        self._decisions = min(decisions, self.budget // _DECISIONS_SHARE // DECISION_BYTES)
        self._clock = clock
        self._taken = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.entries: dict[str, Entry] = {}
        self.cache = RowCache(self.budget)
        self.tally = Tally()
        self._ration = Ration(self.budget // _DECISIONS_SHARE)
        self.loads = 0
        """How many indexes were read whole."""

    @property
    def bytes(self) -> int:
        """What all indexes take, as estimated."""
        return self._taken + self.cache.bytes

    def entry(self, store_id: str) -> Entry:
        """The entry of a store, new if need be."""
        found = self.entries.get(store_id)
        if found is None:
            if len(self.entries) % _FORGET_EVERY == _FORGET_EVERY - 1:
                self._forget_idle()
            found = self.entries[store_id] = Entry()
            found.asked = self._clock()
        return found

    def now(self) -> float:
        """The time, for `Entry.asked`."""
        return self._clock()

    async def begin(self, store_id: str, entry: Entry, head: int) -> TupleIndex | PartialIndex:
        """An index of a store at its head that can be asked at once; one that is partial may be replaced later."""
        count = await self._datastore.count_tuples(store_id, head, QUICK_TUPLES + 1)
        if count <= QUICK_TUPLES and self._reserve(entry, INDEX_BYTES + count * TUPLE_BYTES):
            try:
                index = await self._load(store_id, head, count)
            except BaseException:
                self._give_back(entry)
                raise
            if self._account(entry, index):
                return index
        partial = self._partial(store_id, head)
        self.run(self._follow_up(store_id, entry, partial))
        return partial

    def grown(self, store_id: str, entry: Entry) -> None:
        """Changes were applied to the index of an entry: see whether it still has room."""
        index = entry.index
        if not isinstance(index, TupleIndex) or index.tuples <= entry.measured + entry.measured // 8 + 1000:
            return
        if not self._account(entry, index):
            _log.info("index_outgrown", store_id=store_id, tuples=index.tuples)
            partial = entry.index = self._partial(store_id, index.revision)
            self._retire(index)
            self.run(self._follow_up(store_id, entry, partial))

    def drop(self, entry: Entry) -> None:
        """Take the index of an entry out of memory; the next question makes another."""
        index, entry.index = entry.index, None
        self._give_back(entry)
        if index is not None:
            self._retire(index)

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start work that goes on when nobody waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # who waited for it has seen it; if nobody did, the next caller meets it again

    def _partial(self, store_id: str, revision: int) -> PartialIndex:
        return PartialIndex(
            self._datastore,
            store_id,
            revision,
            self.cache,
            decisions=self._decisions,
            tally=self.tally,
            ration=self._ration,
        )

    async def _load(self, store_id: str, revision: int, count: int) -> TupleIndex:
        self.loads += 1
        index = TupleIndex(revision, decisions=self._decisions, tally=self.tally, ration=self._ration)
        await load(index, self._datastore, store_id, expected=count)
        return index

    async def _follow_up(self, store_id: str, entry: Entry, partial: PartialIndex) -> None:
        """Load a store that is partial as soon as there is room for it."""
        while not await self._promote(store_id, entry, partial):  # noqa: ASYNC110 - no event tells of room
            await asyncio.sleep(RETRY_SECONDS)

    async def _promote(self, store_id: str, entry: Entry, partial: PartialIndex) -> bool:
        """Try to make a partial store resident; returns whether there is nothing left to be tried."""
        if entry.index is not partial:
            return True
        room = self._room(entry)
        if room <= entry.needs:
            return False
        limit = max(room - INDEX_BYTES, 0) // TUPLE_BYTES
        try:
            count = await self._datastore.count_tuples(store_id, partial.revision, limit + 1)
            entry.needs = INDEX_BYTES + count * TUPLE_BYTES
            if count <= limit and self._reserve(entry, entry.needs):
                await self._replace(store_id, entry, partial, await self._load(store_id, partial.revision, count))
        except AuthzError as error:
            entry.needs = 0
            _log.warning("index_load_failed", store_id=store_id, error=error.message)
        if entry.index is partial:
            self._give_back(entry)
        return entry.index is not partial

    async def _replace(self, store_id: str, entry: Entry, partial: PartialIndex, index: TupleIndex) -> None:
        """Let a loaded index take the place of a partial one, at the same revision."""
        async with entry.lock:
            while entry.index is partial and index.revision < partial.revision:
                changes = await self._datastore.changes_after(store_id, index.revision, CHANGES_PER_READ)
                if not changes or changes[0].revision > index.revision + 1:
                    # The changelog that is kept begins later: what was loaded is of no use.
                    _log.warning("index_load_overtaken", store_id=store_id, revision=index.revision)
                    break
                index.apply([change for change in changes if change.revision <= partial.revision])
            is_whole = index.revision == partial.revision and entry.lineage == self._datastore.lineage
            if entry.index is partial and is_whole and self._account(entry, index):
                entry.index = index
        self._retire(partial if entry.index is index else index)

    def _room(self, entry: Entry) -> int:
        """The bytes that a store could have if the idle ones went."""
        return self._limit - self._taken + entry.bytes + sum(each.bytes for each in self._idle(entry))

    def _idle(self, entry: Entry) -> list[Entry]:
        """Resident stores that may go for another's sake, the longest unasked first."""
        before = self._clock() - IDLE_SECONDS
        idle = (
            each
            for each in self.entries.values()
            if each.bytes and each.asked < before and each is not entry and not each.lock.locked()
        )
        return sorted(idle, key=lambda each: each.asked)

    def _reserve(self, entry: Entry, size: int) -> bool:
        """Give a store so many bytes of the budget, if need be from those that are idle."""
        if size > self._limit - self._taken + entry.bytes:
            if size > self._room(entry):
                return False
            for each in self._idle(entry):
                if size <= self._limit - self._taken + entry.bytes:
                    break
                self.drop(each)
        self._take(size - entry.bytes)
        entry.bytes = size
        return True

    def _account(self, entry: Entry, index: TupleIndex) -> bool:
        """Give a store what its index takes; False, and nothing given, when that is too much."""
        entry.needs = resident_bytes(index)
        if self._reserve(entry, entry.needs):
            entry.measured = index.tuples
            return True
        self._give_back(entry)
        return False

    def _give_back(self, entry: Entry) -> None:
        self._take(-entry.bytes)
        entry.bytes = 0

    def _take(self, size: int) -> None:
        self._taken += size
        self.cache.capacity = max(self.budget - self._taken, 0)
        if self.cache.bytes > self.cache.capacity:
            self.run(self._trim())

    async def _trim(self) -> None:
        while not self.cache.trim(TRIMMED):
            self.cache.tidy()
            await asyncio.sleep(0)

    def _retire(self, index: TupleIndex | PartialIndex) -> None:
        """Free an index that nobody asks any more, a part in each turn of the loop."""
        self.run(_retire(index))

    def _forget_idle(self) -> None:
        """Forget stores that nobody asked for long, so that those that are gone leave nothing behind."""
        before = self._clock() - _FORGET_SECONDS
        for store_id, entry in list(self.entries.items()):
            if entry.asked < before and not entry.lock.locked():
                del self.entries[store_id]
                self.drop(entry)


async def _retire(index: TupleIndex | PartialIndex) -> None:
    while not index.retire(_RETIRED_AT_ONCE):  # noqa: ASYNC110 - others get their turn
        await asyncio.sleep(_BETWEEN_PARTS)
