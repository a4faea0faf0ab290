"""Evaluation: operators and macros, missing parameters, precedence, failures, threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from authz.conditions import MET, NOT_MET, State
from authz.errors import InvalidRequest
from authz.tuples import JsonValue
from tests.conditions.build import condition, evaluate

Context = dict[str, JsonValue]


@pytest.mark.parametrize(
    ("expression", "parameters", "context"),
    [
        ("l.all(x, x > 0)", {"l": "list<int>"}, {"l": [1, 2]}),
        ("l.exists(x, x == 2)", {"l": "list<int>"}, {"l": [1, 2]}),
        ("l.exists_one(x, x == 2)", {"l": "list<int>"}, {"l": [1, 2]}),
        ("l.map(x, x * 2) == [2, 4]", {"l": "list<int>"}, {"l": [1, 2]}),
        ("l.map(x, x > 1, x * 2) == [4]", {"l": "list<int>"}, {"l": [1, 2]}),
        ("l.filter(x, x > 1) == [2]", {"l": "list<int>"}, {"l": [1, 2]}),
        ("m.all(k, m[k] == 'v')", {"m": "map<string>"}, {"m": {"a": "v"}}),
        ("has(m.a) && !has(m.b)", {"m": "map<string>"}, {"m": {"a": "v"}}),
        ("s.matches('^a+$') && s.startsWith('a') && s.endsWith('a') && s.contains('aa')", {"s": "string"}, {"s": "aa"}),
        ("s.size() == 1", {"s": "string"}, {"s": "é"}),
        ("x == null", {"x": "any"}, {"x": None}),
        ("x == 1 && type(x) == double", {"x": "any"}, {"x": 1}),
        ("x.a.b == 1 && x.l[0] == 'y'", {"x": "any"}, {"x": {"a": {"b": 1}, "l": ["y"]}}),
        (
            "t < t + d && t.getHours('+02:00') == 11",
            {"t": "timestamp", "d": "duration"},
            _T := {"t": "2024-01-01T09:00:00Z", "d": "1ns"},
        ),
        ("t.getHours(z) == 9", {"t": "timestamp", "z": "string"}, {**_T, "z": ""}),
        ("ip in l", {"ip": "ipaddress", "l": "list<ipaddress>"}, {"ip": "::1", "l": ["0:0::1"]}),
        ("'a' in m && m['a'] == 1u", {"m": "map<uint>"}, {"m": {"a": 1}}),
        ("false || true || x > 0", {"x": "int"}, {"x": -1}),
        ("x > 0 ? true : x == -1", {"x": "int"}, {"x": -1}),
    ],
)
def test_standard_environment(expression: str, parameters: dict[str, str], context: Context) -> None:
    """The operators, macros and functions of standard CEL work on converted parameters."""
    assert evaluate(expression, context, **parameters) is MET
    assert evaluate(f"!({expression})", context, **parameters) is NOT_MET


def test_missing_parameters() -> None:
    """Every declared parameter that nobody gives is named, sorted, even if the outcome would not depend on it."""
    compiled = condition("x == 1 || z == 1", z="int", x="int", a="int")
    assert compiled.evaluate({}, {}) == (State.MISSING, ("a", "x", "z"), "")
    assert compiled.evaluate({"x": 1}, {"z": 1}) == (State.MISSING, ("a",), "")
    assert compiled.evaluate({"x": 1, "a": 0}, {"z": 1}) is MET


def test_stored_context_wins() -> None:
    """The tuple's own context overrides the request's, also with a value that is worse."""
    compiled = condition("x == 1", x="int")
    assert compiled.evaluate({"x": 1}, {"x": 2}) is MET
    assert compiled.evaluate({"x": 2}, {"x": 1}) is NOT_MET
    assert compiled.evaluate({"x": "no"}, {"x": 1}).state is State.FAILED


def test_null_is_present() -> None:
    """A null is a value: of type any it counts, of every other type it does not convert; it is never missing."""
    assert evaluate("x == null", {"x": None}, x="any") is MET
    assert evaluate("x == 'a'", {"x": None}, x="string").state is State.FAILED
    assert condition("x == 'a'", x="string").evaluate({"x": None}, {"x": "a"}).state is State.FAILED


def test_unknown_keys_of_the_request_are_ignored() -> None:
    """A request context may hold values for other conditions, of any form."""
    assert evaluate("x == 1", {"x": 1, "y": [None]}, x="int") is MET
    assert evaluate("1 == 1", {"y": 1}) is MET


@pytest.mark.parametrize(
    ("expression", "parameters", "context", "reason"),
    [
        ("1 / x == 1", {"x": "int"}, {"x": 0}, "division by zero"),
        ("1 % x == 1", {"x": "int"}, {"x": 0}, "division by zero"),
        ("x + 1 == 1", {"x": "int"}, {"x": 2**63 - 1}, "number out of range"),
        ("uint(x) == 1u", {"x": "int"}, {"x": -1}, "number out of range"),
        ("int(x) == 1", {"x": "double"}, {"x": 1e300}, "number out of range"),
        ("t + d == t", {"t": "timestamp", "d": "duration"}, {"t": "9999-12-31T00:00:00Z",
        "d": "48h"}, "number out of range"),
        ("x.b == 1", {"x": "any"}, {"x": {"overflow": 1}}, "no such key"),
        ("x['malformed cidr'] == 1", {"x": "map<int>"}, {"x": {}}, "no such key"),
        ("x[3] == 1", {"x": "list<int>"}, {"x": []}, "index out of bounds"),
        ("x + 1 == 2", {"x": "any"}, {"x": 1}, "no operation for values of these types"),
        ("x.matches(y)", {"x": "string", "y": "string"}, {"x": "a", "y": "("}, "invalid regular expression"),
        ("int(x) == 1", {"x": "string"}, {"x": "y"}, "conversion failed"),
        ("timestamp(x) == timestamp(x)", {"x": "string"}, {"x": "y"}, "conversion failed"),
        ("ip.in_cidr(x)", {"ip": "ipaddress", "x": "string"}, {"ip": "::1", "x": "10.0.0.1"}, "malformed cidr"),
        ("ipaddress(x) == ipaddress(x)", {"x": "string"}, {"x": "010.0.0.1"}, "malformed ip address"),
        ("t.getHours(z) == 1", {"t": "timestamp", "z": "string"}, {"t": "2024-01-01T00:00:00Z",
        "z": "No/Where"}, "unknown time zone"),
        ("t.getHours(z) == 1", {"t": "timestamp", "z": "any"}, {"t": "2024-01-01T00:00:00Z",
        "z": "/proc/self/fd/0"}, "unknown time zone"),
        ("l.all(x, l.all(y, x + y < 1000))", {"l": "list<int>"}, {"l": list(range(150))}, "too many iterations"),
    ],
)  # fmt: skip
def test_failures_have_stable_words(expression: str, parameters: dict[str, str], context: Context, reason: str) -> None:
    """A failed evaluation says why in our own words, and nothing of the library's."""
    assert evaluate(expression, context, **parameters) == (State.FAILED, (), f"condition `c`: {reason}")


