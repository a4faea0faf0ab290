"""Solve questions whose gates are entangled: recursion through gates, or nesting too deep for nested calls.

Every (operand, object) that the question depends on becomes an equation over others. Strongly connected parts are
solved one after another, dependencies first; within a part that has cycles the well-founded semantics decides (Van
Gelder, Ross, Schlipf 1991): a positive cycle contributes nothing, and what depends on its own negation is UNDEFINED,
thus denied. Called by `engine.evaluation`; runs without recursion, so depth is no limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import NamedTuple

from authz.engine.binding import Bound, BoundGate
from authz.engine.components import components
from authz.engine.kleene import (
    ALLOWED,
    CONDITIONAL,
    DENIED,
    UNDEFINED,
    UNKNOWN,
    Value,
    at_most_conditional,
    both,
    either,
    negate,
)
from authz.engine.scope import Scope
from authz.engine.search import Search
from authz.engine.wellfounded import Literal, Rule, WellFounded
from authz.model.plan import STRIDE

_ROOT = -1 << 80
"""Key of the equation that stands for a gate asked about as such; no (operand, object) has it."""


_VALUES = {True: ALLOWED, False: DENIED}


class _Term(NamedTuple):
    """One gate of an equation: a conjunction, or the first operand without the second."""

    is_exclusion: bool
    is_certain: bool
    operands: tuple[int, ...]


class _Equation(NamedTuple):
    """value = own, or any of the terms."""

    own: Value
    terms: tuple[_Term, ...]

    def dependencies(self) -> Iterator[int]:
        for term in self.terms:
            yield from term.operands


class Equations:
    """The system of equations below one question. Shares complete searches and settled values with its evaluation."""

    def __init__(self, scope: Scope, searches: dict[int, Search], values: dict[int, Value]) -> None:
        self._scope = scope
        self._searches = searches
        self._values = values
        self._equations: dict[int, _Equation] = {}
        # Values of this run, UNKNOWN ones included; only the others are kept for later runs.
        self._solved: dict[int, Value] = {}

    def solve(self, bound: Bound, object_: int) -> Value:
        """The value of a plan on an object."""
        self._explore([(bound, object_)])
        return self._settle(_key(bound, object_))

    def solve_gate(self, gate: BoundGate, object_: int) -> Value:
        """The value of a gate on an object."""
        self._explore([(operand, object_) for operand in gate.operands])
        self._equations[_ROOT] = _Equation(DENIED, (_term(gate, object_, is_certain=True),))
        return self._settle(_ROOT)

    def _explore(self, agenda: list[tuple[Bound, int]]) -> None:
        """Make the equations of the agenda and of everything that they depend on."""
        while agenda:
            bound, object_ = agenda.pop()
            key = _key(bound, object_)
            if key in self._equations:
                continue
            self._scope.budget.spend(1)
            known = self._values.get(key)
            if known is not None:
                self._equations[key] = _Equation(known, ())
                continue
            search = self._searches.get(key)
            if search is None:
                search = self._searches[key] = Search(bound, object_)
            own = search.run(self._scope)
            gates = {} if own is ALLOWED else search.gates
            terms = tuple(_term(gate, at, is_certain=certain) for (gate, at), certain in gates.items())
            self._equations[key] = _Equation(own, terms)
            agenda.extend((operand, at) for gate, at in gates for operand in gate.operands)

    def _settle(self, root: int) -> Value:
        """Solve everything below the root, dependencies first."""
        for component in components(root, lambda key: self._equations[key].dependencies()):
            self._scope.budget.spend(len(component))
            (key, *others) = component
            if others or key in self._equations[key].dependencies():
                self._solved.update(_Component(component, self._equations, self._solved, self._scope).solve())
            else:
                self._solved[key] = self._evaluate(self._equations[key])
        self._values.update(
            (key, value) for key, value in self._solved.items() if value is not UNKNOWN and key != _ROOT
        )
        return self._solved[root]

    def _evaluate(self, equation: _Equation) -> Value:
        result = equation.own
        for term in equation.terms:
            first, *others = (self._solved[key] for key in term.operands)
            for value in others:
                first = both(first, negate(value) if term.is_exclusion else value)
            result = either(result, first if term.is_certain else at_most_conditional(first))
        return result


class _Component:
    """A strongly connected part with cycles."""

    def __init__(
        self, keys: list[int], equations: dict[int, _Equation], solved: dict[int, Value], scope: Scope
    ) -> None:
        self._equations = {key: equations[key] for key in keys}
        self._solved = solved
        self._scope = scope

    def solve(self) -> dict[int, Value]:
        rules = [rule for key, equation in self._equations.items() for rule in self._rules(key, equation)]
        held = {key for key, equation in self._equations.items() if equation.own is ALLOWED}
        open_ = {key for key, equation in self._equations.items() if equation.own not in {ALLOWED, DENIED}}
        settled = WellFounded(list(self._equations), held, open_, rules, self._scope.budget.spend).settled
        why = self._why_open()
        return {key: _VALUES[settled[key]] if key in settled else why for key in self._equations}

    def _rules(self, key: int, equation: _Equation) -> Iterator[Rule]:
        """The terms of an equation that can still hold, over the keys of this part."""
        for term in equation.terms:
            inner: list[Literal] = []
            is_certain = term.is_certain
            for place, operand in enumerate(term.operands):
                is_positive = not (term.is_exclusion and place)
                if operand in self._equations:
                    inner.append(Literal(operand, is_positive))
                    continue
                value = self._solved[operand] if is_positive else negate(self._solved[operand])
                if value is DENIED:
                    break
                is_certain &= value is ALLOWED
            else:
                yield Rule(key, tuple(inner), is_certain)

    def _why_open(self) -> Value:
        """Why keys of this part are neither certain nor impossible: the reason to settle first."""
        why = UNDEFINED
        for equation in self._equations.values():
            reasons = [equation.own]
            reasons.extend(self._solved[key] for key in equation.dependencies() if key not in self._equations)
            if not all(term.is_certain for term in equation.terms):
                reasons.append(CONDITIONAL)
            why = reduce(either, (reason for reason in reasons if reason is not ALLOWED), why)
        return why


def _key(bound: Bound, object_: int) -> int:
    return object_ * STRIDE + bound.index


def _term(gate: BoundGate, object_: int, *, is_certain: bool) -> _Term:
    return _Term(gate.is_exclusion, is_certain, tuple(_key(operand, object_) for operand in gate.operands))
