"""List users: every user of a kind that tuples name and that has a relation on an object. Called by `commands`.

Users reached by tuples and hops alone are in the answer; those named below a gate are in it when they pass the gate.
A typed wildcard is a user like any other here: `type:*` is listed when everybody of the type passes, and a user that
only the wildcard covers is not listed beside it. A condition without a value on the way is an error even where
another way would decide, as the public API has it: the caller of a list cannot see which entries it would have
changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from authz.engine.budget import Budget
from authz.engine.check import condition_failed
from authz.engine.evaluation import Evaluation
from authz.engine.gathering import GateAt, Gathering
from authz.engine.kleene import ALLOWED, CONDITIONAL, DENIED, UNKNOWN, Value
from authz.engine.list_objects import Emit
from authz.engine.scope import AbsentNames, Scope
from authz.index.rows import View
from authz.model.compile import CompiledModel
from authz.model.plan import Plan, plans_for
from authz.tuples import JsonValue, UserKind, object_type


class ListUsers:
    """One listing. `run` it; while it says UNKNOWN, fetch the view's missing rows and run it again."""

    def __init__(self, scopes: Callable[[str], Scope], root: Plan, object_: str, emit: Emit) -> None:
        self._scopes = scopes
        self._emit = emit
        scope = scopes("")
        self._scope = scope
        self._certain = Gathering(scope, None, nodes=[(scope.binder.bind(root), scope.id_of(object_))])
        self._doubtful: dict[GateAt, Gathering] | None = None
        self._emitted: set[str] = set()
        self._judged: set[tuple[GateAt, str]] = set()

    def run(self) -> Value:
        """ALLOWED when the listing is complete (or nobody wants more of it), UNKNOWN when rows are missing.

        Raises:
            ConditionFailed: a tuple on the way has a condition without a value.
            AuthzError: whatever the budget raises.

        """
        is_complete = self._certain.walk()
        if not all(self._list(user) for user in self._certain.users):
            return ALLOWED
        if not is_complete:
            return UNKNOWN
        if self._doubtful is None:
            everybody = Evaluation(self._scopes(f"{self._scope.binder.plans.kind.type}:*"))
            self._doubtful = {gate: Gathering(self._scope, everybody, gates=[gate]) for gate in self._certain.gates}
        for gate, gathering in self._doubtful.items():
            is_complete &= gathering.walk()
            for user in gathering.users:
                value = self._judge(gate, user)
                is_complete &= value is not UNKNOWN
                if value is ALLOWED and not self._list(user):
                    return ALLOWED
        if is_complete and self._scope.open:
            raise condition_failed(self._scope)
        return ALLOWED if is_complete else UNKNOWN

    def _judge(self, gate: GateAt, user: str) -> Value:
        """ALLOWED for a candidate to list, DENIED for one that is not (or is in the answer already)."""
        if user in self._emitted or (gate, user) in self._judged:
            return DENIED
        evaluation = Evaluation(self._scopes(user))
        value = evaluation.gate(*gate)
        if value is CONDITIONAL:
            raise condition_failed(evaluation.scope)
        if value is not UNKNOWN:
            self._judged.add((gate, user))
        return value

    def _list(self, user: str) -> bool:
        """Put a user into the answer once; False when no more are wanted."""
        if user in self._emitted:
            return True
        self._emitted.add(user)
        return self._emit(user)


def list_users(
    view: View,
    model: CompiledModel,
    budget: Budget,
    emit: Emit,
    *,
    object_: str,
    relation: str,
    kind: UserKind,
    context: Mapping[str, JsonValue],
) -> ListUsers | None:
    """Prepare a listing of users of a kind (objects of a type, or usersets).

    Every name has been checked against the model. None when the answer is empty by the model.
    """
    # The plans of a kind serve its typed wildcard too: they hold every edge that names either.
    plans = plans_for(model, kind)
    root = plans.plan(object_type(object_), relation)
    if root is None:
        return None
    # Nodes found for one user are asked about for another: all scopes must give a name the same id.
    absent = AbsentNames()
    return ListUsers(lambda user: Scope(view, plans, user, context, budget, absent=absent), root, object_, emit)
