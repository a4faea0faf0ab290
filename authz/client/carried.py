"""The consistency tokens that writes left behind, for the reads that follow. One for each store of a client or session.

What is promised: a read that begins after a write of the same client (or session) has returned reflects that write.
Tokens are opaque, so the newest of two is known only by the order of calls: a write that began after another had been
answered has a later revision. Of writes that overlapped nobody can tell; their tokens are kept side by side, and the
next read asks for `fully-consistent`, which covers all of them; its own token takes their place.

A token is carried for a limited time. The service bounds by itself how far a server may lag (seconds), so that nothing
is gained by an old one, while a client that lives for weeks must outlive changed keys and restored databases.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz.client.consistency import FULLY_CONSISTENT, SEPARATOR, Consistency, tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class _Kept:
    """A token; when its call began and was answered, in the order of events; and when it is dropped."""

    token: str
    began: int
    answered: int
    ends: float


class Carried:
    """Tokens of one store. Safe to use from several threads. `keep` is in seconds; `clock` is monotonic."""

    def __init__(self, keep: float, clock: Callable[[], float], token: str = "") -> None:
        self._keep = keep
        self._clock = clock
        self._lock = threading.Lock()
        self._events = 0
        self._kept: list[_Kept] = []
        if token:
            self._kept = [_Kept(each, 0, 0, clock() + keep) for each in tokens_of(token)]

    @property
    def token(self) -> str:
        """What to hand on to whoever must see these writes; empty when there were none lately."""
        with self._lock:
            return SEPARATOR.join(each.token for each in self._fresh())

    def begin(self) -> int:
        """A call begins; the number goes to `wrote` or `looked`."""
        with self._lock:
            self._events += 1
            return self._events

    def needed(self) -> Consistency | None:
        """What a read that begins now must ask for; None when nothing is carried."""
        with self._lock:
            kept = self._fresh()
            if len(kept) > 1:
                return FULLY_CONSISTENT
            return Consistency(f"at-least-as-fresh={kept[0].token}") if kept else None

    def wrote(self, token: str, began: int) -> None:
        """A write was answered with this token."""
        if not token:
            return
        with self._lock:
            self._events += 1
            now = self._clock()
            self._replace(_Kept(token, began, self._events, now + self._keep))

    def looked(self, token: str, began: int) -> None:
        """A fully consistent read was answered with this token, which covers all that were known when it began."""
        if not token:
            return
        with self._lock:
            covered = [each for each in self._fresh() if each.answered < began]
            if len(covered) > 1:
                self._events += 1
                self._replace(_Kept(token, began, self._events, max(each.ends for each in covered)))

    def forget(self) -> None:
        """Carry nothing of what was written so far."""
        with self._lock:
            self._kept = []

    def _replace(self, new: _Kept) -> None:
        self._kept = [each for each in self._fresh() if each.answered >= new.began] + [new]

    def _fresh(self) -> list[_Kept]:
        if self._kept:
            now = self._clock()
            self._kept = [each for each in self._kept if each.ends > now]
        return self._kept
