"""Whether names and tuples are well formed and allowed by a model. Called by every command before anything else.

Functions named `*_problem` return what is wrong as text, or None, so that each caller raises the error its API demands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from authz.errors import InvalidRequest, InvalidTuple, RelationNotFound, TypeNotFound
from authz.model.compile import CompiledModel
from authz.tuples import (
    RelationshipCondition,
    RelationshipTuple,
    TupleKey,
    UserKind,
    object_type,
    split_userset,
    user_kind,
)

# An id is free text without the characters that separate the parts of a tuple; `*` alone means everybody.
_TYPE = r"[^:#@*\s\x00-\x1f\x7f]{1,254}"
_ID = r"[^:#*\s\x00-\x1f\x7f][^:#\s\x00-\x1f\x7f]*"
_RELATION = r"[^:#@*\s\x00-\x1f\x7f]{1,50}"
_OBJECT = re.compile(rf"{_TYPE}:{_ID}")
_USER = re.compile(rf"{_TYPE}:(?:\*|{_ID}(?:#{_RELATION})?)")
MAX_OBJECT_LENGTH = 256
MAX_USER_LENGTH = 512


def object_problem(name: str) -> str | None:
    """What is wrong with an object `type:id`; wildcards are not objects."""
    if len(name) > MAX_OBJECT_LENGTH or not _OBJECT.fullmatch(name):
        return f"object `{name[:MAX_OBJECT_LENGTH]}` is not of the form `type:id`"
    return None


def user_problem(model: CompiledModel, user: str) -> str | None:
    """What is wrong with a user: its form, its type or its userset's relation."""
    # No character takes more than four bytes.
    if 4 * len(user) > MAX_USER_LENGTH and len(user.encode(errors="replace")) > MAX_USER_LENGTH:
        return f"user `{user[:MAX_OBJECT_LENGTH]}…` is longer than {MAX_USER_LENGTH} bytes"
    if not _USER.fullmatch(user):
        return f"user `{user[:MAX_USER_LENGTH]}` is none of `type:id`, `type:id#relation` and `type:*`"
    name, relation = split_userset(user)
    type_ = object_type(name)
    if not model.has_type(type_):
        return f"type `{type_}` of user `{user}` is not defined"
    if relation and not model.has_relation(type_, relation):
        return f"relation `{type_}#{relation}` of user `{user}` is not defined"
    return None


def tuple_problem(model: CompiledModel, tuple_: RelationshipTuple) -> str | None:
    """What is wrong with a tuple under the model: names, type restriction or condition."""
    problem = user_problem(model, tuple_.user) or object_problem(tuple_.object)
    if problem:
        return problem
    type_ = object_type(tuple_.object)
    if not model.has_type(type_):
        return f"type `{type_}` of object `{tuple_.object}` is not defined"
    if not model.has_relation(type_, tuple_.relation):
        return f"relation `{type_}#{tuple_.relation}` is not defined"
    return _restriction_problem(model, tuple_, type_)


def _restriction_problem(model: CompiledModel, tuple_: RelationshipTuple, type_: str) -> str | None:
    kind = user_kind(tuple_.user)
    condition = tuple_.condition
    if condition is not None and not condition.name:
        return "its condition has no name"
    if (type_, tuple_.relation, kind, condition.name if condition else "") in model.allowed:
        return _condition_problem(model, condition) if condition else None
    relation = f"{type_}#{tuple_.relation}"
    if condition and condition.name not in model.conditions:
        return f"condition `{condition.name}` is not defined"
    if _is_allowed_otherwise(model, type_, tuple_.relation, kind):
        given = f"with condition `{condition.name}`" if condition else "without a condition"
        return f"relation `{relation}` does not allow user `{tuple_.user}` {given}"
    return f"relation `{relation}` does not allow users of kind `{kind}` such as `{tuple_.user}`"


def _is_allowed_otherwise(model: CompiledModel, type_: str, relation: str, kind: UserKind) -> bool:
    names = ("", *model.conditions)
    return any((type_, relation, kind, name) in model.allowed for name in names)


def _condition_problem(model: CompiledModel, condition: RelationshipCondition) -> str | None:
    try:
        model.conditions[condition.name].check_context(condition.context)
    except InvalidRequest as error:
        return error.message
    return None


def check_tuple(model: CompiledModel, tuple_: RelationshipTuple) -> None:
    """Refuse a tuple to write that the model does not allow.

    Raises:
        InvalidRequest: naming the tuple and what is wrong with it.

    """
    problem = tuple_problem(model, tuple_)
    if problem:
        raise InvalidRequest(f"invalid tuple `{tuple_.key}`: {problem}")


def check_contextual_tuples(model: CompiledModel, tuples: Sequence[RelationshipTuple]) -> None:
    """Refuse contextual tuples that the model does not allow, and a key that comes twice with different conditions.

    Raises:
        InvalidTuple: naming the tuple and what is wrong with it.

    """
    seen: dict[TupleKey, RelationshipTuple] = {}
    for tuple_ in tuples:
        problem = tuple_problem(model, tuple_)
        if problem:
            raise InvalidTuple(f"invalid contextual tuple `{tuple_.key}`: {problem}")
        if seen.setdefault(tuple_.key, tuple_) != tuple_:
            raise InvalidTuple(f"contextual tuple `{tuple_.key}` is given twice, with different conditions")


def check_question(model: CompiledModel, object_: str, relation: str, user: str) -> None:
    """Refuse a check when a part is malformed or not defined by the model.

    Raises:
        InvalidRequest: naming the part.

    """
    problem = user_problem(model, user)
    if problem:
        raise InvalidRequest(problem)
    check_target(model, object_, relation)


def check_target(model: CompiledModel, object_: str, relation: str) -> None:
    """Refuse an object and relation that are malformed or not defined by the model.

    Raises:
        InvalidRequest: naming the part.

    """
    problem = object_problem(object_)
    if problem:
        raise InvalidRequest(problem)
    type_ = object_type(object_)
    if not model.has_type(type_):
        raise InvalidRequest(f"type `{type_}` is not defined")
    if not model.has_relation(type_, relation):
        raise InvalidRequest(f"relation `{type_}#{relation}` is not defined")


def check_relation(model: CompiledModel, type_: str, relation: str) -> None:
    """Refuse a type and relation that the model does not define, in the words of the list calls.

    Raises:
        TypeNotFound: the type is not defined.
        RelationNotFound: the relation is not defined.

    """
    if not model.has_type(type_):
        raise TypeNotFound(f"type `{type_}` is not defined")
    if not model.has_relation(type_, relation):
        raise RelationNotFound(f"relation `{type_}#{relation}` is not defined")
