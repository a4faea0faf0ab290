"""How tuples are laid out in columns, and conditions compared. Used by the statements of `store.sql`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson

from authz.errors import InvalidRequest
from authz.tuples import JsonValue, RelationshipCondition, RelationshipTuple, TupleKey, split_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Table
    from sqlalchemy.sql import ColumnElement

TUPLE_COLUMNS = ("object_type", "object_id", "relation", "tuple_user", "condition_name", "condition_context")


def tuple_columns(table: Table) -> tuple[ColumnElement[Any], ...]:
    """The columns that `read_tuple` takes, from `tuples` or `changelog`."""
    c = table.c
    return (c.object_type + ":" + c.object_id, c.relation, c.tuple_user, c.condition_name, c.condition_context)


def read_tuple(name: str, relation: str, user: str, condition: str | None, context: str | None) -> RelationshipTuple:
    """A tuple from the columns of `tuple_columns`."""
    return RelationshipTuple(name, relation, user, read_condition(condition, context))


def read_condition(name: str | None, context: str | None) -> RelationshipCondition | None:
    """A condition from its two columns."""
    if name is None:
        return None
    return RelationshipCondition(name, orjson.loads(context) if context else {})


def key_values(key: TupleKey) -> tuple[str, str, str, str]:
    """The four columns that identify a tuple in its store."""
    return (*split_object(key.object), key.relation, key.user)


def tuple_values(item: RelationshipTuple) -> Mapping[str, str | None]:
    """The columns of a tuple, by name.

    Raises `InvalidRequest` when the context of its condition is no JSON (a number that is not finite, broken text).
    """
    kind, name = split_object(item.object)
    condition = item.condition
    return {
        "object_type": kind,
        "object_id": name,
        "relation": item.relation,
        "tuple_user": item.user,
        "condition_name": None if condition is None else condition.name,
        "condition_context": None if condition is None else _context_text(item, condition.context),
    }


def _context_text(item: RelationshipTuple, context: dict[str, JsonValue]) -> str:
    try:
        text = json.dumps(context, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"the condition context of tuple `{item.key}` cannot be stored as JSON") from error
    return text


def same_condition(one: RelationshipCondition | None, other: RelationshipCondition | None) -> bool:
    """Whether two conditions have the same name and contexts of the same JSON value."""
    if one is None or other is None:
        return one is other
    return one.name == other.name and same_json(one.context, other.context)


def same_json(one: JsonValue, other: JsonValue) -> bool:
    """Whether two JSON values are equal: numbers by value, `true` is not 1, members of an object in any order."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other
