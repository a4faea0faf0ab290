"""What the engine derives from the rows of a live index, for as many models as are in use. Held by `index.memory`."""

from __future__ import annotations

from typing import Protocol

MAX_BINDINGS = 256


class Derived(Protocol):
    """What is derived from rows."""

    def release(self) -> None:
        """Let go of everything: nobody asks any more."""
        ...


class Bindings(dict[object, Derived]):
    """A bounded dict that costs nothing to read: the entry that was made first goes when a new one needs its place.

    A cache that reorders itself at every read took a fifth of a check. What goes while it is in use is made again, in
    some tens of microseconds.
    """

    def __setitem__(self, key: object, value: Derived) -> None:
        if len(self) >= MAX_BINDINGS and key not in self:
            del self[next(iter(self))]
        super().__setitem__(key, value)

    def retire(self) -> None:
        """Release everything, which refers to itself in circles and to rows: it would stay until the collector comes
        by, or for ever where it is out of the collector's sight."""
        for derived in self.values():
            derived.release()
        self.clear()
