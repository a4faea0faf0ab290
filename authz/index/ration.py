"""How much memory all that may be forgotten takes in a process. Made by `index.residency`, shared by what remembers."""

from __future__ import annotations

import sys
import threading
from typing import Protocol
from weakref import WeakSet


class Sharer(Protocol):
    """Whoever remembers in two generations: what is used goes over into the young one, the old one may go."""

    def turn(self) -> None:
        """Forget the old generation, and let the young one grow old. Called from any thread."""
        ...


class Ration:
    """Bytes that all sharers take together at most, as estimated: when half of them are spent, all sharers turn.

    So nobody is asked what it has, and one that nobody uses any more is empty after two turns. Used from any thread;
    counts that two threads may lose make little difference.
    """

    def __init__(self, capacity: int = sys.maxsize) -> None:
        self._generation = capacity // 2
        self._spent = 0
        self._sharers: WeakSet[Sharer] = WeakSet()
        self._lock = threading.Lock()

    def join(self, sharer: Sharer) -> None:
        """Turn a sharer too, as long as it is there."""
        with self._lock:
            self._sharers.add(sharer)

    def spend(self, size: int) -> None:
        """So many bytes are about to be entered into a young generation."""
        self._spent += size
        if self._spent > self._generation:
            with self._lock:
                self._spent = size
                sharers = list(self._sharers)
            for sharer in sharers:
                sharer.turn()
