"""What the workers of one host tell each other: that something was committed. Counters in memory that they share.

Made by `app.supervisor`, opened by each worker; asked by `registry` and by `commands` at every call, raised after every
commit and before it is acknowledged. A service of one process has none.
"""

from __future__ import annotations

import mmap
import os
import zlib
from typing import Protocol

BUCKETS = 8192
"""Keys with the same remainder share counters: then one is looked after for the other, and found unchanged."""
SLOT_BYTES = 8
_MAX_PLACES = 100_000

_Place = tuple[int, int, int, int]
"""Two ranges of bytes; the first may be empty."""


class Signal(Protocol):
    """Tells of commits of the other workers. Used on the event loop only."""

    def raise_(self, key: str) -> None:
        """Tell the other workers that something of `key` was committed, which this one knows already."""
        ...

    def state(self, key: str) -> bytes:
        """Differs from what it was before whenever another worker has raised `key`, whatever it tells otherwise.

        Whoever reads the datastore after it has taken the state knows all that was acknowledged until it took it.
        """
        ...


def model_key(store_id: str) -> str:
    """The key of a store's newest model; that of its tuples is the id of the store."""
    return f"model/{store_id}"


DIRECTIVES = "directives"
"""The key of orders."""


class SharedCounters:
    """See `Signal`. Counters by bucket, then by worker.

    INVARIANT: a counter is written by one worker only, so that none is lost, and whoever takes its place goes on with
    its value; it is aligned, so that it is written and read whole.

    Args:
        descriptor: what `create` gave, in this process; it may be closed afterwards.
        worker: which one this is, from 0.
        workers: how many there are.

    """

    def __init__(self, descriptor: int, worker: int, workers: int) -> None:
        self._memory = mmap.mmap(descriptor, _size(workers))
        self._counters = memoryview(self._memory).cast("Q")
        self._worker = worker
        self._workers = workers
        self._places: dict[str, _Place] = {}
        """Where the counters of the other workers stand, by key."""

    @staticmethod
    def create(workers: int) -> int:
        """Memory for so many workers: a descriptor to hand to them. It is gone when the last of them is."""
        descriptor = os.memfd_create("authz-signal")
        os.ftruncate(descriptor, _size(workers))
        return descriptor

    def raise_(self, key: str) -> None:
        """See `Signal`."""
        self._counters[_bucket(key) * self._workers + self._worker] += 1

    def state(self, key: str) -> bytes:
        """See `Signal`."""
        first, own, other, last = self._places.get(key) or self._place(key)
        memory = self._memory
        return memory[other:last] if first == own else memory[first:own] + memory[other:last]

    def close(self) -> None:
        """Let go of the memory."""
        self._counters.release()
        self._memory.close()

    def _place(self, key: str) -> _Place:
        row = SLOT_BYTES * self._workers
        first = _bucket(key) * row
        own = first + SLOT_BYTES * self._worker
        if len(self._places) >= _MAX_PLACES:
            self._places.clear()
        # The counters before the own one, and those behind; one part if the own one is the last.
        place = (first, own, own + SLOT_BYTES, first + row) if own + SLOT_BYTES < first + row else (0, 0, first, own)
        self._places[key] = place
        return place


def _bucket(key: str) -> int:
    # The same in every process, other than `hash`.
    return zlib.crc32(key.encode("utf-8", "surrogatepass")) % BUCKETS


def _size(workers: int) -> int:
    return BUCKETS * SLOT_BYTES * workers
