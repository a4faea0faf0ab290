"""Shapes that worlds are made of: forests of some levels, and draws without repetition. Used by the workloads."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from itertools import pairwise
from random import Random
from typing import NamedTuple, TypeVar

Item = TypeVar("Item", bound=Hashable)
_MAX_MISSES = 1_000
"""Fruitless draws in a row after which there is taken to be nothing left to find."""


class Forest(NamedTuple):
    """Trees over the numbers 0, 1, …, level by level; `parents` is -1 for a root."""

    parents: list[int]
    levels: list[range]

    def above(self, node: int) -> Iterator[int]:
        """The node, its parent, and so on up to the root."""
        while node >= 0:
            yield node
            node = self.parents[node]

    def children(self) -> list[list[int]]:
        """The children of every node."""
        found: list[list[int]] = [[] for _ in self.parents]
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                found[parent].append(node)
        return found


def forest(random: Random, count: int, depth: int, *, branching: int = 3) -> Forest:
    """A forest of `count` nodes on `depth` levels, each level about `branching` times as wide as the one above."""
    depth = min(depth, count)
    weights = [branching**level for level in range(depth)]
    bounds, seen = [0], 0
    for level, weight in enumerate(weights):
        seen += weight
        # Every level has a node, and leaves one for each level below.
        end = max(bounds[-1] + 1, round(count * seen / sum(weights)))
        bounds.append(min(end, count - (depth - level - 1)))
    levels = [range(start, end) for start, end in pairwise(bounds)]
    parents = [-1] * len(levels[0])
    for above, below in pairwise(levels):
        parents.extend(random.choice(above) for _ in below)
    return Forest(parents, levels)


def distinct(count: int, draw: Callable[[], Item | None]) -> list[Item]:
    """Up to `count` different things that `draw` gives; None is a draw that found nothing."""
    found: dict[Item, None] = {}
    misses = 0
    while len(found) < count and misses < _MAX_MISSES:
        item = draw()
        if item is None or item in found:
            misses += 1
            continue
        found[item] = None
        misses = 0
    return list(found)


def mixed(
    random: Random, count: int, shares: Mapping[str, float], draws: Mapping[str, Callable[[], Item | None]]
) -> list[tuple[str, Item]]:
    """About `count` different items by kind, in these shares and in one random order.

    Where a small world has too few of a kind, there are fewer of all, so that the shares hold.
    """
    found = {kind: distinct(round(count * share), draws[kind]) for kind, share in shares.items()}
    whole = min((len(items) / shares[kind] for kind, items in found.items() if items), default=0.0)
    chosen = [(kind, item) for kind, items in found.items() for item in items[: max(round(whole * shares[kind]), 1)]]
    random.shuffle(chosen)
    return chosen