def test_errors_absorbed_by_logic() -> None:
    """As CEL defines, a definite operand decides `||` and `&&` even when the other fails."""
    assert evaluate("1 / x == 1 || true", {"x": 0}, x="int") is MET
    assert evaluate("1 / x == 1 && false", {"x": 0}, x="int") is NOT_MET


def test_conversion_failure_names_parameter_type_and_value() -> None:
    """The caller learns which parameter, what it should be, and what it was."""
    outcome = evaluate("x == 1", {"x": "one"}, x="int")
    assert outcome == (State.FAILED, (), 'condition `c`: parameter `x`: expected int, found `"one"`')


def test_check_context() -> None:
    """A stored context may be partial, but not foreign or of the wrong type."""
    compiled = condition("x == 1 && y == ''", x="int", y="string")
    compiled.check_context({})
    compiled.check_context({"x": "1"})
    with pytest.raises(InvalidRequest, match='has no parameter `"z"`'):
        compiled.check_context({"x": 1, "z": 1})
    with pytest.raises(InvalidRequest, match="parameter `y`: expected string, found `1`"):
        compiled.check_context({"y": 1})
    with pytest.raises(InvalidRequest, match="has no parameter"):
        condition("1 == 1").check_context({"z": 1})


def test_many_threads_share_a_condition() -> None:
    """Threads that evaluate the same condition at once get their own answers."""
    compiled = condition("ip.in_cidr(net) && l.all(x, x < n)", ip="ipaddress", net="string", l="list<int>", n="int")

    def work(seed: int) -> list[bool]:
        answers = []
        for number in range(200):
            inside, limit = (seed + number) % 2 == 0, (seed + number) % 3
            request: Context = {"ip": "10.0.0.1" if inside else "11.0.0.1", "n": limit, "l": [0, 1]}
            answers.append((compiled.evaluate({"net": "10.0.0.0/8"}, request) is MET) == (inside and limit == 2))
        return answers

    with ThreadPoolExecutor(8) as pool:
        assert all(all(answers) for answers in pool.map(work, range(16)))
