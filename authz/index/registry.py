"""The indexes of all stores in this process: loaded on first use, never stale. Asked by `commands`.

Freshness rests on two numbers. The *epoch* counts the times that the datastore said another connection may have
committed; an index is current when it was compared with the head of its store in this epoch. `required` is the newest
revision that this process itself has acknowledged; an index is never used below it.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Sequence
from typing import NamedTuple

from authz.consistency import Consistency, Mode
from authz.errors import Bug, InvalidConsistencyToken
from authz.index.memory import TupleIndex
from authz.index.partial import PartialView
from authz.store.api import Change, TupleReader, WriteResult

CHANGES_PER_READ = 5_000
TUPLES_PER_TURN = 1_000
"""How many tuples are loaded before other calls get their turn: some milliseconds."""

DecodeToken = Callable[[str, str], int]
"""(token, store id) to revision; raises `InvalidConsistencyToken`."""


class Sizes(NamedTuple):
    """What is in memory now."""

    stores: int
    tuples: int
    lag: int
    """By how many revisions the index that is furthest behind is behind the newest that is known of its store."""


class _Entry:
    """One store's index and what is known of its freshness."""

    def __init__(self) -> None:
        self.index: TupleIndex | None = None
        self.head = 0
        self.epoch = -1
        self.required = 0
        self.lock = asyncio.Lock()


