"""Small models written in the DSL, compiled for engine tests."""

from __future__ import annotations

from authz.model.compile import CompiledModel, compile_model
from authz.tuples import RelationshipCondition, RelationshipTuple
from schema_dsl import dsl_to_json


def model(text: str) -> CompiledModel:
    """Compile DSL text."""
    return compile_model("MODEL", dsl_to_json(text))


def tuples(*lines: str) -> list[RelationshipTuple]:
    """Tuples from `object#relation@user` lines."""
    found = []
    for line in lines:
        left, _, user = line.partition("@")
        name, _, relation = left.partition("#")
        found.append(RelationshipTuple(name, relation, user))
    return found


def conditional(line: str, condition: str, **context: object) -> RelationshipTuple:
    """One tuple with a condition."""
    (plain,) = tuples(line)
    return plain._replace(condition=RelationshipCondition(condition, context))  # type: ignore[arg-type]
