"""List objects: walk backwards from a user to every object of a type on which a relation holds. Called by `commands`.

The walk follows reverse rows, so it costs what it finds, not what the store holds. Only a gate, or a condition
without a value, needs a forward evaluation. What is reached is exact: each object found passes Check, and none is
left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from authz.engine.binding import Get
from authz.engine.budget import Budget
from authz.engine.check import condition_failed
from authz.engine.evaluation import Evaluation
from authz.engine.kleene import ALLOWED, CONDITIONAL, DENIED, UNKNOWN, Value
from authz.engine.lean import Walk
from authz.engine.nodes import NodeGate, is_lean, lean_for
from authz.engine.scope import Scope
from authz.errors import ConditionFailed
from authz.index.rows import MISSING, Context, View, members
from authz.model.compile import CompiledModel
from authz.model.plan import STRIDE, Edge, Gate, Plan, plans_for
from authz.model.reverse import reverse_plan
from authz.tuples import JsonValue, user_kind

Emit = Callable[[str], bool]
"""Takes one object; False says that no more are wanted."""

_Fact = tuple[Plan | None, int]
"""A plan that holds on an object; no plan stands for the user, where the walk starts."""


class ListObjects:
    """One listing. `run` it; while it says UNKNOWN, fetch the view's missing rows and run it again."""

    def __init__(self, scope: Scope, root: Plan, emit: Emit, *, leaves_out: bool = False) -> None:
        self.left_out: ConditionFailed | None = None
        """Why objects were left out: whether they belong to the answer depends on a condition that has no value."""
        self._leaves_out = leaves_out
        self._scope = scope
        self._reverse = reverse_plan(root)
        self._evaluation = Evaluation(scope)
        self._emit = emit
        self._lean = lean_for(scope.view, scope.binder.plans.model)
        self._walk_short = (
            Walk(self._lean, scope.user, scope.budget) if is_lean(root, scope.binder.plans.kind) else None
        )
        self._gates: dict[Gate, NodeGate] = {}
        # Plans that others follow from.
        self._leading = self._reverse.arrivals.keys() | self._reverse.links.keys() | self._reverse.gates.keys()
        self._gets: dict[Edge, list[Get]] = {}
        self._seen: set[int] = set()
        self._emitted: set[int] = set()
        self._queue: list[_Fact] = [(None, 0)]
        # Reached only through a condition without a value; judged by forward evaluation when the certain ones are done.
        self._maybe: list[_Fact] = []

    def run(self) -> Value:
        """ALLOWED when the listing is complete (or nobody wants more of it), UNKNOWN when rows are missing.

        Raises:
            ConditionFailed: whether an object belongs to the answer depends on a condition that has no value, and it
                is not to be left out.
            AuthzError: whatever the budget raises.

        """
        if not self._walk(self._queue):
            return ALLOWED
        if self._queue:
            return UNKNOWN
        if not self._walk(self._maybe):
            return ALLOWED
        return UNKNOWN if self._maybe else ALLOWED

    def _walk(self, queue: list[_Fact]) -> bool:
        """Visit the facts of the queue, which grows on the way, and leave those that miss rows.

        Returns: False to stop for good, because nobody wants more.
        """
        blocked = []
        budget = self._scope.budget
        for fact in queue:
            budget.left -= 1
            if budget.left < 0:
                budget.spend(0)
            plan, object_ = fact
            if plan is None:
                is_done = self._start(queue)
            else:
                if plan is self._reverse.root and object_ not in self._emitted:
                    value = ALLOWED if queue is self._queue else self._judge(object_)
                    if value is UNKNOWN:
                        blocked.append(fact)
                        continue
                    if value is ALLOWED:
                        self._emitted.add(object_)
                        if not self._emit(self._scope.name(object_)):
                            return False
                is_done = plan not in self._leading or self._visit(plan, object_, queue)
            if not is_done:
                blocked.append(fact)
        queue[:] = blocked
        return True

    def _judge(self, object_: int) -> Value:
        value = self._evaluation.value(self._scope.binder.bind(self._reverse.root), object_)
        if value is CONDITIONAL:
            self.left_out = condition_failed(self._scope)
            if not self._leaves_out:
                raise self.left_out
            return DENIED
        return value

    def _start(self, queue: list[_Fact]) -> bool:
        """From the user to the objects of tuples that name it; False when rows are missing."""
        is_done = True
        for edge, plan in self._reverse.starts:
            user = self._scope.id_of(f"{edge.user.type}:*") if edge.user.wildcard else self._scope.user
            is_done &= self._arrive(edge, plan, user, queue)
        for plan in self._reverse.selves:
            self._push(queue, plan, self._scope.user)
        return is_done

    def _visit(self, plan: Plan, object_: int, queue: list[_Fact]) -> bool:
        """From one fact to those that follow from it; False when rows are missing."""
        is_done = True
        for edge, following in self._reverse.arrivals.get(plan, ()):
            is_done &= self._arrive(edge, following, object_, queue)
        for following in self._reverse.links.get(plan, ()):
            self._push(queue, following, object_)
        for gate, following in self._reverse.gates.get(plan, ()):
            value = self._pass(gate, object_, is_certain=queue is self._queue)
            if value is UNKNOWN:
                is_done = False
            elif value is ALLOWED:
                self._push(queue, following, object_)
            elif value is CONDITIONAL:
                self._push_maybe(queue, following, object_)
        return is_done

    def _pass(self, gate: Gate, object_: int, *, is_certain: bool) -> Value:
        """Whether the user passes a gate on an object on which its first operand holds, for certain or perhaps."""
        if self._walk_short is not None and is_certain:
            node_gate = self._gates.get(gate)
            if node_gate is None:
                node_gate = self._gates[gate] = self._lean.gate(gate)
            passed = self._walk_short.passes(node_gate, object_, is_entered=True)
            if passed is not None:
                return ALLOWED if passed else DENIED
        return self._evaluation.gate(self._scope.binder.gate(gate), object_)

    def _arrive(self, edge: Edge, plan: Plan, user: int, queue: list[_Fact]) -> bool:
        is_done = True
        for get in self._reverse_rows(edge):
            row = get(user)
            if row is MISSING:
                is_done = False
            elif isinstance(row, dict):
                self._arrive_conditionally(edge, plan, row, queue)
            else:
                found = members(row)
                self._scope.budget.spend(len(found))
                seen, index = self._seen, plan.index
                for object_ in found:
                    key = object_ * STRIDE + index
                    if key not in seen:
                        seen.add(key)
                        queue.append((plan, object_))
        return is_done

    def _arrive_conditionally(self, edge: Edge, plan: Plan, row: dict[int, Context], queue: list[_Fact]) -> None:
        condition = self._scope.binder.plans.model.conditions[edge.condition]
        for object_, stored in row.items():
            is_met = self._scope.is_met(condition, stored)
            if is_met:
                self._push(queue, plan, object_)
            elif is_met is None:
                self._push_maybe(queue, plan, object_)

    def _reverse_rows(self, edge: Edge) -> list[Get]:
        gets = self._gets.get(edge)
        if gets is None:
            gets = self._gets[edge] = [rows.get for rows in self._scope.view.reverse(edge)]
        return gets

    def _push_maybe(self, queue: list[_Fact], plan: Plan, object_: int) -> None:
        """A condition without a value leads from the certain facts to the others; among those it is no difference."""
        if queue is self._maybe:
            self._push(queue, plan, object_)
        else:
            self._maybe.append((plan, object_))

    def _push(self, queue: list[_Fact], plan: Plan, object_: int) -> None:
        key = object_ * STRIDE + plan.index
        if key not in self._seen:
            self._seen.add(key)
            queue.append((plan, object_))


def list_objects(
    view: View,
    model: CompiledModel,
    budget: Budget,
    emit: Emit,
    *,
    type_: str,
    relation: str,
    user: str,
    context: Mapping[str, JsonValue],
    leaves_out: bool = False,
) -> ListObjects | None:
    """Prepare a listing; every name in it has been checked against the model.

    With `leaves_out` an object is left out when a condition without a value decides whether it belongs to the answer.
    None when the answer is empty by the model.
    """
    plans = plans_for(model, user_kind(user))
    root = plans.plan(type_, relation)
    if root is None:
        return None
    return ListObjects(Scope(view, plans, user, context, budget), root, emit, leaves_out=leaves_out)
