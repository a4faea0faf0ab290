"""Evaluate one question for one user: searches, and the gates they leave open. Called by `engine.check` and the lists.

Gates are evaluated by nested searches while they are shallow and free of cycles, which nearly all are; otherwise the
whole question is handed to `engine.equations`. Nothing learned half-way through a cycle is kept.
"""

from __future__ import annotations

from authz.engine.binding import Bound, BoundGate
from authz.engine.equations import Equations
from authz.engine.kleene import (
    ALLOWED,
    DENIED,
    UNKNOWN,
    Value,
    at_most_conditional,
    both,
    either,
    negate,
)
from authz.engine.scope import Scope
from authz.engine.search import Search
from authz.model.plan import STRIDE

MAX_NESTED_GATES = 40
"""Gates below gates that are evaluated by nested calls; deeper ones go to the equations."""


class _Entangled(Exception):
    """A gate depends on itself, or gates are nested too deep."""


class Evaluation:
    """Answers for one scope; what was learned for one question serves the next."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._searches: dict[int, Search] = {}
        self._values: dict[int, Value] = {}
        self._active: set[int] = set()
        self._missing: set[int] = set()
        """What was UNKNOWN in this question; it stays so until rows are fetched."""

    def value(self, bound: Bound, object_: int) -> Value:
        """Whether the scope's user has a plan on an object."""
        self._begin()
        try:
            return self._value(bound, object_)
        except _Entangled:
            return self._equations().solve(bound, object_)

    def gate(self, gate: BoundGate, object_: int) -> Value:
        """Whether the scope's user passes a gate on an object."""
        self._begin()
        try:
            return self._gate(gate, object_)
        except _Entangled:
            return self._equations().solve_gate(gate, object_)

    def _begin(self) -> None:
        """Forget what held only for the last question: what was under way, and what missed rows."""
        self._active.clear()
        self._missing.clear()

    def _equations(self) -> Equations:
        return Equations(self.scope, self._searches, self._values)

    def _value(self, bound: Bound, object_: int) -> Value:
        key = object_ * STRIDE + bound.index
        known = self._values.get(key)
        if known is not None:
            return known
        if key in self._missing:
            return UNKNOWN
        if key in self._active or len(self._active) >= MAX_NESTED_GATES:
            raise _Entangled
        search = self._searches.get(key)
        if search is None:
            search = self._searches[key] = Search(bound, object_)
        value = search.run(self.scope)
        if search.gates and value is not ALLOWED:
            self._active.add(key)
            value = either(value, self._any_gate(search))
            self._active.discard(key)
        if value is UNKNOWN:
            self._missing.add(key)
        else:
            self._values[key] = value
            del self._searches[key]
        return value

    def _any_gate(self, search: Search) -> Value:
        result = DENIED
        for (gate, object_), is_certain in search.gates.items():
            value = self._gate(gate, object_)
            result = either(result, value if is_certain else at_most_conditional(value))
            if result is ALLOWED:
                break
        return result

    def _gate(self, gate: BoundGate, object_: int) -> Value:
        first, *others = gate.operands
        result = self._value(first, object_)
        for operand in others:
            if result is DENIED:
                break
            value = self._value(operand, object_)
            result = both(result, negate(value) if gate.is_exclusion else value)
        return result
