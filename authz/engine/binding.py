"""Plans bound to the rows of one view, so that a walk looks rows up without hashing edges. Used by every walk."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

from authz.conditions import CompiledCondition
from authz.index.rows import Row, View
from authz.model.plan import Edge, Gate, Plan, PlanSet

Get = Callable[[int], Row]


class ConditionalTest(NamedTuple):
    """A test edge whose tuples count only when the condition is met."""

    get: Get
    is_wildcard: bool
    condition: CompiledCondition


class ConditionalHop(NamedTuple):
    """A hop whose tuples count only when the condition is met."""

    get: Get
    target: Bound
    condition: CompiledCondition


class BoundGate(NamedTuple):
    """A gate over bound operands."""

    is_exclusion: bool
    operands: tuple[Bound, ...]


class Bound:
    """A plan with its rows. Empty until `Binder.fill`, which a walk calls on its first visit (`is_filled`)."""

    __slots__ = (
        "conditional_hops",
        "conditional_tests",
        "direct",
        "gates",
        "has_more",
        "hops",
        "index",
        "is_filled",
        "is_self",
        "links",
        "plan",
        "wildcards",
    )

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.index = plan.index
        self.is_self = plan.is_self
        self.is_filled = False
        self.direct: tuple[Get, ...] = ()
        self.wildcards: tuple[Get, ...] = ()
        self.hops: tuple[tuple[Get, Bound], ...] = ()
        self.conditional_tests: tuple[ConditionalTest, ...] = ()
        self.conditional_hops: tuple[ConditionalHop, ...] = ()
        self.links: tuple[Bound, ...] = ()
        self.gates: tuple[BoundGate, ...] = ()
        self.has_more = False
        """Whether there is anything conditional, a link or a gate."""

    def release(self) -> None:
        """Lead nowhere any more."""
        self.hops, self.conditional_hops, self.links, self.gates = (), (), (), ()
        self.is_filled = False


class Binder:
    """Bound plans of one plan set over one view."""

    def __init__(self, view: View, plans: PlanSet) -> None:
        self.plans = plans
        self._view = view
        self._bound: dict[Plan, Bound] = {}

    def bind(self, plan: Plan) -> Bound:
        """The bound form of a plan, the same object every time."""
        found = self._bound.get(plan)
        if found is None:
            found = self._bound[plan] = Bound(plan)
        return found

    def fill(self, bound: Bound) -> None:
        """Look the rows of a plan up."""
        plan = bound.plan
        conditions = self.plans.model.conditions
        direct: list[Get] = []
        wildcards: list[Get] = []
        for edge in plan.tests:
            if not edge.condition:
                (wildcards if edge.user.wildcard else direct).extend(self._forward(edge))
        bound.direct, bound.wildcards = tuple(direct), tuple(wildcards)
        bound.hops = tuple(
            (get, self.bind(target)) for edge, target in plan.hops if not edge.condition for get in self._forward(edge)
        )
        bound.conditional_tests = tuple(
            ConditionalTest(get, edge.user.wildcard, conditions[edge.condition])
            for edge in plan.tests
            if edge.condition
            for get in self._forward(edge)
        )
        bound.conditional_hops = tuple(
            ConditionalHop(get, self.bind(target), conditions[edge.condition])
            for edge, target in plan.hops
            if edge.condition
            for get in self._forward(edge)
        )
        bound.links = tuple(self.bind(linked) for linked in plan.links)
        bound.gates = tuple(self.gate(gate) for gate in plan.gates)
        bound.has_more = bool(bound.conditional_tests or bound.conditional_hops or bound.links or bound.gates)
        bound.is_filled = True

    def release(self) -> None:
        """See `Derived`."""
        for bound in self._bound.values():
            bound.release()
        self._bound.clear()

    def gate(self, gate: Gate) -> BoundGate:
        """The bound form of a gate."""
        return BoundGate(gate.is_exclusion, tuple(self.bind(operand) for operand in gate.operands))

    def _forward(self, edge: Edge) -> list[Get]:
        return [rows.get for rows in self._view.forward(edge)]


def binder_for(view: View, plans: PlanSet) -> Binder:
    """The binder of a plan set that the view keeps."""
    found = view.bindings.get(plans)
    if found is None:
        found = view.bindings[plans] = Binder(view, plans)
    return cast("Binder", found)
