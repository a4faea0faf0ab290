"""The indexes of all stores in this process: made on first use, never stale. Asked by `commands`.

Freshness rests on three numbers. The *epoch* counts the times that the datastore said another connection may have
committed, and `told` how often other workers of this host were found to have told of writes to a store; an index is
current when its store was looked at since both last grew. `required` is the newest revision that this process itself
has acknowledged; an index is never used below it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import structlog

from authz.consistency import Consistency, Mode
from authz.errors import Bug, InvalidConsistencyToken, Unavailable
from authz.index.cells import RowCache
from authz.index.decisions import DECISIONS, Tally
from authz.index.memory import TupleIndex
from authz.index.partial import PartialView
from authz.index.residency import CHANGES_PER_READ, Entry, Residency
from authz.index.shared import PartialIndex
from authz.index.signal import Signal
from authz.store.api import Change, TupleReader, WriteResult

_log = structlog.get_logger(__name__)

DecodeToken = Callable[[str, str], int]
"""(token, store id) to revision; raises `InvalidConsistencyToken`."""


MAX_TAKEOVERS = 3
"""How often in a row an index is begun anew because another server took over meanwhile."""


class Sizes(NamedTuple):
    """What is in memory now."""

    stores: int
    tuples: int
    """Of resident stores."""
    lag: int
    """By how many revisions the index that is furthest behind is behind the newest that is known of its store."""
    partial: int
    """How many of the stores are partial."""
    rows: int
    """Rows of partial stores."""
    bytes: int
    """What all of it takes, as estimated."""


class IndexRegistry:
    """Views of stores at the revision that a caller's consistency asks for. Used on the event loop.

    Args:
        datastore: where tuples are.
        decode: opens consistency tokens.
        signal: tells of commits by the other workers of this host, if there are any.
        budget: bytes for all indexes; None for as many as they take.
        decisions: how many decisions each index remembers at most.

    """

    def __init__(
        self,
        datastore: TupleReader,
        decode: DecodeToken,
        signal: Signal | None = None,
        *,
        budget: int | None = None,
        decisions: int = DECISIONS,
    ) -> None:
        self._datastore = datastore
        self._decode = decode
        self._signal = signal
        self._residency = Residency(datastore, budget=budget, decisions=decisions)
        self._epoch = 0
        # The loop in whose present turn a look was made.
        self._looked: asyncio.AbstractEventLoop | None = None
        self._subscribers: list[Callable[[], None]] = []
        self.revisions = 0
        """How many revisions indexes have taken in."""

    @property
    def loads(self) -> int:
        """How many indexes were read whole."""
        return self._residency.loads

    @property
    def budget(self) -> int:
        """The bytes that all indexes may take."""
        return self._residency.budget

    @property
    def tally(self) -> Tally:
        """What remembered decisions were good for."""
        return self._residency.tally

    @property
    def fetched(self) -> int:
        """How many rows of partial stores were read from the datastore and kept."""
        return self._residency.cache.entered

    def sizes(self) -> Sizes:
        """How much is in memory, and how far behind. Called from any thread."""
        held = [(entry.index, entry.head) for entry in list(self._residency.entries.values())]
        indexes = [(index, head) for index, head in held if index is not None]
        resident = [index for index, _ in indexes if isinstance(index, TupleIndex)]
        lag = max((head - index.revision for index, head in indexes), default=0)
        return Sizes(
            stores=len(indexes),
            tuples=sum(index.tuples for index in resident),
            lag=max(lag, 0),
            partial=len(indexes) - len(resident),
            rows=self._residency.cache.cells,
            bytes=self._residency.bytes,
        )

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call `callback` whenever another connection may have committed."""
        self._subscribers.append(callback)

    async def observe(self) -> None:
        """Look whether another connection may have committed."""
        self._observe()

    def _observe(self) -> None:
        # INVARIANT: one look serves all calls of a turn of the loop. The loop runs what it is given in order, so
        # whatever runs before `_look_again` was given to it before the look; its call had come in by then, and whatever
        # was acknowledged before that call had been committed.
        loop = asyncio.get_running_loop()
        if self._looked is loop:
            return
        if self._datastore.may_have_changed():
            self._epoch += 1
            for callback in self._subscribers:
                callback()
        self._looked = loop
        loop.call_soon(self._look_again)

    def _look_again(self) -> None:
        self._looked = None

    def _listen(self, store_id: str, entry: Entry) -> None:
        """Look once whether another worker has acknowledged a write to this store."""
        if self._signal is not None:
            state = self._signal.state(store_id)
            if state != entry.state:
                entry.state = state
                entry.told += 1

    def current(self, store_id: str) -> TupleIndex | PartialView | None:
        """A view as fresh as `view` would give it by default; None when that must be asked about.

        For those who ask at every call: the datastore's signal is looked at just the same, and nothing is waited for.
        """
        self._observe()
        entry = self._residency.entries.get(store_id)
        if entry is None:
            return None
        self._listen(store_id, entry)
        index = entry.index
        if index is None or not entry.is_current(self._epoch, entry.told):
            return None
        entry.asked = self._residency.now()
        return _whole(index)

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
            return _whole(index)
        if isinstance(index, TupleIndex):
            # Before the next await: it answers nothing by another server, which need not have the revision.
            index = PartialIndex(self._datastore, store_id, wanted, RowCache(0), decisions=0)
        await self._check_kept(store_id, wanted)
        return PartialView(index, wanted)

    async def revision_for(self, store_id: str, consistency: Consistency) -> int:
        """The revision at which a caller's question is to be answered from the datastore.

        Raises:
            InvalidConsistencyToken: as `view`.

        """
        if consistency.mode in {Mode.MINIMIZE_LATENCY, Mode.FULLY_CONSISTENT}:
            return await self._told_head(store_id)
        wanted = self._decode(consistency.token, store_id)
        head = await self._told_head(store_id)
        if head < wanted:
            raise _never_had(store_id, wanted)
        if consistency.mode is Mode.AT_LEAST_AS_FRESH:
            return head
        await self._check_kept(store_id, wanted)
        return wanted

    async def _told_head(self, store_id: str) -> int:
        """The head, which a caller is told of: no later answer may be older, here or by the other workers."""
        head = await self._datastore.head_revision(store_id)
        entry = self._residency.entry(store_id)
        if head > entry.required:
            entry.required = head
            if self._signal is not None:
                # News from another host: the other workers may not have heard of it.
                self._signal.raise_(store_id)
        return head

    async def _check_kept(self, store_id: str, revision: int) -> None:
        if revision < await self._datastore.oldest_revision(store_id):
            raise InvalidConsistencyToken(f"revision {revision} of store `{store_id}` is no longer kept")

    async def applied(self, store_id: str, result: WriteResult) -> None:
        """Take in a write of this process, and tell the other workers, before it is acknowledged."""
        if self._signal is not None:
            # Also when nothing was changed: the caller learns of what others committed, and may not have told yet.
            self._signal.raise_(store_id)
        # From here on the index is never used below this write, whether or not it has taken it in.
        self._datastore.heard(result)
        entry = self._residency.entries.get(store_id)
        if entry is None:
            return
        entry.required = max(entry.required, result.revision)
        index = entry.index
        if index is None or index.revision >= result.revision:
            return
        if result.changes and index.revision == result.revision - 1 and self._is_of_lineage(entry):
            self._apply(store_id, entry, result.changes)
        else:
            # The write is done, whatever becomes of this: the next question will wait for it.
            with suppress(Unavailable):
                await self._catch_up(store_id, entry, is_exact=True)

    def doubt(self, store_id: str) -> None:
        """Let the next answer, here and by the other workers, wait for the head: a caller was told what somebody else
        committed, who may not have told us."""
        if self._signal is not None:
            self._signal.raise_(store_id)
        entry = self._residency.entries.get(store_id)
        if entry is not None:
            entry.told += 1

    async def _current(self, store_id: str, wanted: int, *, is_exact: bool) -> TupleIndex | PartialIndex:
        """The live index, not older than what was acknowledged before this call, and at `wanted` if that exists."""
        self._observe()
        entry = self._residency.entry(store_id)
        entry.asked = self._residency.now()
        self._listen(store_id, entry)
        epoch, told = self._epoch, entry.told
        while True:
            index = entry.index
            if index is not None and not is_exact and entry.is_current(epoch, told, wanted):
                return index
            await self._share(self._catch_up(store_id, entry, epoch, told, wanted, is_exact=is_exact))
            # Whatever the head is now, it was read after this call came in.
            wanted, is_exact = 0, False

    async def _share(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for work that others need as well: it goes on when this caller is cancelled."""
        await asyncio.shield(self._residency.run(work))

    async def _catch_up(
        self, store_id: str, entry: Entry, epoch: int = 0, told: int = 0, wanted: int = 0, *, is_exact: bool
    ) -> None:
        """Make the index or move it to the head of the store, once for all who wait for the same."""
        async with entry.lock:
            if not is_exact and entry.is_current(epoch, told, wanted):
                return
            self._listen(store_id, entry)
            seen, heeded = self._epoch, entry.told
            for _ in range(MAX_TAKEOVERS):
                if await self._reach_head(store_id, entry):
                    break
            else:
                raise Unavailable("the datastore's servers take over from each other again and again")
            entry.epoch, entry.heeded = seen, heeded

    async def _reach_head(self, store_id: str, entry: Entry) -> bool:
        """Make the index or move it to the head; False when another server took over meanwhile."""
        lineage = self._datastore.lineage
        least = max(entry.required, 0 if entry.index is None else entry.index.revision)
        head = entry.head = await self._datastore.head_revision(store_id)
        if head < least or (entry.index is not None and not self._is_of_lineage(entry)):
            self._start_over(store_id, entry, head, least)
        if entry.index is None:
            entry.lineage = lineage
            entry.index = await self._residency.begin(store_id, entry, head)
        await self._follow(store_id, entry, head)
        return self._is_of_lineage(entry)

    def _is_of_lineage(self, entry: Entry) -> bool:
        """Whether what an index holds is of the server that answers now."""
        return entry.lineage == self._datastore.lineage

    def _start_over(self, store_id: str, entry: Entry, head: int, known: int) -> None:
        """The datastore may have lost commits that it had: the index may hold facts that never were, so forget it.

        That is a failover to a standby that lagged, or a backup that was restored.
        """
        _log.error("index_started_over", store_id=store_id, head=head, known=known)
        self._residency.drop(entry)
        entry.required = head

    async def _follow(self, store_id: str, entry: Entry, head: int) -> None:
        while entry.index is not None and entry.index.revision < head:
            changes = await self._datastore.changes_after(store_id, entry.index.revision, CHANGES_PER_READ)
            if not self._is_of_lineage(entry):
                return
            if not changes:
                raise Bug(f"store `{store_id}` is at revision {head}, but its changelog ends earlier")
            if changes[0].revision > entry.index.revision + 1:
                # The changelog that is kept begins later: only the tuples tell what has become of the others.
                self._residency.drop(entry)
                entry.index = await self._residency.begin(store_id, entry, head)
                continue
            self._apply(store_id, entry, changes)

    def _apply(self, store_id: str, entry: Entry, changes: Sequence[Change]) -> None:
        if entry.index is None:
            return
        before = entry.index.revision
        try:
            entry.index.apply(changes)
            self.revisions += entry.index.revision - before
        except Bug:
            # What was half applied is of no use: the next question makes the index anew.
            self._residency.drop(entry)
            raise
        self._residency.grown(store_id, entry)


def _whole(index: TupleIndex | PartialIndex) -> TupleIndex | PartialView:
    """What a question about the index's own revision is answered from."""
    if isinstance(index, TupleIndex):
        return index
    index.tidy()
    return PartialView(index, index.revision)


def _never_had(store_id: str, revision: int) -> InvalidConsistencyToken:
    return InvalidConsistencyToken(f"the consistency token names revision {revision}, not yet in store `{store_id}`")
