"""Interning: names of objects and typed wildcards as small integers. Used by the views of `index`."""

from __future__ import annotations


class Names:
    """A growing table of names. One thread interns; any thread may look names up."""

    __slots__ = ("_ids", "_names", "find")

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._names: list[str] = []
        self.find = self._ids.get
        """The id of a name, or None."""

    def intern(self, name: str) -> int:
        """The id of a name, new if need be."""
        found = self._ids.get(name)
        if found is None:
            found = len(self._names)
            # INVARIANT: the name is readable before its id can be found.
            self._names.append(name)
            self._ids[name] = found
        return found

    def name(self, key: int) -> str:
        """The name of an id."""
        return self._names[key]

    def __len__(self) -> int:
        return len(self._names)
