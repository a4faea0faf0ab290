"""Assertions as values and as the JSON text that is stored. Used by `write_assertions` and `read_assertions`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from authz.tuples import JsonValue, RelationshipCondition, RelationshipTuple, TupleKey


class Assertion(NamedTuple):
    """An expected check. `context` is None when none was given."""

    key: TupleKey
    expectation: bool
    contextual_tuples: tuple[RelationshipTuple, ...] = ()
    context: dict[str, JsonValue] | None = None


def dump_assertions(assertions: Sequence[Assertion]) -> str:
    """The stored form."""
    return orjson.dumps([_dump(assertion) for assertion in assertions]).decode()


def load_assertions(text: str) -> list[Assertion]:
    """Read the stored form."""
    return [_load(entry) for entry in orjson.loads(text)]


def _dump(assertion: Assertion) -> dict[str, object]:
    entry: dict[str, object] = {"tuple_key": list(assertion.key), "expectation": assertion.expectation}
    if assertion.contextual_tuples:
        entry["contextual_tuples"] = [_dump_tuple(tuple_) for tuple_ in assertion.contextual_tuples]
    if assertion.context is not None:
        entry["context"] = assertion.context
    return entry


def _dump_tuple(tuple_: RelationshipTuple) -> list[object]:
    return [*tuple_.key, None if tuple_.condition is None else list(tuple_.condition)]


def _load(entry: dict[str, Any]) -> Assertion:
    contextual = tuple(_tuple(*parts) for parts in entry.get("contextual_tuples", ()))
    return Assertion(TupleKey(*entry["tuple_key"]), entry["expectation"], contextual, entry.get("context"))


def _tuple(object_: str, relation: str, user: str, condition: list[Any] | None) -> RelationshipTuple:
    return RelationshipTuple(object_, relation, user, RelationshipCondition(*condition) if condition else None)
