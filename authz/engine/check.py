"""Check: does a user have a relation on an object. Called by `commands`; knows no stores, clocks or transport."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from authz.conditions import State
from authz.engine.budget import Budget
from authz.engine.evaluation import Evaluation
from authz.engine.kleene import ALLOWED, CONDITIONAL, DENIED, UNKNOWN, Value
from authz.engine.lean import NOBODY, Walk, names
from authz.engine.nodes import Lean, Node, lean_for
from authz.engine.scope import Scope
from authz.errors import Bug, ConditionFailed
from authz.index.decisions import Decisions
from authz.index.rows import View
from authz.model.compile import CompiledModel
from authz.model.plan import Plan, plans_for
from authz.tuples import JsonValue, user_kind

WORTH_REMEMBERING = 4
"""Steps that cost clearly more than looking a decision up."""

MAX_REASONS = 5
"""How many open conditions an error names."""


class Check:
    """One question. `run` it; while it says UNKNOWN, fetch the view's missing rows and run it again.

    What is dearer to answer than to look up is looked up among the decisions of the view, if it has any, and remembered
    there. Context and conditions have no part in that: a question with either is answered anew every time.
    """

    __slots__ = (
        "_budget", "_context", "_decisions", "_evaluation", "_is_conditional", "_model", "_plan", "_question", "_spent",
        "_view",
    )  # fmt: skip

    def __init__(
        self,
        view: View,
        model: CompiledModel,
        budget: Budget,
        question: tuple[str, str, str],
        context: Mapping[str, JsonValue],
    ) -> None:
        """Prepare the question (object, relation, user); every name in it has been checked against the model."""
        self._view = view
        self._model = model
        self._budget = budget
        self._question = question
        self._context = context
        self._spent = 0
        self._plan: Plan | None = None
        self._is_conditional = False
        self._decisions: Decisions | None = None
        self._evaluation: Evaluation | None = None

    def run(self) -> Value:
        """ALLOWED or DENIED; UNKNOWN when rows are missing.

        Raises:
            ConditionFailed: the answer depends on a condition that has no value.
            AuthzError: whatever the budget raises.

        """
        if self._evaluation is None:
            value = self._begin()
            if value is not None:
                return value
        return self._evaluate()

    def decide(self) -> bool | None:
        """As `run`: whether it is ALLOWED, or None when rows are missing."""
        value = self.run()
        return None if value is UNKNOWN else value is ALLOWED

    def _begin(self) -> Value | None:
        """The answer when it can be had without the general evaluation."""
        object_, relation, user = self._question
        user_type, _, id_ = user.partition(":")
        kind = user_kind(user) if id_ == "*" or "#" in id_ else user_type
        lean = lean_for(self._view, self._model)
        key = (object_.partition(":")[0], relation, kind)
        route = lean.routes.get(key)
        if route is None:
            route = lean.route(key)
        if not route:
            return DENIED
        self._plan, node, self._is_conditional = route
        if node is not None:
            return self._walk(lean, node)
        return self._known()

    def _walk(self, lean: Lean, node: Node) -> Value | None:
        """The answer of the short way, or None."""
        object_, _, user = self._question
        at, who = self._view.find(object_), self._view.find(user)
        if at is None:
            return DENIED
        if who is None:
            who = NOBODY
        found = names(node, at, who)
        if found or (found is False and not node.leads_on):
            return ALLOWED if found else DENIED
        known = self._known()
        if known is not None or found is None:
            return known
        found = Walk(lean, who, self._budget).below(node, at)
        if found is None:
            return None
        self._remember(allowed=found)
        return ALLOWED if found else DENIED

    def _known(self) -> Value | None:
        """The decision that is remembered."""
        if self._context or self._is_conditional or self._plan is None:
            return None
        decisions = self._decisions = getattr(self._view, "decisions", None)
        if decisions is None:
            return None
        self._spent = self._budget.spent
        object_, _, user = self._question
        known = decisions.find(self._plan, object_, user, self._view.revision)
        return None if known is None else ALLOWED if known else DENIED

    def _remember(self, *, allowed: bool) -> None:
        """Keep an answer that cost much."""
        if self._decisions is None or self._plan is None or self._budget.spent - self._spent < WORTH_REMEMBERING:
            return
        object_, _, user = self._question
        self._decisions.remember(self._plan, object_, user, allowed=allowed, revision=self._view.revision)

    def _evaluate(self) -> Value:
        """The answer of the general evaluation."""
        object_, _, user = self._question
        if self._plan is None:
            raise Bug("a question is evaluated before it was begun")
        evaluation = self._evaluation
        if evaluation is None:
            plans = plans_for(self._model, user_kind(user))
            evaluation = self._evaluation = Evaluation(Scope(self._view, plans, user, self._context, self._budget))
        scope = evaluation.scope
        value = evaluation.value(scope.binder.bind(self._plan), scope.id_of(object_))
        if value is CONDITIONAL:
            raise condition_failed(scope)
        if value is not UNKNOWN:
            self._remember(allowed=value is ALLOWED)
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
    return Check(view, model, budget, (object_, relation, user), context)


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
