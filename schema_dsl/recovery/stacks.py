"""Call stacks of a prediction, shared: many stacks that agree in part are kept as one graph.

Used by `prediction`. Equal graphs are one object, so that comparing and hashing take no time however deep they are.
"""

from __future__ import annotations


class Stack:
    """A set of call stacks: each state to return to, in order of its number, with the set of stacks below it.

    An entry (AT_BOTTOM, BOTTOM) says that the empty stack is in the set.
    Made by `StackPool` alone; compared by identity.
    """

    __slots__ = ("entries",)

    def __init__(self, entries: tuple[tuple[int, Stack], ...]) -> None:
        self.entries = entries


AT_BOTTOM = -1
BOTTOM = Stack(())


class StackPool:
    """Makes the stacks of one prediction; keeps each distinct one once."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[int, int], ...], Stack] = {}
        self._merged: dict[tuple[int, int], Stack] = {}

    def push(self, state: int, below: Stack) -> Stack:
        """Return the stacks that come back to `state` first."""
        return self._node(((state, below),))

    def merge(self, one: Stack, other: Stack, *, is_bottom_wild: bool) -> Stack:
        """Return the union of two sets of stacks; a wild bottom stands for every stack and absorbs all."""
        if one is other:
            return one
        if is_bottom_wild and BOTTOM in (one, other):
            return BOTTOM
        key = (min(id(one), id(other)), max(id(one), id(other)))
        if key not in self._merged:
            entries = dict(one.entries or ((AT_BOTTOM, BOTTOM),))
            for state, below in other.entries or ((AT_BOTTOM, BOTTOM),):
                known = entries.get(state)
                entries[state] = below if known is None else self.merge(known, below, is_bottom_wild=is_bottom_wild)
            self._merged[key] = self._node(tuple(sorted(entries.items(), key=lambda entry: entry[0])))
        return self._merged[key]

    def _node(self, entries: tuple[tuple[int, Stack], ...]) -> Stack:
        key = tuple((state, id(below)) for state, below in entries)
        return self._known.setdefault(key, Stack(entries))
