"""What the engine derives from the rows of a live index, for as many models as are in use. Held by `index.memory`."""

from __future__ import annotations

MAX_BINDINGS = 256


class Bindings(dict[object, object]):
    """A bounded dict that costs nothing to read: the entry that was made first goes when a new one needs its place.

    A cache that reorders itself at every read took a fifth of a check. What goes while it is in use is made again, in
    some tens of microseconds.
    """

    def __setitem__(self, key: object, value: object) -> None:
        if len(self) >= MAX_BINDINGS and key not in self:
            del self[next(iter(self))]
        super().__setitem__(key, value)
