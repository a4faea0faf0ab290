"""Interning: names of objects and typed wildcards as small integers. Used by the views of `index`.

The id of a name is freed in two steps, for others may still hold it when the last row that names it is gone: `forget`
takes the name out, and `recycle` gives the id to another name once nobody can hold it any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice


class Names:
    """A table of names. One thread interns, forgets and recycles; any thread may look names up."""

    __slots__ = ("_free", "_ids", "_names", "find")

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._names: list[str] = []
        self._free: list[int] = []
        self.find = self._ids.get
        """The id of a name, or None."""

    def intern(self, name: str) -> int:
        """The id of a name, new if need be."""
        found = self._ids.get(name)
        if found is None:
            # INVARIANT: the name is readable before its id can be found.
            if self._free:
                found = self._free.pop()
                self._names[found] = name
            else:
                found = len(self._names)
                self._names.append(name)
            self._ids[name] = found
        return found

    def intern_many(self, names: Sequence[str]) -> list[int]:
        """The ids of names, in their order; most are known, or most are new."""
        found: list[int | None] = list(map(self._ids.get, names))
        return [self.intern(name) if key is None else key for key, name in zip(found, names, strict=True)]

    def name(self, key: int) -> str:
        """The name of an id, until the id is recycled."""
        return self._names[key]

    def forget(self, key: int) -> str:
        """Take out the name of an id, so that nobody finds it; whoever holds the id may still read the name."""
        name = self._names[key]
        del self._ids[name]
        return name

    def recycle(self, key: int) -> None:
        """Let a forgotten id stand for another name."""
        self._names[key] = ""
        self._free.append(key)

    def retire(self, at_most: int) -> bool:
        """Free up to so many names of a table that nobody asks any more; returns whether none is left."""
        for _ in range(min(at_most, len(self._ids))):
            self._ids.popitem()
        del self._names[max(len(self._names) - at_most, 0) :]
        return not self._ids

    def sample(self, size: int) -> list[str]:
        """Some of the names."""
        return list(islice(self._ids, size))

    def __len__(self) -> int:
        return len(self._ids)
