"""Bound what one evaluation may cost, from the syntax tree and the sizes of values. Called by compile and condition.

The CEL library bounds loops to 10,000 iterations in all, and nothing else: appending in `map` copies the list each
time, `s + s` inside nested macros doubles the text, and a short regular expression can stand for a huge automaton. So
the expression is walked with the size of every value in place of the value. Each step is charged an estimate in
nanoseconds that is meant to be too high; memory follows, for whatever is built is paid for. An evaluation whose bound
exceeds `BUDGET` is not started.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from authz.conditions.syntax import Call, Collection, Comprehension, Constant, Ident, Node, Select

BUDGET = 50_000_000.0
"""Estimated nanoseconds that one evaluation may take."""

_ITERATIONS = 10_000  # the library's own budget, over all loops of an evaluation
_UNIT = 16  # bytes that every value weighs at least
_STEP = 40.0
_CALL = 300.0
_COPY_ITEM = 80.0
_PYTHON_CALL = 20_000.0  # an address or a network that is not cached; a time zone that is not loaded
_REGEX_CALL = 10_000.0
_REGEX_COMPILE = 300.0
_REGEX_MATCH = 5.0
_LARGEST_PROGRAM = 350_000  # RE2 refuses larger ones (8 MB)
_LARGEST_WEIGHT = 1 << 26

_REPETITION = re.compile(r"\{([0-9]+)(?:,([0-9]*))?\}")
_LARGEST_REPETITION = 1000  # RE2 refuses more, nested ones multiplied

_COMPARISONS = frozenset(("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"))
_LOGIC = frozenset(("_&&_", "_||_", "!_", "@not_strictly_false"))
_ARITHMETIC = frozenset(("-_", "_-_", "_*_", "_/_", "_%_"))
_TEXT_TESTS = frozenset(("matches", "contains", "startsWith", "endsWith", "in_cidr"))
_CONVERSIONS = frozenset(("int", "uint", "double", "bool", "timestamp", "duration", "type", "ipaddress"))
_SCALAR_FUNCTIONS = _COMPARISONS | _LOGIC | _ARITHMETIC | _TEXT_TESTS | _CONVERSIONS | {"@in", "size"}


class Size(NamedTuple):
    """What is known of a value: bytes it weighs, most items of any container in it, weight of its heaviest part."""

    weight: float
    items: float
    part: float


SCALAR = Size(_UNIT, 0, 0)


def measure(value: object) -> Size:
    """The size of a converted value."""
    if isinstance(value, str):
        return Size(_UNIT + (len(value) if value.isascii() else 4 * len(value)), 0, 0)
    if isinstance(value, list):
        return _gather([measure(item) for item in value], len(value))
    if isinstance(value, dict):
        return _gather([measure(part) for entry in value.items() for part in entry], len(value))
    return SCALAR


def _gather(sizes: list[Size], items: float) -> Size:
    weight = _UNIT + sum(size.weight for size in sizes)
    return Size(weight, max([items, *(size.items for size in sizes)]), max((size.weight for size in sizes), default=0))


def _element(size: Size) -> Size:
    """The heaviest element of a container; every item in it weighs something."""
    weight = max(size.part, _UNIT)
    return Size(weight, min(size.items, weight // _UNIT - 1), size.part)


def _larger(a: Size, b: Size) -> Size:
    return Size(max(a.weight, b.weight), max(a.items, b.items), max(a.part, b.part))


def program_size(pattern: str) -> int:
    """A generous estimate of the instructions that RE2 makes of a pattern."""
    size, groups = _unrepeated_size(pattern), 1
    for repetition in _REPETITION.finditer(pattern):
        low, high = repetition.groups()
        times = min(max(int(low[:5]), int(high[:5]) if high else 0, 1), _LARGEST_REPETITION)
        before = pattern[: repetition.start()]
        if before.endswith(")"):
            groups = min(groups * times, _LARGEST_REPETITION)
        elif before.endswith("]"):
            size += times * _unrepeated_size(before[max(before.find("["), 0) :])
        else:
            size += times * _unrepeated_size(before[-12:])
    return min(size * groups, _LARGEST_PROGRAM)


def _unrepeated_size(pattern: str) -> int:
    size = 1 + sum(1 if char.isascii() else 4 for char in pattern)
    size += 8 * pattern.count(".") + 12 * pattern.count("[") + 10 * pattern.count("\\")
    size += 1500 * (pattern.count("\\p") + pattern.count("\\P"))
    return size * 4 if "(?" in pattern else size


def bound(root: Node, sizes: Mapping[str, Size], texts: Mapping[str, object]) -> float:
    """The most that evaluating may cost, in estimated nanoseconds.

    `sizes` has the parameters that can be large; `texts` has the values of parameters, for the patterns among them.
    """
    walk = _Walk(sizes, texts)
    walk.cost = sum(size.weight * 4 for size in sizes.values())
    walk.visit(root, {}, 1)
    return walk.cost


def safe_weight(root: Node, names: frozenset[str]) -> int:
    """A total weight of the parameters `names` up to which no evaluation exceeds the budget; -1 when there is none."""
    safe, weight = -1, 1 << 8
    while weight <= _LARGEST_WEIGHT:
        worst = Size(weight, weight // _UNIT, weight)
        if bound(root, dict.fromkeys(names, worst), {}) > BUDGET:
            return safe
        safe, weight = weight, weight * 4
    return safe


class _Walk:
    """One pass over the tree; `cost` grows as it goes."""

    def __init__(self, sizes: Mapping[str, Size], texts: Mapping[str, object]) -> None:
        self.cost = 0.0
        self._sizes = sizes
        self._texts = texts

    def visit(self, node: Node, scope: dict[str, Size], runs: float) -> Size:
        """Charge a node that is evaluated at most `runs` times; `scope` has the variables of the macros around it."""
        self.cost += _STEP * runs
        if isinstance(node, Constant):
            return Size(_UNIT + (len(node.value) * 4 if isinstance(node.value, str | bytes) else 0), 0, 0)
        if isinstance(node, Ident):
            return scope.get(node.name) or self._sizes.get(node.name, SCALAR)
        if isinstance(node, Select):
            operand = self.visit(node.operand, scope, runs)
            self.cost += _CALL * runs
            return _element(operand)
        if isinstance(node, Collection):
            parts = [self.visit(part, scope, runs) for part in node.parts]
            self.cost += _COPY_ITEM * len(parts) * runs
            return _gather(parts, len(parts))
        if isinstance(node, Comprehension):
            return self._loop(node, scope, runs)
        return self._call(node, scope, runs)

    def _loop(self, node: Comprehension, scope: dict[str, Size], runs: float) -> Size:
        source = self.visit(node.iter_range, scope, runs)
        start = self.visit(node.accu_init, scope, runs)
        rounds = min(source.items, _ITERATIONS)
        inner = min(runs * source.items, _ITERATIONS)
        body = {**scope, node.iter_var: _element(source), node.accu_var: start}
        self.visit(node.loop_condition, body, inner)
        if isinstance(node.accu_init, Collection):
            appended = self._appended(node, body, inner)
            # every append copies what is there already
            self.cost += _COPY_ITEM * rounds * inner
            end = Size(_UNIT + rounds * appended.weight, max(rounds, appended.items), appended.part)
        else:
            end = _larger(start, self.visit(node.loop_step, body, inner))
        return self.visit(node.result, {**scope, node.accu_var: end}, runs)

    def _appended(self, node: Comprehension, body: dict[str, Size], runs: float) -> Size:
        """What one round of `map` or `filter` adds: the step is `accu + [x]`, or `condition ? accu + [x] : accu`."""
        step = node.loop_step
        while isinstance(step, Call) and step.function == "_?_:_":
            self.visit(step.args[0], body, runs)
            step = step.args[1]
        if isinstance(step, Call) and step.function == "_+_" and step.args[0] == Ident(node.accu_var):
            return self.visit(step.args[1], body, runs)
        self.cost = float("inf")
        return SCALAR

    def _call(self, node: Call, scope: dict[str, Size], runs: float) -> Size:
        args = [self.visit(arg, scope, runs) for arg in node.args]
        self.cost += self._charge(node, args, scope) * runs
        if node.function in _SCALAR_FUNCTIONS or node.function.startswith("get"):
            return SCALAR
        if node.function == "_?_:_":
            return _larger(args[1], args[2])
        if node.function == "_[_]":
            return _element(args[0])
        if node.function == "_+_":
            part = max(args[0].part, args[1].part)
            return Size(args[0].weight + args[1].weight, args[0].items + args[1].items, part)
        return Size(_UNIT + sum(arg.weight for arg in args), max(a.items for a in args), max(a.part for a in args))

    def _charge(self, node: Call, args: list[Size], scope: dict[str, Size]) -> float:
        function = node.function
        weight = sum(arg.weight for arg in args)
        if function in _LOGIC or function == "_?_:_":
            return 0.0
        if function == "_+_":
            return weight + _COPY_ITEM * (args[0].items + args[1].items)
        if function in _COMPARISONS:
            return min(args[0].weight, args[1].weight) * (8.0 if args[0].items and args[1].items else 1.0)
        if function == "@in":
            compared = min(args[0].weight, args[1].part) * (8.0 if args[0].items else 1.0)
            return (args[1].items + 1) * (_STEP + compared) + args[0].weight
        if function == "_[_]":
            return _CALL + args[1].weight
        if function == "contains":
            return weight + args[0].weight * args[1].weight * 0.02
        if function == "matches":
            program = self._program(node.args[-1], scope)
            return _REGEX_CALL + program * (_REGEX_COMPILE + args[0].weight * _REGEX_MATCH)
        if function in {"in_cidr", "ipaddress"} or function.startswith("get"):
            return _PYTHON_CALL + weight
        return _CALL + 2 * weight

    def _program(self, pattern: Node, scope: dict[str, Size]) -> int:
        text: object = None
        if isinstance(pattern, Constant):
            text = pattern.value
        elif isinstance(pattern, Ident) and pattern.name not in scope:
            text = self._texts.get(pattern.name)
        return program_size(text) if isinstance(text, str) else _LARGEST_PROGRAM
