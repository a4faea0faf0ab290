"""Turn the JSON form of an authorization model into a `CompiledModel`.

Called by `commands` when a model is written and when it is first used; everything below works on the compiled form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from authz.conditions import CompiledCondition, compile_condition
from authz.errors import InvalidModel
from authz.model.dependents import RelationKey, dependents
from authz.model.rewrite import (
    Computed,
    Direct,
    Exclusion,
    Intersection,
    Restriction,
    Rewrite,
    TupleToUserset,
    Union,
    leaves,
)
from authz.model.validate import validate_model
from authz.tuples import JsonValue, UserKind

SCHEMA_VERSIONS = ("1.1", "1.2")
MIN_OPERANDS = 2
MAX_NESTING = 50
"""Operators within operators; a protobuf message cannot nest deeper."""

Json = Mapping[str, JsonValue]


class Relation(NamedTuple):
    """A relation of a type. `restrictions` is empty unless the relation is assignable."""

    type: str
    name: str
    rewrite: Rewrite
    restrictions: tuple[Restriction, ...]
    module: str = ""
    """The module that declares it: its own, or else that of its type; empty in a model without modules."""

    @property
    def is_assignable(self) -> bool:
        """Whether tuples may name users of this relation directly."""
        return any(isinstance(leaf, Direct) for leaf in leaves(self.rewrite))

    def __str__(self) -> str:
        return f"{self.type}#{self.name}"


@dataclass(frozen=True, eq=False)
class CompiledModel:
    """An authorization model ready for questions. Compared by identity: models are immutable and made once."""

    id: str
    schema_version: str
    types: Mapping[str, Mapping[str, Relation]]
    conditions: Mapping[str, CompiledCondition]

    def has_type(self, type_: str) -> bool:
        """Whether the model defines the type."""
        return type_ in self.types

    def has_relation(self, type_: str, relation: str) -> bool:
        """Whether the type exists and defines the relation."""
        return relation in self.types.get(type_, {})

    def relation(self, type_: str, relation: str) -> Relation | None:
        """The relation, if the type defines it."""
        return self.types.get(type_, {}).get(relation)

    @cached_property
    def dependents(self) -> Mapping[RelationKey, tuple[RelationKey, ...]]:
        """For each relation those that are defined by it."""
        return dependents(self)

    @cached_property
    def allowed(self) -> frozenset[tuple[str, str, UserKind, str]]:
        """Every (object type, relation, user kind, condition) that a tuple may have."""
        return frozenset(
            (relation.type, relation.name, restriction.user, restriction.condition)
            for relations in self.types.values()
            for relation in relations.values()
            if relation.is_assignable
            for restriction in relation.restrictions
        )


def compile_model(model_id: str, body: Json) -> CompiledModel:
    """Compile and validate a model.

    Args:
        model_id: the model's ULID.
        body: `schema_version`, `type_definitions` and `conditions` in protobuf JSON form.

    Raises:
        InvalidModel: a rule of the modelling language is broken; the message names the type and relation.

    """
    version = body.get("schema_version")
    if version not in SCHEMA_VERSIONS:
        raise InvalidModel(f"unsupported schema version `{version}`: expected one of {', '.join(SCHEMA_VERSIONS)}")
    types: dict[str, dict[str, Relation]] = {}
    for definition in _list(body.get("type_definitions"), "type_definitions"):
        _add_type(types, _object(definition, "a type definition"))
    conditions = {
        name: compile_condition(name, dict(_object(condition, f"condition `{name}`")))
        for name, condition in _object(body.get("conditions") or {}, "conditions").items()
    }
    model = CompiledModel(model_id, version, types, conditions)
    validate_model(model)
    return model


def _add_type(types: dict[str, dict[str, Relation]], definition: Json) -> None:
    name = definition.get("type")
    if not isinstance(name, str) or not name:
        raise InvalidModel("a type definition has an empty type name")
    if name in types:
        raise InvalidModel(f"type `{name}` is defined twice")
    metadata = _object(definition.get("metadata") or {}, f"metadata of type `{name}`")
    details = _object(metadata.get("relations") or {}, f"metadata of type `{name}`")
    rewrites = _object(definition.get("relations") or {}, f"relations of type `{name}`")
    module = _module(metadata, f"type `{name}`")
    types[name] = {
        relation: _relation(name, relation, rewrite, details.get(relation), module)
        for relation, rewrite in rewrites.items()
    }


def _relation(type_: str, name: str, rewrite: JsonValue, details: JsonValue, module: str) -> Relation:
    where = f"relation `{name}` of type `{type_}`"
    if not name:
        raise InvalidModel(f"type `{type_}` defines a relation with an empty name")
    metadata = _object(details or {}, where)
    references = metadata.get("directly_related_user_types") or []
    restrictions = tuple(_restriction(_object(entry, where), where) for entry in _list(references, where))
    own = _module(metadata, where) or module
    return Relation(type_, name, _rewrite(rewrite, restrictions, where, 0), restrictions, own)


def _module(metadata: Json, where: str) -> str:
    module = metadata.get("module") or ""
    if not isinstance(module, str):
        raise InvalidModel(f"{where} has a malformed module name")
    return module


def _restriction(reference: Json, where: str) -> Restriction:
    type_, relation = reference.get("type"), reference.get("relation") or ""
    condition = reference.get("condition") or ""
    if not isinstance(type_, str) or not isinstance(relation, str) or not isinstance(condition, str):
        raise InvalidModel(f"{where} has a malformed type restriction")
    return Restriction(UserKind(type_, relation, wildcard=reference.get("wildcard") is not None), condition)


def _rewrite(node: JsonValue, restrictions: tuple[Restriction, ...], where: str, depth: int) -> Rewrite:
    members = {key: value for key, value in _object(node, where).items() if value is not None}
    if depth > MAX_NESTING:
        raise InvalidModel(f"{where} is nested deeper than {MAX_NESTING} levels")
    if len(members) != 1:
        raise InvalidModel(f"{where} has no rewrite" if not members else f"{where} mixes several rewrites in one place")
    ((operator, value),) = members.items()
    operand = _object(value, where)
    match operator:
        case "this":
            return Direct(restrictions)
        case "computedUserset" | "computed_userset":
            return Computed(_name(operand, where))
        case "tupleToUserset" | "tuple_to_userset":
            computed = operand.get("computedUserset") or operand.get("computed_userset")
            return TupleToUserset(
                _name(_object(operand.get("tupleset"), where), where), _name(_object(computed, where), where)
            )
        case "union" | "intersection":
            children = _list(operand.get("child"), where)
            if len(children) < MIN_OPERANDS:
                raise InvalidModel(f"{where} has {operator} of {len(children)} operands: at least two are needed")
            parts = tuple(_rewrite(child, restrictions, where, depth + 1) for child in children)
            return Union(parts) if operator == "union" else Intersection(parts)
        case "difference":
            return Exclusion(
                _rewrite(operand.get("base"), restrictions, where, depth + 1),
                _rewrite(operand.get("subtract"), restrictions, where, depth + 1),
            )
        case _:
            raise InvalidModel(f"{where} has an unknown rewrite `{operator}`")


def _name(node: Json, where: str) -> str:
    name = node.get("relation")
    if not isinstance(name, str) or not name:
        raise InvalidModel(f"{where} refers to a relation without naming it")
    return name


def _object(value: JsonValue, where: str) -> Json:
    if not isinstance(value, Mapping):
        raise InvalidModel(f"{where} is malformed: expected a JSON object")
    return value


def _list(value: JsonValue, where: str) -> list[JsonValue]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidModel(f"{where} is malformed: expected a JSON list")
    return value
