"""Names of rows that come and go, as small integers that are recycled. Used by `index.shared` and its views."""

from __future__ import annotations

import threading
from array import array
from collections import deque
from collections.abc import Iterable

from authz.index.names import Names

NAME_BYTES = 180
"""What an interned name costs beside its characters, with all that refers to it."""
SWEPT_AT_ONCE = 2000
"""Ids recycled in one go: about a millisecond."""


class HeldNames:
    """Names of rows that come and go, counted by the rows that hold them; an id stays as long as a view may know it.

    An id that no row holds is *idle*; it is recycled once every view is closed that was open when it became idle or
    was lent. Rows are counted on one thread; any thread may borrow a name or look one up.
    """

    def __init__(self) -> None:
        self._names = Names()
        self._counts = array("I")
        self._lock = threading.Lock()
        self._idle: deque[tuple[int, int]] = deque()
        # The newest entry of an id in `_idle`; older ones say nothing.
        self._idle_since: dict[int, int] = {}
        self.newest = 0
        """The number of the newest view: views are numbered as they are opened."""
        self.find = self._names.find
        self.name = self._names.name

    def __len__(self) -> int:
        return len(self._names)

    def lend(self, name: str) -> int:
        """The id of a name, which stays its own until every view is closed that is open now."""
        with self._lock:
            key = self._names.intern(name)
            if key == len(self._counts):
                self._counts.append(0)
            if not self._counts[key]:
                self._set_idle(key)
        return key

    def hold(self, keys: Iterable[int]) -> int:
        """Count one row more for each id; returns the bytes of names that no other row holds."""
        added = 0
        with self._lock:
            for key in keys:
                if not self._counts[key]:
                    added += NAME_BYTES + len(self.name(key))
                self._counts[key] += 1
        return added

    def release(self, keys: Iterable[int]) -> int:
        """Count one row less for each id; returns the bytes of names that no row holds any more."""
        removed = 0
        with self._lock:
            for key in keys:
                self._counts[key] -= 1
                if not self._counts[key]:
                    removed += NAME_BYTES + len(self.name(key))
                    self._set_idle(key)
        return removed

    def _set_idle(self, key: int) -> None:
        if self._idle_since.get(key) != self.newest:
            self._idle_since[key] = self.newest
            self._idle.append((self.newest, key))

    def sweep(self, oldest: int | None) -> None:
        """Recycle idle ids that no view can know; `oldest` is the number of the oldest view that is open, if any.

        To be called where nobody is in the middle of a question over the rows themselves.
        """
        idle, bound = self._idle, self.newest + 1 if oldest is None else oldest
        for _ in range(SWEPT_AT_ONCE):
            if not idle or idle[0][0] >= bound:
                return
            with self._lock:
                since, key = idle.popleft()
                if self._idle_since.get(key) == since:
                    del self._idle_since[key]
                    if not self._counts[key]:
                        self._names.forget(key)
                        self._names.recycle(key)
