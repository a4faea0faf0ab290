"""A plan turned round: from a user to the objects on which a plan holds. Used by `engine.list_objects`."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from authz.model.plan import Edge, Gate, Plan


class Arrival(NamedTuple):
    """Where a plan that holds on an object leads: `plan` holds on every object that names it through `edge`."""

    edge: Edge
    plan: Plan


class GateArrival(NamedTuple):
    """A gate on the same object, to be evaluated where its first operand holds; if it is open, `plan` holds."""

    gate: Gate
    plan: Plan


class ReversePlan:
    """Everything below one plan, by where it is entered."""

    def __init__(self, root: Plan) -> None:
        self.root = root
        self.starts: list[Arrival] = []
        """Edges whose tuples name the user."""
        self.selves: list[Plan] = []
        """Plans that hold on the userset's own object."""
        self.arrivals: dict[Plan, list[Arrival]] = {}
        self.links: dict[Plan, list[Plan]] = {}
        """Plans that hold on an object wherever this one does."""
        self.gates: dict[Plan, list[GateArrival]] = {}
        seen = {root}
        pending = [root]
        while pending:
            for following in self._enter(pending.pop()):
                if following not in seen:
                    seen.add(following)
                    pending.append(following)

    def _enter(self, plan: Plan) -> list[Plan]:
        """Note how a plan is arrived at; returns the plans one step nearer to the user.

        A gate is arrived at through one operand only: where an intersection or exclusion holds, its first operand does.
        """
        self.starts.extend(Arrival(edge, plan) for edge in plan.tests)
        if plan.is_self:
            self.selves.append(plan)
        for hop in plan.hops:
            self.arrivals.setdefault(hop.target, []).append(Arrival(hop.edge, plan))
        for linked in plan.links:
            self.links.setdefault(linked, []).append(plan)
        for gate in plan.gates:
            self.gates.setdefault(gate.operands[0], []).append(GateArrival(gate, plan))
        return [*(hop.target for hop in plan.hops), *plan.links, *(gate.operands[0] for gate in plan.gates)]


@lru_cache(maxsize=1024)
def reverse_plan(root: Plan) -> ReversePlan:
    """The shared reverse of a plan."""
    return ReversePlan(root)
