"""The short way to an answer, for questions where nothing is open: no condition, and gates that are not entangled.

Nearly all checks are of this kind, and cost some dictionary lookups; the machinery for three-valued answers would cost
more than they do. A walk goes from node to node with a visited set, as `engine.search` does; gates are asked about when
tuples and hops have not decided. What cannot be decided here (a row is not in memory) is left to the general
evaluation, which answers the same questions in full. Used by `engine.check`.
"""

from __future__ import annotations

from typing import Literal

from authz.engine.budget import Budget
from authz.engine.nodes import Lean, Node, NodeGate
from authz.index.rows import MISSING, Row, members

MAX_KNOWN = 100_000
"""What one walk keeps of what it has settled: about 15 MB."""

NOBODY = -1 << 60
"""The id of a user that no tuple of the view names; no row holds it."""

_At = tuple[Node, int]
"""A node at an object id."""


def names(node: Node, object_: int, user: int) -> bool | None:
    """Whether a tuple of a filled node on an object names the user itself, or everybody; None when a row is missing."""
    for get in node.direct:
        row = get(object_)
        if row is not None:
            if row == user:
                return True
            if isinstance(row, set):
                if user in row:
                    return True
            elif row is MISSING:
                return None
    for get in node.wildcards:
        row = get(object_)
        if row is not None:
            return None if row is MISSING else True
    return False


class Walk:
    """Questions for one user. Answers True or False, or None where the general evaluation must answer.

    What one question has visited serves the next, and the operands of its gates, so that walks which meet go on as one.
    """

    __slots__ = ("_budget", "_known", "_lean", "_user")

    def __init__(self, lean: Lean, user: int, budget: Budget) -> None:
        self._lean = lean
        self._user = user
        self._budget = budget
        self._known: dict[_At, bool] | None = None

    def below(self, node: Node, object_: int) -> bool | None:
        """Whether the user has a filled node on an object otherwise than by a tuple that names it there."""
        first = (node, object_)
        origins = {first: first}
        gates: list[tuple[NodeGate, _At]] = []
        found = self._search(first, origins, gates)
        if found is False:
            for gate, at in gates:
                passed = self.passes(gate, at[1])
                if passed is not False:
                    found = at if passed else None
                    break
        if self._known is not None:
            self._learn(found, origins)
        return found if found is None else found is not False

    def _search(  # noqa: C901, PLR0912 - the hot loop of every check stays one function: calls cost more than its work
        self, first: _At, origins: dict[_At, _At], gates: list[tuple[NodeGate, _At]]
    ) -> _At | Literal[False] | None:
        """Walk on from a node by tuples and hops, and note where each node was come from, and the gates that are met.

        Returns: where the user was found.
        """
        user, budget, known = self._user, self._budget, self._known
        queue = [first]
        for at in queue:
            node, object_ = at
            budget.left -= 1
            if budget.left < 0:
                budget.spend(0)
            if at is not first:
                if known is not None and at in known:
                    if known[at]:
                        return at
                    continue
                if not node.is_filled:
                    self._lean.fill(node)
                for get in node.direct:
                    row = get(object_)
                    if row is not None:
                        if row == user or (isinstance(row, set) and user in row):
                            return at
                        if row is MISSING:
                            return None
                for get in node.wildcards:
                    row = get(object_)
                    if row is not None:
                        return None if row is MISSING else at
            for get, target, flattened in node.groups:
                row = get(object_)
                if row is not None:
                    groups = flattened.of(user)
                    if groups is None:
                        if not self._follow(queue, origins, (target, row), at):
                            return None
                    elif isinstance(row, int):
                        if row in groups:
                            return at
                    elif not isinstance(row, set):
                        return None
                    elif not groups.isdisjoint(row):
                        return at
            for get, target in node.hops:
                row = get(object_)
                if row is None:
                    continue
                if isinstance(row, int):
                    following = (target, row)
                    if following not in origins:
                        origins[following] = at
                        queue.append(following)
                elif not self._follow(queue, origins, (target, row), at):
                    return None
            if node.has_more:
                for linked in node.links:
                    self._follow(queue, origins, (linked, object_), at)
                gates.extend((gate, at) for gate in node.gates)
        return False

    def _follow(self, queue: list[_At], origins: dict[_At, _At], leads: tuple[Node, Row], at: _At) -> bool:
        """Queue a node on all ids of a row; False when the row is missing."""
        target, row = leads
        if row is MISSING:
            return False
        found = members(row)
        self._budget.spend(len(found))
        for object_ in found:
            following = (target, object_)
            if following not in origins:
                origins[following] = at
                queue.append(following)
        return True

    def _learn(self, found: _At | Literal[False] | None, origins: dict[_At, _At]) -> None:
        """Keep what is settled: everything visited was in vain, or what lies on the way to where the user was found."""
        if self._known is None or found is None:
            return
        if len(self._known) > MAX_KNOWN:
            self._known.clear()
        if found is False:
            self._known.update(dict.fromkeys(origins, False))
            return
        while found not in self._known:
            self._known[found] = True
            found = origins[found]

    def passes(self, gate: NodeGate, object_: int, *, is_entered: bool = False) -> bool | None:
        """Whether the user passes a gate on an object; `is_entered` if the first operand is known to hold."""
        first, *others = gate.operands
        held = True if is_entered else self._operand(first, object_)
        for operand in others:
            if not held:
                break
            held = self._operand(operand, object_)
            if held is not None and gate.is_exclusion:
                held = not held
        return held

    def _operand(self, node: Node, object_: int) -> bool | None:
        at = (node, object_)
        if self._known is None:
            self._known = {}
        known = self._known.get(at)
        if known is not None:
            return known
        if not node.is_filled:
            self._lean.fill(node)
        found = names(node, object_, self._user)
        if found is False:
            found = self.below(node, object_)
        if found is not None:
            self._known[at] = found
        return found
