"""List users: every user of a kind that tuples name and that has a relation on an object. Called by `commands`.

Users reached by tuples and hops alone are in the answer; what a gate names and passes is worked out by
`engine.naming`, or, where gates are entangled, by asking about everybody named below it. A typed wildcard is listed
as `type:*` when everybody of the type passes, and a user that only the wildcard covers is not listed beside it. A
condition without a value on the way is an error even where another way would decide, as the public API has it: the
caller of a list cannot see which entries it would have changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from authz.engine.budget import Budget
from authz.engine.check import condition_failed
from authz.engine.evaluation import Evaluation
from authz.engine.gathering import GateAt, Gathering
from authz.engine.kleene import ALLOWED, CONDITIONAL, DENIED, UNKNOWN, Value
from authz.engine.list_objects import Emit
from authz.engine.naming import Entangled, Naming
from authz.engine.scope import AbsentNames, Scope
from authz.errors import ConditionFailed
from authz.index.rows import View
from authz.model.compile import CompiledModel
from authz.model.plan import Plan, plans_for
from authz.tuples import JsonValue, UserKind, object_type


class ListUsers:
    """One listing. `run` it; while it says UNKNOWN, fetch the view's missing rows and run it again."""

    def __init__(
        self, scopes: Callable[[str], Scope], root: Plan, object_: str, emit: Emit, *, leaves_out: bool = False
    ) -> None:
        self.left_out: ConditionFailed | None = None
        """Why users may have been left out: a condition on the way has no value."""
        self._leaves_out = leaves_out
        self._scopes = scopes
        self._emit = emit
        scope = scopes("")
        self._scope = scope
        self._everybody = f"{scope.binder.plans.kind.type}:*"
        self._certain = Gathering(scope, None, nodes=[(scope.binder.bind(root), scope.id_of(object_))])
        self._naming = Naming(scope)
        self._emitted: set[str] = set()
        self._is_full = False
        # Entangled gates: who is named below them, and the evaluations of those that miss rows (None: settled).
        self._candidates: dict[GateAt, Gathering] = {}
        self._judged: dict[tuple[GateAt, str], Evaluation | None] = {}

    def run(self) -> Value:
        """ALLOWED when the listing is complete (or nobody wants more of it), UNKNOWN when rows are missing.

        Raises:
            ConditionFailed: a tuple on the way has a condition without a value, and nobody is to be left out for it.
            AuthzError: whatever the budget raises.

        """
        is_complete = self._certain.walk()
        self._list(self._certain.users)
        for gate in self._certain.gates:
            if not self._is_full:
                is_complete &= self._list_gate(gate)
        if self._is_full:
            return ALLOWED
        if is_complete and self._scope.open:
            self._leave_out(self._scope)
        return ALLOWED if is_complete else UNKNOWN

    def _list_gate(self, gate: GateAt) -> bool:
        """List who passes a gate; False when rows are missing."""
        if gate not in self._candidates:
            try:
                named = self._naming.gate(*gate)
            except Entangled:
                everybody = Evaluation(self._scopes(self._everybody))
                self._candidates[gate] = Gathering(self._scope, everybody, gates=[gate])
            else:
                if named is None:
                    return False
                users = [user for user, holds in named.users.items() if holds]
                users += [self._everybody] if named.everybody else []
                if self._leaves_out and self._scope.open:
                    # INVARIANT: what is subtracted under a condition without a value might be subtracted.
                    return self._list_judged(gate, users)
                self._list(users)
                return True
        gathering = self._candidates[gate]
        is_complete = gathering.walk()
        return self._list_judged(gate, gathering.users) and is_complete

    def _list_judged(self, gate: GateAt, users: Iterable[str]) -> bool:
        """List those of some users that pass a gate; False when rows are missing."""
        is_complete = True
        for user in users:
            value = self._judge(gate, user)
            is_complete &= value is not UNKNOWN
            if value is ALLOWED:
                self._list([user])
        return is_complete

    def _judge(self, gate: GateAt, user: str) -> Value:
        """ALLOWED for a candidate to list, DENIED for one that is not (or is in the answer already)."""
        key = (gate, user)
        if user in self._emitted or (key in self._judged and self._judged[key] is None):
            return DENIED
        evaluation = self._judged.get(key) or Evaluation(self._scopes(user))
        value = evaluation.gate(*gate)
        if value is CONDITIONAL:
            self._leave_out(evaluation.scope)
        self._judged[key] = evaluation if value is UNKNOWN else None
        return value

    def _leave_out(self, scope: Scope) -> None:
        """Go on without those whom a condition without a value decides about, or end with its error."""
        self.left_out = condition_failed(scope)
        if not self._leaves_out:
            raise self.left_out

    def _list(self, users: Iterable[str]) -> None:
        """Put users into the answer, each once, until no more are wanted."""
        for user in users:
            if user not in self._emitted and not self._is_full:
                self._emitted.add(user)
                self._is_full = not self._emit(user)


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
    leaves_out: bool = False,
) -> ListUsers | None:
    """Prepare a listing of users of a kind (objects of a type, or usersets).

    With `leaves_out` only those are listed who have the relation whatever values open conditions might have. Every name
    has been checked against the model. None when the answer is empty by the model.
    """
    # The plans of a kind serve its typed wildcard too: they hold every edge that names either.
    plans = plans_for(model, kind)
    root = plans.plan(object_type(object_), relation)
    if root is None:
        return None
    # Nodes found for one user are asked about for another: all scopes must give a name the same id.
    absent = AbsentNames()
    return ListUsers(
        lambda user: Scope(view, plans, user, context, budget, absent=absent),
        root,
        object_,
        emit,
        leaves_out=leaves_out,
    )
