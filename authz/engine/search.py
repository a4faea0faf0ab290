"""Reachability: whether a user comes to a (relation, object) by tuples and hops alone, gates left open.

A search walks a frontier with a visited set, so that depth and cycles in the data cost nothing but steps. It is
resumable: nodes whose rows were missing are visited again by the next `run`. Used by `engine.evaluation` and
`engine.equations`.
"""

from __future__ import annotations

from typing import NamedTuple

from authz.conditions import CompiledCondition
from authz.engine.binding import Bound, BoundGate
from authz.engine.kleene import ALLOWED, CONDITIONAL, DENIED, UNKNOWN, Value, either
from authz.engine.scope import Scope
from authz.index.rows import MISSING, Context, Row
from authz.model.plan import STRIDE

Node = tuple[Bound, int]
"""A plan at an object id."""


class ConditionalRow(NamedTuple):
    """What a conditional hop names at one object."""

    target: Bound
    condition: CompiledCondition
    row: dict[int, Context]


class Search:
    """One question (plan, object) for the user of a scope."""

    __slots__ = ("_has_begun_maybe", "_maybe", "_queue", "_visited", "gates", "value")

    def __init__(self, bound: Bound, object_: int) -> None:
        self.value = DENIED
        """What tuples and hops alone give; the gates come on top."""
        self.gates: dict[tuple[BoundGate, int], bool] = {}
        """Gates met at an object id, and whether they were reached without a condition that has no value."""
        self._queue: list[Node] = [(bound, object_)]
        self._visited = {object_ * STRIDE + bound.index}
        # Nodes reached only through a condition without a value. They are walked when all certain nodes are
        # done, so that a node that is reached both ways counts as certain.
        self._maybe: list[Node] = []
        self._has_begun_maybe = False

    @property
    def is_complete(self) -> bool:
        """Whether no row was missing."""
        return not self._queue and not self._maybe

    def run(self, scope: Scope) -> Value:
        """Walk on as far as the rows in memory allow.

        Returns:
            ALLOWED; or what is known so far: UNKNOWN when rows are missing, CONDITIONAL or DENIED.

        """
        if self.value is not ALLOWED and self._walk(scope, self._queue, is_certain=True):
            self.value = ALLOWED
        if self.value is ALLOWED:
            self._queue, self._maybe = [], []
        elif self._queue:
            return UNKNOWN
        elif self._maybe and self._walk(scope, self._begin_maybe(), is_certain=False):
            self.value = CONDITIONAL
            self._maybe = []
        return either(self.value, UNKNOWN) if self._maybe else self.value

    def _begin_maybe(self) -> list[Node]:
        """The uncertain nodes, each once and none that is certain; a node left over from the last run stays."""
        if not self._has_begun_maybe:
            self._has_begun_maybe = True
            keys = {object_ * STRIDE + bound.index: (bound, object_) for bound, object_ in self._maybe}
            self._maybe = [node for key, node in keys.items() if key not in self._visited]
            self._visited.update(keys)
        return self._maybe

    def _walk(  # noqa: C901, PLR0912 - the hot loop of every check stays one function: calls cost more than its work
        self, scope: Scope, queue: list[Node], *, is_certain: bool
    ) -> bool:
        """Visit the nodes of the queue, which grows on the way, and leave those that miss rows.

        Returns: whether the user was found.
        """
        user, self_object, budget = scope.user, scope.self_object, scope.budget
        blocked: list[Node] = []
        for node in queue:
            bound, object_ = node
            budget.left -= 1
            if budget.left < 0:
                budget.spend(0)
            if not bound.is_filled:
                scope.binder.fill(bound)
            if bound.is_self and object_ == self_object:
                return True
            is_blocked = False
            for get in bound.direct:
                row = get(object_)
                if row == user or (isinstance(row, set) and user in row):
                    return True
                if row is MISSING:
                    is_blocked = True
            for get in bound.wildcards:
                row = get(object_)
                if row is MISSING:
                    is_blocked = True
                elif row is not None:
                    return True
            for get, target in bound.hops:
                row = get(object_)
                if row is not None and not self._hop(scope, queue, target, row):
                    is_blocked = True
            if bound.has_more:
                for linked in bound.links:
                    self._hop(scope, queue, linked, object_)
                more = self._visit_more(scope, queue, node, is_certain=is_certain)
                if more is ALLOWED:
                    return True
                is_blocked |= more is UNKNOWN
            if is_blocked:
                blocked.append(node)
        queue[:] = blocked
        return False

    def _hop(self, scope: Scope, queue: list[Node], target: Bound, row: Row) -> bool:
        """Queue the targets of a row; False when the row is missing."""
        visited = self._visited
        if isinstance(row, int):
            key = row * STRIDE + target.index
            if key not in visited:
                visited.add(key)
                queue.append((target, row))
            return True
        if not isinstance(row, set):
            return False
        scope.budget.spend(len(row))
        for object_ in row:
            key = object_ * STRIDE + target.index
            if key not in visited:
                visited.add(key)
                queue.append((target, object_))
        return True

    def _visit_more(self, scope: Scope, queue: list[Node], node: Node, *, is_certain: bool) -> Value:
        """Visit what is rarer at a node: conditional tests, conditional hops, gates.

        Returns: ALLOWED when the user was found, UNKNOWN when a row was missing, else DENIED.
        """
        bound, object_ = node
        for gate in bound.gates:
            self.gates[gate, object_] = self.gates.get((gate, object_), False) or is_certain
        result = DENIED
        for get, is_wildcard, condition in bound.conditional_tests:
            row = get(object_)
            if row is MISSING:
                result = UNKNOWN
            elif isinstance(row, dict):
                stored = next(iter(row.values())) if is_wildcard else row.get(scope.user)
                is_met = False if stored is None else scope.is_met(condition, stored)
                if is_met or (is_met is None and not is_certain):
                    return ALLOWED
                if is_met is None:
                    self.value = CONDITIONAL
        for get, target, condition in bound.conditional_hops:
            row = get(object_)
            if row is MISSING:
                result = UNKNOWN
            elif isinstance(row, dict):
                self._hop_conditions(scope, queue, ConditionalRow(target, condition, row), is_certain=is_certain)
        return result

    def _hop_conditions(self, scope: Scope, queue: list[Node], hop: ConditionalRow, *, is_certain: bool) -> None:
        """Queue the targets of a conditional row.

        A condition without a value leads from the certain nodes to the others; among those it makes no difference.
        """
        target, condition, row = hop
        for object_, stored in row.items():
            key = object_ * STRIDE + target.index
            if key in self._visited:
                continue
            is_met = scope.is_met(condition, stored)
            if is_met or (is_met is None and not is_certain):
                self._visited.add(key)
                queue.append((target, object_))
            elif is_met is None:
                self._maybe.append((target, object_))
