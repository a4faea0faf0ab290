"""Strongly connected components of a graph, dependencies first. Used by `engine.equations`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator


def components(root: int, successors: Callable[[int], Iterable[int]]) -> Iterator[list[int]]:
    """Components reachable from `root`; each comes after all components it leads to.

    Tarjan, "Depth-first search and linear graph algorithms" (1972), with an explicit stack.
    """
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    pending: list[int] = []
    on_pending: set[int] = set()
    walk: list[tuple[int, Iterator[int]]] = []

    def enter(node: int) -> None:
        order[node] = low[node] = len(order)
        pending.append(node)
        on_pending.add(node)
        walk.append((node, iter(successors(node))))

    enter(root)
    while walk:
        node, following = walk[-1]
        for successor in following:
            if successor not in order:
                enter(successor)
                break
            if successor in on_pending:
                low[node] = min(low[node], order[successor])
        else:
            walk.pop()
            if walk:
                parent = walk[-1][0]
                low[parent] = min(low[parent], low[node])
            if low[node] == order[node]:
                component = _pop_through(pending, node)
                on_pending.difference_update(component)
                yield component


def _pop_through(pending: list[int], node: int) -> list[int]:
    component = []
    while True:
        component.append(pending.pop())
        if component[-1] == node:
            return component
