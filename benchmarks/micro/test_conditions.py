"""Conditions: compiled, and evaluated with contexts of a tuple and of a request."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from authz.conditions import CompiledCondition, State, compile_condition
from authz.tuples import JsonValue


def _condition(expression: str, **parameters: str) -> dict[str, JsonValue]:
    types: dict[str, JsonValue] = {}
    for name, kind in parameters.items():
        outer, _, inner = kind.partition(" of ")
        reference: dict[str, JsonValue] = {"type_name": f"TYPE_NAME_{outer.upper()}"}
        if inner:
            reference["generic_types"] = [{"type_name": f"TYPE_NAME_{inner.upper()}"}]
        types[name] = reference
    return {"name": "c", "expression": expression, "parameters": types}


_CASES: dict[str, tuple[dict[str, JsonValue], dict[str, JsonValue], dict[str, JsonValue]]] = {
    "compare": (_condition("level >= least", level="int", least="int"), {"least": 3}, {"level": 5}),
    "expiry": (
        _condition("now < given + length", now="timestamp", given="timestamp", length="duration"),
        {"given": "2025-01-01T00:00:00Z", "length": "24h"},
        {"now": "2025-01-01T12:00:00Z"},
    ),
    "address": (
        _condition("address.in_cidr(network)", address="ipaddress", network="string"),
        {"network": "10.0.0.0/8"},
        {"address": "10.1.2.3"},
    ),
    "list": (
        _condition("region in allowed", region="string", allowed="list of string"),
        {"allowed": [f"region-{number}" for number in range(20)]},
        {"region": "region-19"},
    ),
}


def _compiled(case: str) -> CompiledCondition:
    return compile_condition("c", _CASES[case][0])


@pytest.mark.parametrize("case", _CASES)
def test_evaluate(benchmark: BenchmarkFixture, case: str) -> None:
    """A condition that holds."""
    _, stored, given = _CASES[case]
    assert benchmark(_compiled(case).evaluate, stored, given).state is State.MET


def test_evaluate_missing(benchmark: BenchmarkFixture) -> None:
    """A condition whose parameter nobody gives."""
    assert benchmark(_compiled("compare").evaluate, {"least": 3}, {}).state is State.MISSING


def test_compile(benchmark: BenchmarkFixture) -> None:
    """A condition made ready."""
    assert benchmark(_compiled, "expiry").name == "c"
