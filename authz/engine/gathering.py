"""Gather the users that tuples name below a node, for list users. Used by `engine.list_users`."""

from __future__ import annotations

from collections.abc import Iterable

from authz.engine.binding import Bound, BoundGate
from authz.engine.evaluation import Evaluation
from authz.engine.kleene import DENIED, UNKNOWN
from authz.engine.scope import Scope
from authz.index.rows import MISSING, Row, members
from authz.model.plan import STRIDE

Node = tuple[Bound, int]
"""A plan at an object id."""

GateAt = tuple[BoundGate, int]
"""A gate at an object id."""


class Gathering:
    """Users of the scope's kind that are named below the start nodes.

    A strict gathering stops at gates and notes them; what it finds, it finds for certain. A loose one walks
    through them; what it finds are candidates. Conditions without a value are noted in the scope. Resumable:
    nodes that miss rows are visited again.
    """

    def __init__(
        self,
        scope: Scope,
        everybody: Evaluation | None,
        *,
        nodes: Iterable[Node] = (),
        gates: Iterable[GateAt] = (),
    ) -> None:
        """Start at nodes and gates. Strict without `everybody`, which evaluates questions for the kind's wildcard."""
        self.users: dict[str, None] = {}
        self.gates: dict[GateAt, None] = {}
        """Gates met, at an object id; strict only."""
        self._scope = scope
        self._kind = scope.binder.plans.kind
        self._everybody = everybody
        self._queue: list[Node] = []
        self._closed: list[GateAt] = list(gates)
        self._seen: set[int] = set()
        for bound, object_ in nodes:
            self._push(bound, object_)

    def walk(self) -> bool:
        """Visit every node that can be; False when rows are missing."""
        blocked = []
        self._closed = [gate for gate in self._closed if not self._enter(*gate)]
        for node in self._queue:
            bound, object_ = node
            self._scope.budget.spend(1)
            if not bound.is_filled:
                self._scope.binder.fill(bound)
            if bound.is_self:
                self.users[self._text(object_)] = None
            rows_are_here = self._visit_plain(bound, object_)
            if bound.has_more:
                rows_are_here &= self._visit_conditional(bound, object_)
                for linked in bound.links:
                    self._push(linked, object_)
                self._visit_gates(bound, object_)
            if not rows_are_here:
                blocked.append(node)
        self._queue = blocked
        return not blocked and not self._closed

    def _visit_plain(self, bound: Bound, object_: int) -> bool:
        is_here = True
        for get in bound.direct:
            row = get(object_)
            is_here &= row is not MISSING
            self.users.update((self._text(user), None) for user in self._count(row))
        for get in bound.wildcards:
            row = get(object_)
            is_here &= row is not MISSING
            if self._count(row):
                self.users[self._wildcard] = None
        for get, target in bound.hops:
            row = get(object_)
            is_here &= row is not MISSING
            for following in self._count(row):
                self._push(target, following)
        return is_here

    def _visit_conditional(self, bound: Bound, object_: int) -> bool:
        is_here = True
        for get, is_wildcard, condition in bound.conditional_tests:
            row = get(object_)
            is_here &= row is not MISSING
            for user, stored in row.items() if isinstance(row, dict) else ():
                if self._scope.is_met(condition, stored):
                    self.users[self._wildcard if is_wildcard else self._text(user)] = None
        for get, target, condition in bound.conditional_hops:
            row = get(object_)
            is_here &= row is not MISSING
            for following, stored in row.items() if isinstance(row, dict) else ():
                if self._scope.is_met(condition, stored):
                    self._push(target, following)
        return is_here

    def _visit_gates(self, bound: Bound, object_: int) -> None:
        for gate in bound.gates:
            if self._everybody is None:
                self.gates[gate, object_] = None
            elif not self._enter(gate, object_):
                self._closed.append((gate, object_))

    def _enter(self, gate: BoundGate, object_: int) -> bool:
        """Queue the operands whose users are candidates of a gate; False when rows are missing.

        Who is named only on the subtracted side can be in the difference only where the base holds for everybody.
        """
        first, *others = gate.operands
        self._push(first, object_)
        if gate.is_exclusion and self._kind.relation:
            return True
        if gate.is_exclusion and self._everybody is not None:
            value = self._everybody.value(first, object_)
            if value in {UNKNOWN, DENIED}:
                return value is DENIED
        for operand in others:
            self._push(operand, object_)
        return True

    def _push(self, bound: Bound, object_: int) -> None:
        key = object_ * STRIDE + bound.index
        if key not in self._seen:
            self._seen.add(key)
            self._queue.append((bound, object_))

    def _count(self, row: Row) -> Iterable[int]:
        """The ids of a row, paid for from the budget; none when it is missing."""
        if row is None or row is MISSING:
            return ()
        found = members(row)
        self._scope.budget.spend(len(found))
        return found

    @property
    def _wildcard(self) -> str:
        return f"{self._kind.type}:*"

    def _text(self, user: int) -> str:
        name = self._scope.name(user)
        return f"{name}#{self._kind.relation}" if self._kind.relation else name
