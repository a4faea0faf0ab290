"""What the parts of one evaluation share: view, user, request context, budget, and why answers stay open."""

from __future__ import annotations

from collections.abc import Mapping

from authz.conditions import MET, NOT_MET, CompiledCondition, Outcome
from authz.engine.binding import binder_for
from authz.engine.budget import Budget
from authz.index.rows import Context, View
from authz.model.plan import PlanSet
from authz.tuples import JsonValue, split_userset

CONDITION_STEPS = 10
"""What evaluating a condition costs at least, in steps of the budget."""
BYTES_PER_STEP = 50
"""How much context is converted and compared in the time of one step."""

_ABSENT = -(1 << 40)
"""Ids from here down stand for names that no tuple of the view has; far below those of contextual tuples."""


class AbsentNames:
    """Ids for names that no tuple of a view has. Scopes that exchange ids share one."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._names: dict[int, str] = {}

        self.find = self._ids.get
        """The id of a name, or None."""

    def add(self, name: str) -> int:
        """The id of a new name."""
        found = self._ids[name] = _ABSENT - len(self._ids)
        self._names[found] = name
        return found

    def name(self, key: int) -> str:
        """The text of an id."""
        return self._names[key]


class Scope:
    """One user's questions over one view; `user` is empty for walks that look for users."""

    def __init__(
        self,
        view: View,
        plans: PlanSet,
        user: str,
        context: Mapping[str, JsonValue],
        budget: Budget,
        *,
        absent: AbsentNames | None = None,
    ) -> None:
        self.view = view
        self.binder = binder_for(view, plans)
        self.budget = budget
        self._context = context
        self._condition_steps = CONDITION_STEPS + (_weight(context) // BYTES_PER_STEP if context else 0)
        self._absent = absent or AbsentNames()
        name, relation = split_userset(user)
        self.user = self.id_of(name)
        self.self_object = self.user if relation else None
        """The id of the userset's own object: a userset has its own relation on it."""
        self.open: dict[tuple[str, Outcome], None] = {}
        """Conditions that had no value, in the order they were met."""

    def id_of(self, name: str) -> int:
        """The id of a name, one of its own when no tuple has it.

        INVARIANT: a name keeps its id, even when the index comes to know it while the scope is in use.
        """
        found = self._absent.find(name)
        if found is None:
            found = self.view.find(name)
        return self._absent.add(name) if found is None else found

    def name(self, key: int) -> str:
        """The text of an id."""
        return self._absent.name(key) if key <= _ABSENT else self.view.name(key)

    def is_met(self, condition: CompiledCondition, stored: Context) -> bool | None:
        """Whether a tuple's condition holds; None when it has no value, which is noted."""
        self.budget.spend(self._condition_steps + len(stored))
        outcome = condition.evaluate(stored, self._context)
        if outcome is MET:
            return True
        if outcome is NOT_MET:
            return False
        self.open[condition.name, outcome] = None
        return None


def _weight(value: JsonValue | Mapping[str, JsonValue]) -> int:
    """About how many bytes a value has as JSON, without recursion."""
    total = 0
    pending: list[object] = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, Mapping):
            total += sum(len(key) for key in part)
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)
        total += len(part) if isinstance(part, str) else 8
    return total
