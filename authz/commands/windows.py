"""A window over names that come in any order: the first of them after a place, and how many there are. Used by
`searches`.

A window keeps about as many names as it shows, however many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Window(NamedTuple):
    """Which part of the names is wanted: up to `size` of those that come after a name."""

    size: int
    after: str = ""


@dataclass(slots=True)
class Names:
    """Names in their order, within a window, and what is known of all others."""

    found: Sequence[str] = ()
    has_more: bool = False
    """Whether there are further names after these."""
    total: int | None = 0
    """How many names there are in all; None when the search was cut short."""
    is_everybody: bool = False
    """Whether subjects of the type that are not named are allowed too, by a typed wildcard."""
    undecided: str = ""
    """Why some names may have been left out; empty when none was."""
    truncated: str = ""
    """Why the search was cut short: empty, or `deadline`."""


class Collector:
    """Keeps the first names of a window, in memory for about twice as many, and counts all."""

    def __init__(self, window: Window) -> None:
        self._after = window.after
        self._size = window.size
        self._total = 0
        self._is_everybody = False
        self._beyond = 0
        self._kept: list[str] = []
        self._last = ""
        """Where names are known not to belong to the window, once it is full."""

    def emit(self, name: str) -> bool:
        """Take a user or an object, `type:id`; more are always wanted."""
        id_ = name.partition(":")[2]
        if id_ == "*":
            self._is_everybody = True
        else:
            self.take(id_)
        return True

    def take(self, name: str) -> None:
        """Take a name, which comes once."""
        self._total += 1
        if name <= self._after:
            return
        self._beyond += 1
        if self._last and name >= self._last:
            return
        self._kept.append(name)
        if len(self._kept) > 2 * self._size + 1:
            self._cut()

    def names(self, *, undecided: str = "", truncated: str = "") -> Names:
        """What was found."""
        self._cut()
        return Names(
            self._kept,
            has_more=self._beyond > len(self._kept),
            total=None if truncated else self._total,
            is_everybody=self._is_everybody,
            undecided=undecided,
            truncated=truncated,
        )

    def _cut(self) -> None:
        self._kept.sort()
        if len(self._kept) > self._size:
            # The first name that is too many bounds those that still belong here.
            self._last = self._kept[self._size]
            del self._kept[self._size :]