class IndexRegistry:
    """Views of stores at the revision that a caller's consistency asks for."""

    def __init__(self, datastore: TupleReader, decode: DecodeToken) -> None:
        self._datastore = datastore
        self._decode = decode
        self._entries: dict[str, _Entry] = {}
        self._epoch = 0
        self._subscribers: list[Callable[[], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.loads = 0
        """How many indexes were read anew."""
        self.revisions = 0
        """How many revisions indexes have taken in."""

    def sizes(self) -> Sizes:
        """How much is in memory, and how far behind. Called from any thread."""
        held = [(entry.index, entry.head) for entry in list(self._entries.values())]
        indexes = [(index, head) for index, head in held if index is not None]
        lag = max((head - index.revision for index, head in indexes), default=0)
        return Sizes(len(indexes), sum(index.tuples for index, _ in indexes), max(lag, 0))

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call `callback` whenever another connection may have committed."""
        self._subscribers.append(callback)

    async def observe(self) -> None:
        """Look once whether another connection may have committed."""
        self._observe()

    def _observe(self) -> None:
        if self._datastore.may_have_changed():
            self._epoch += 1
            for callback in self._subscribers:
                callback()

    def current(self, store_id: str) -> TupleIndex | None:
        """The live index if it is as fresh as `view` would give it by default; None when that must be asked about.

        For those who ask at every call: the datastore's signal is looked at just the same, and nothing is waited for.
        """
        self._observe()
        entry = self._entries.get(store_id)
        if entry is None:
            return None
        index = entry.index
        if index is None or entry.epoch < self._epoch or index.revision < entry.required:
            return None
        return index

    async def view(self, store_id: str, consistency: Consistency) -> TupleIndex | PartialView:
        """A view of the store, to be read before the next await when it is the live index.

        Raises:
            InvalidConsistencyToken: the token is damaged, foreign, ahead of the store, or its revision is
            no longer kept.

        """
        mode = consistency.mode
        if mode is Mode.MINIMIZE_LATENCY:
            fresh = self.current(store_id)
            if fresh is not None:
                return fresh
        wanted = 0
        if mode in {Mode.AT_LEAST_AS_FRESH, Mode.AT_EXACT_SNAPSHOT}:
            wanted = self._decode(consistency.token, store_id)
        index = await self._current(store_id, wanted, is_exact=mode is Mode.FULLY_CONSISTENT)
        if index.revision < wanted:
            raise _never_had(store_id, wanted)
        if mode is not Mode.AT_EXACT_SNAPSHOT or index.revision == wanted:
            return index
        await self._check_kept(store_id, wanted)
        return PartialView(self._datastore, store_id, wanted)

    async def revision_for(self, store_id: str, consistency: Consistency) -> int:
        """The revision at which a caller's question is to be answered from the datastore.

        Raises:
            InvalidConsistencyToken: as `view`.

        """
        if consistency.mode in {Mode.MINIMIZE_LATENCY, Mode.FULLY_CONSISTENT}:
            return await self._datastore.head_revision(store_id)
        wanted = self._decode(consistency.token, store_id)
        head = await self._datastore.head_revision(store_id)
        if head < wanted:
            raise _never_had(store_id, wanted)
        if consistency.mode is Mode.AT_LEAST_AS_FRESH:
            return head
        await self._check_kept(store_id, wanted)
        return wanted

    async def _check_kept(self, store_id: str, revision: int) -> None:
        if revision < await self._datastore.oldest_revision(store_id):
            raise InvalidConsistencyToken(f"revision {revision} of store `{store_id}` is no longer kept")

    async def applied(self, store_id: str, result: WriteResult) -> None:
        """Take in a write of this process before it is acknowledged."""
        entry = self._entries.get(store_id)
        if entry is None:
            return
        entry.required = max(entry.required, result.revision)
        index = entry.index
        if index is None or index.revision >= result.revision:
            return
        if result.changes and index.revision == result.revision - 1:
            self._apply(entry, result.changes)
        else:
            await self._catch_up(store_id, entry)

    async def _current(self, store_id: str, wanted: int, *, is_exact: bool) -> TupleIndex:
        """The live index, not older than what was acknowledged before this call, and at `wanted` if that exists."""
        self._observe()
        entry = self._entries.setdefault(store_id, _Entry())
        epoch = self._epoch
        index = entry.index
        is_forced = is_exact or (index is not None and index.revision < wanted)
        while True:
            index = entry.index
            if index and not is_forced and entry.epoch >= epoch and index.revision >= entry.required:
                return index
            await self._share(self._catch_up(store_id, entry, epoch=epoch, is_forced=is_forced))
            is_forced = False

    async def _share(self, work: Coroutine[None, None, None]) -> None:
        """Wait for work that others need as well: it goes on when this caller is cancelled."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # who waited for it has seen it; if nobody did, the next caller meets it again

    async def _catch_up(self, store_id: str, entry: _Entry, *, epoch: int = 0, is_forced: bool = True) -> None:
        """Load the index or move it to the head of the store, once for all who wait for the same."""
        async with entry.lock:
            index = entry.index
            if index and not is_forced and entry.epoch >= epoch and index.revision >= entry.required:
                return
            seen = self._epoch
            head = entry.head = await self._datastore.head_revision(store_id)
            if entry.index is None:
                entry.index = await self._load(store_id, head)
            await self._follow(store_id, entry, head)
            entry.epoch = seen

    async def _load(self, store_id: str, revision: int) -> TupleIndex:
        index = TupleIndex(revision)
        self.loads += 1
        async for batch in self._datastore.snapshot(store_id, revision):
            for start in range(0, len(batch), TUPLES_PER_TURN):
                index.load(batch[start : start + TUPLES_PER_TURN])
                await asyncio.sleep(0)
        # The rows stay for as long as the store is asked about: the collector need not walk them at every full pass,
        # which took 80 ms per 130,000 tuples.
        gc.freeze()
        return index

    async def _follow(self, store_id: str, entry: _Entry, head: int) -> None:
        while entry.index is not None and entry.index.revision < head:
            changes = await self._datastore.changes_after(store_id, entry.index.revision, CHANGES_PER_READ)
            if not changes:
                raise Bug(f"store `{store_id}` is at revision {head}, but its changelog ends earlier")
            self._apply(entry, changes)

    def _apply(self, entry: _Entry, changes: Sequence[Change]) -> None:
        if entry.index is None:
            return
        before = entry.index.revision
        try:
            entry.index.apply(changes)
            self.revisions += entry.index.revision - before
        except Bug:
            # What was half applied is of no use: the next question loads the index anew.
            entry.index = None
            raise


def _never_had(store_id: str, revision: int) -> InvalidConsistencyToken:
    return InvalidConsistencyToken(f"the consistency token names revision {revision}, not yet in store `{store_id}`")
