"""A JSON model as a tree; whatever shape the JSON has, the outcome is a tree or errors, never a traceback.

Called by the package's `json_to_dsl`, `validate_json` and `module_names`. Accepts the member names of the OpenFGA API
(`schema_version`, `tupleToUserset`) in snake case and camel case alike; absent, null and empty members are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schema_dsl.declarations import MAX_NESTING
from schema_dsl.errors import DslError
from schema_dsl.lexer import CONTAINER_TYPES, SCALAR_TYPES
from schema_dsl.nodes import (
    Computed,
    Condition,
    Direct,
    Exclusion,
    Intersection,
    Model,
    Name,
    Origin,
    Parameter,
    Relation,
    Restriction,
    Rewrite,
    TupleToUserset,
    TypeDef,
    Union,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

PARAMETER_TYPES = frozenset({*SCALAR_TYPES, *CONTAINER_TYPES, "any"})
_REWRITES = ("this", "computed_userset", "tuple_to_userset", "union", "intersection", "difference")


class MalformedError(Exception):
    """A member has the wrong shape; the message names the place."""


def read_model(model: object) -> tuple[Model | None, list[DslError]]:
    """Return the tree, or None and the error that tells which member is malformed."""
    try:
        return _read(_mapping(model, "model")), []
    except MalformedError as error:
        return None, [DslError(str(error), metadata={"symbol": "", "errorType": "invalid-syntax"})]


def _read(model: Mapping[str, Any]) -> Model:
    schema = _text(model, "schema_version", "model")
    types = _list(_member(model, "type_definitions"), "type_definitions")
    conditions = _mapping(_member(model, "conditions"), "conditions")
    return Model(
        Name(schema) if schema else None,
        None,
        tuple(_type_def(item, f"type_definitions[{index}]") for index, item in enumerate(types)),
        tuple(_condition(key, value) for key, value in conditions.items()),
    )


def _type_def(item: object, place: str) -> TypeDef:
    members = _mapping(item, place)
    name = _text(members, "type", place)
    place = f"type `{name}`" if name else place
    metadata = _mapping(_member(members, "metadata"), f"metadata of {place}")
    about = _mapping(_member(metadata, "relations"), f"metadata.relations of {place}")
    relations = _mapping(_member(members, "relations"), f"relations of {place}")
    return TypeDef(
        Name(name),
        tuple(
            _relation(key, value, about.get(key), f"relation `{key}` of {place}") for key, value in relations.items()
        ),
        origin=_origin(metadata, place),
    )


def _relation(key: str, rewrite: object, about: object, place: str) -> Relation:
    metadata = _mapping(about, f"metadata of {place}")
    users = _list(_member(metadata, "directly_related_user_types"), f"directly_related_user_types of {place}")
    restrictions = tuple(_restriction(user, place) for user in users)
    return Relation(Name(key), _rewrite(rewrite, restrictions, place, 0), restrictions, _origin(metadata, place))


def _restriction(item: object, place: str) -> Restriction:
    place = f"directly_related_user_types of {place}"
    members = _mapping(item, place)
    relation, condition = _text(members, "relation", place), _text(members, "condition", place)
    wildcard = _member(members, "wildcard")
    if wildcard is not None:
        _mapping(wildcard, f"wildcard in {place}")
    return Restriction(
        Name(_text(members, "type", place)),
        Name(relation) if relation else None,
        wildcard is not None,
        Name(condition) if condition else None,
    )


def _rewrite(item: object, restrictions: tuple[Restriction, ...], place: str, level: int) -> Rewrite:
    if level > MAX_NESTING:
        raise MalformedError(f"{place} nests operators more than {MAX_NESTING} levels deep")
    members = _mapping(item, place)
    given = {name: _member(members, name) for name in _REWRITES if _member(members, name) is not None}
    if len(given) != 1:
        raise MalformedError(f"{place} must have exactly one of {', '.join(_REWRITES)}")
    kind, value = given.popitem()
    parts = _mapping(value, f"{kind} in {place}")
    if kind == "this":
        return Direct(restrictions)
    if kind == "computed_userset":
        return Computed(_referred(parts, place))
    if kind == "tuple_to_userset":
        computed, tupleset = (
            _mapping(_member(parts, name), f"{name} in {place}") for name in ("computed_userset", "tupleset")
        )
        return TupleToUserset(_referred(computed, place), _referred(tupleset, place))
    if kind == "difference":
        base, subtract = (
            _rewrite(_member(parts, name), restrictions, place, level + 1) for name in ("base", "subtract")
        )
        return Exclusion(base, subtract)
    operands = _list(_member(parts, "child"), f"{kind}.child in {place}")
    if not operands:
        raise MalformedError(f"{kind} in {place} has no operands")
    nodes = tuple(_rewrite(operand, restrictions, place, level + 1) for operand in operands)
    return Union(nodes) if kind == "union" else Intersection(nodes)


def _referred(members: Mapping[str, Any], place: str) -> Name:
    name = _text(members, "relation", place)
    if not name:
        raise MalformedError(f"a reference in {place} names no relation")
    return Name(name)


def _condition(key: str, value: object) -> Condition:
    place = f"condition `{key}`"
    members = _mapping(value, place)
    metadata = _mapping(_member(members, "metadata"), f"metadata of {place}")
    parameters = _mapping(_member(members, "parameters"), f"parameters of {place}")
    return Condition(
        Name(_text(members, "name", place)),
        tuple(_parameter(name, kind, f"parameter `{name}` of {place}") for name, kind in parameters.items()),
        _text(members, "expression", place),
        _origin(metadata, place),
        key,
    )


def _parameter(name: str, value: object, place: str) -> Parameter:
    members = _mapping(value, place)
    generics = _list(_member(members, "generic_types"), f"generic_types of {place}")
    kind = _type_word(members, place)
    if len(generics) > 1 or (kind in CONTAINER_TYPES) != bool(generics):
        raise MalformedError(f"{place} needs one generic type if it is a list or map, and none else")
    generic = _type_word(_mapping(generics[0], place), place) if generics else None
    if generic in CONTAINER_TYPES:
        raise MalformedError(f"{place} is a {kind} of {generic}, which is nested too deeply")
    return Parameter(Name(name), kind, generic)


def _type_word(members: Mapping[str, Any], place: str) -> str:
    word = _text(members, "type_name", place)
    kind = word.removeprefix("TYPE_NAME_").lower()
    if not word.startswith("TYPE_NAME_") or kind not in PARAMETER_TYPES:
        raise MalformedError(f"{place} has no known type: `{word[:60]}`")
    return kind


def _origin(metadata: Mapping[str, Any], place: str) -> Origin:
    source = _mapping(_member(metadata, "source_info"), f"source_info of {place}")
    return Origin(_text(metadata, "module", place) or None, _text(source, "file", place) or None)


def _member(members: Mapping[str, Any], name: str) -> object:
    """Return a member by its snake-case name, also if it is there in camel case; None when absent."""
    head, *rest = name.split("_")
    value = members.get(name)
    return value if value is not None else members.get(head + "".join(word.capitalize() for word in rest))


def _mapping(value: object, place: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise MalformedError(f"{place} must be an object")
    return value


def _list(value: object, place: str) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise MalformedError(f"{place} must be a list")
    return list(value)


def _text(members: Mapping[str, Any], name: str, place: str) -> str:
    value = _member(members, name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise MalformedError(f"{name} of {place} must be text")
    return value
