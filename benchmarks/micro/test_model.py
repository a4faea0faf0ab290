"""The modelling language and the compiled model."""

from __future__ import annotations

from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture

from authz.model.compile import CompiledModel, compile_model
from authz.model.plan import Plan, plans_for
from authz.tuples import UserKind
from benchmarks.micro.subjects import MODEL_ID
from benchmarks.workloads.world import World
from schema_dsl import dsl_to_json, json_to_dsl

_TYPES = 100


def _large() -> str:
    """A model of many types that refer to one another."""
    lines = [
        "model",
        "  schema 1.1",
        "type user",
        "type group",
        "  relations",
        "    define member: [user, group#member]",
    ]
    for number in range(_TYPES):
        parent = f"t{max(number - 1, 0)}"
        lines += [
            f"type t{number}",
            "  relations",
            f"    define parent: [{parent}]",
            "    define blocked: [user]",
            "    define editor: [user, group#member] or editor from parent",
            "    define viewer: ([user, user:*, group#member] or editor or viewer from parent) but not blocked",
        ]
    return "\n".join(lines) + "\n"


def test_parse_small(benchmark: BenchmarkFixture, world: World) -> None:
    """From text to the JSON form: four types."""
    assert benchmark(dsl_to_json, world.model)["schema_version"] == "1.1"


def test_parse_large(benchmark: BenchmarkFixture) -> None:
    """From text to the JSON form: a hundred types of four relations."""
    assert len(benchmark(dsl_to_json, _large())["type_definitions"]) == _TYPES + 2


def test_print_large(benchmark: BenchmarkFixture) -> None:
    """From the JSON form back to text."""
    assert benchmark(json_to_dsl, dsl_to_json(_large())).startswith("model")


def test_compile_small(benchmark: BenchmarkFixture, world: World) -> None:
    """From the JSON form to the compiled model, validated: four types."""
    assert benchmark(compile_model, MODEL_ID, dsl_to_json(world.model)).types


def test_compile_large(benchmark: BenchmarkFixture) -> None:
    """From the JSON form to the compiled model, validated: a hundred types."""
    assert benchmark(compile_model, MODEL_ID, dsl_to_json(_large())).types


def test_plan_large(benchmark: BenchmarkFixture) -> None:
    """The plan of a relation at the end of the chain of types, made anew."""
    body = dsl_to_json(_large())

    def fresh() -> tuple[tuple[CompiledModel], dict[str, object]]:
        return (compile_model(MODEL_ID, body),), {}

    def plan(model: CompiledModel) -> Plan | None:
        return plans_for(model, UserKind("user")).plan(f"t{_TYPES - 1}", "viewer")

    measure: Any = benchmark.pedantic  # has no types
    assert measure(plan, setup=fresh, rounds=5)
