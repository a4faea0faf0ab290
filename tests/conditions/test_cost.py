"""The bound on cost: hostile expressions are not started, ordinary ones are, and the bound holds."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from authz.conditions import State
from authz.tuples import JsonValue
from tests.conditions.build import condition

DOUBLING = (
    "[{0}+{0}].map(a,[a+a].map(b,[b+b].map(c,[c+c].map(d,[d+d].map(e,[e+e].map(f,[f+f].map(g,g.size()>0)))))))==[]"
)


@pytest.mark.parametrize(
    ("expression", "parameters", "context"),
    [
        (DOUBLING.format("l"), {"l": "list<int>"}, {"l": list(range(1000))}),
        ("[s].map(a,[a+a+a+a].map(b,[b+b+b+b].map(c,[c+c+c+c].map(d,d.size()>0))))==[]", {"s": "string"},
        {"s": "x" * 10**6}),
        ("l.map(x, x).size() > 0", {"l": "list<int>"}, {"l": list(range(9000))}),
        ("l.filter(x, x > 0).size() > 0", {"l": "list<int>"}, {"l": list(range(9000))}),
        ("l.all(x, (l+l+l+l).size() > 0)", {"l": "list<int>"}, {"l": list(range(9000))}),
        ("l.all(x, x in l)", {"l": "list<int>"}, {"l": list(range(9000))}),
        ("s.matches('(.{1000}|.{999}|.{998}|.{997}|.{996}|.{995}|.{994}|.{993})*c')", {"s": "string"},
        {"s": "ab" * 5000}),
        ("s.matches(p)", {"s": "string", "p": "string"}, {"s": "ab" * 5000, "p": "[ab]*a" + "[ab]{1000}" * 9}),
        ("s.matches(p + p)", {"s": "string", "p": "string"}, {"s": "ab" * 5000, "p": "(a?){1000}" * 9}),
        ("l.all(x, s.matches('a{1000}'))", {"l": "list<int>", "s": "string"}, {"l": [1] * 9000, "s": "a" * 9999}),
        ("['a'].all(p, s.matches(p))", {"s": "string", "p": "string"}, {"s": "a" * 9999, "p": "a"}),
        ("l.all(x, s.contains(t))", {"l": "list<int>", "s": "string", "t": "string"},
        {"l": [1] * 99, "s": "a" * 99999, "t": "a" * 9999 + "b"}),
    ],
)  # fmt: skip
def test_hostile_expressions_are_not_started(
    expression: str, parameters: dict[str, str], context: dict[str, JsonValue]
) -> None:
    """What could take seconds or gigabytes fails at once, with a stable message."""
    compiled = condition(expression, **parameters)
    started = time.perf_counter()
    outcome = compiled.evaluate({}, context)
    assert outcome == (State.FAILED, (), "condition `c`: the context is too large for the expression")
    assert time.perf_counter() - started < 1.0


def test_constant_expressions_are_bounded_too() -> None:
    """An expression that is hostile all by itself compiles, and fails whenever it is evaluated."""
    hostile = "[[1,1,1,1,1,1,1,1]].map(a," + "[a+a+a+a].map(a," * 7 + "1" + ")" * 8 + "==[]"
    started = time.perf_counter()
    assert condition(hostile).evaluate({}, {}).state is State.FAILED
    assert time.perf_counter() - started < 1.0


@pytest.mark.parametrize(
    ("expression", "parameters", "context"),
    [
        ("s in l", {"s": "string", "l": "list<string>"}, {"s": "x", "l": [f"role-{n}" for n in range(3000)]}),
        ("l.exists(x, x == s)", {"s": "string", "l": "list<string>"}, {"s": "x",
        "l": [f"role-{n}" for n in range(3000)]}),
        ("l.map(x, x + 1).size() == 0", {"l": "list<int>"}, {"l": list(range(200))}),
        ("need.all(k, k in m)", {"need": "list<string>", "m": "map<string>"},
        {"need": ["x"] * 50, "m": {str(n): "y" for n in range(99)}}),
        ("s.matches('^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z]{2,63})+$')", {"s": "string"}, {"s": "-" * 64}),
        ("l.exists(p, s.startsWith(p))", {"s": "string", "l": "list<string>"}, {"s": "/a/b", "l": ["/x"] * 1000}),
        ("path.matches(p)", {"path": "string", "p": "string"}, {"path": "/docs/1" * 10, "p": "^/files/[0-9]+(/.*)?$"}),
        ("s == 'x'", {"s": "string"}, {"s": "é" * 10**6}),
        ("l.exists(a, ipaddress('10.0.0.1').in_cidr(a))", {"l": "list<string>"}, {"l": ["10.1.0.0/16"] * 100}),
    ],
)  # fmt: skip
def test_ordinary_expressions_are_evaluated(
    expression: str, parameters: dict[str, str], context: dict[str, JsonValue]
) -> None:
    """Contexts of ordinary size are within the budget."""
    assert condition(expression, **parameters).evaluate({}, context).state is State.NOT_MET


@pytest.mark.parametrize(
    ("expression", "make"),
    [
        ("l.map(x, x).size() > 0", lambda n: list(range(n))),
        ("l.map(x, l + l).size() > 0", lambda n: list(range(n))),
        ("l.all(x, x in l)", lambda n: list(range(n))),
        ("l.all(x, l.map(y, y).size() > 0)", lambda n: list(range(n))),
        ("l.map(x, [x, x]).map(y, y + y).size() > 0", lambda n: list(range(n))),
    ],
)
def test_the_bound_holds_at_its_edge(expression: str, make: Callable[[int], JsonValue]) -> None:
    """The largest context that is let through stays within the budget of 50 ms, with room for a busy machine."""
    compiled = condition(expression, l="list<int>")
    size = 8
    while compiled.evaluate({}, {"l": make(size * 2)}).message.find("too large") < 0 and size < 10_000:
        size *= 2
    best = 1.0
    for _ in range(3):
        started = time.perf_counter()
        compiled.evaluate({}, {"l": make(size)})
        best = min(best, time.perf_counter() - started)
    assert best < 0.1
