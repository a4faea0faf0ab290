"""Check: does a user have a relation on an object. Called by `commands`; knows no stores, clocks or transport."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from authz.conditions import State
from authz.engine.budget import Budget
from authz.engine.evaluation import Evaluation
from authz.engine.kleene import CONDITIONAL, DENIED, UNKNOWN, Value
from authz.engine.scope import Scope
from authz.errors import ConditionFailed
from authz.index.rows import View
from authz.model.compile import CompiledModel
from authz.model.plan import Plan, plans_for
from authz.tuples import JsonValue, object_type, user_kind

MAX_REASONS = 5
"""How many open conditions an error names."""


class Check:
    """One question. `run` it; while it says UNKNOWN, fetch the view's missing rows and run it again."""

    def __init__(self, evaluation: Evaluation | None, plan: Plan | None, object_: str) -> None:
        self._evaluation = evaluation
        self._plan = plan
        self._object = object_

    def run(self) -> Value:
        """ALLOWED or DENIED; UNKNOWN when rows are missing.

        Raises:
            ConditionFailed: the answer depends on a condition that has no value.
            AuthzError: whatever the budget raises.

        """
        if self._plan is None or self._evaluation is None:
            return DENIED
        scope = self._evaluation.scope
        value = self._evaluation.value(scope.binder.bind(self._plan), scope.id_of(self._object))
        if value is CONDITIONAL:
            raise condition_failed(scope)
        return value


def check(
    view: View,
    model: CompiledModel,
    budget: Budget,
    *,
    object_: str,
    relation: str,
    user: str,
    context: Mapping[str, JsonValue],
) -> Check:
    """Prepare a question; every name in it has been checked against the model."""
    plans = plans_for(model, user_kind(user))
    plan = plans.plan(object_type(object_), relation)
    if plan is None:
        return Check(None, None, object_)
    return Check(Evaluation(Scope(view, plans, user, context, budget)), plan, object_)


def condition_failed(scope: Scope) -> ConditionFailed:
    """The error that says why answers of a scope stayed open."""
    reasons = []
    for name, outcome in islice(scope.open, MAX_REASONS):
        if outcome.state is State.MISSING:
            missing = ", ".join(f"`{parameter}`" for parameter in outcome.missing)
            reasons.append(f"condition `{name}` needs parameters that the context does not give: {missing}")
        else:
            reasons.append(outcome.message)
    if len(scope.open) > MAX_REASONS:
        reasons.append(f"and {len(scope.open) - MAX_REASONS} more")
    return ConditionFailed("; ".join(reasons))


__all__ = ["UNKNOWN", "Check", "check", "condition_failed"]
