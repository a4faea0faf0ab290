"""An access in the terms of AuthZEN, and the question of the engine that it is. Used by `evaluations` and `searches`.

A subject is a user, a resource is an object, an action is a relation. Names come from callers that know nothing of
tuples: whatever would read as a userset, as a wildcard or as another type is refused, never asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from authz.commands.decision import Question
from authz.errors import InvalidRequest, RelationNotFound, TypeNotFound
from authz.model.compile import CompiledModel
from authz.model.tuples import object_problem, user_problem
from authz.tuples import JsonValue

_SHOWN = 128
_NOTHING: Mapping[str, JsonValue] = {}
SUBJECT, RESOURCE, ACTION = "subject_", "resource_", "action_"
"""How the names of parameters begin that only properties give."""


class Entity(NamedTuple):
    """A subject or a resource. The id is empty for one that is searched for."""

    type: str
    id: str = ""
    properties: Mapping[str, JsonValue] = _NOTHING


class Action(NamedTuple):
    """What is to be done. The name is empty where actions are searched for."""

    name: str
    properties: Mapping[str, JsonValue] = _NOTHING


class Access(NamedTuple):
    """May the subject perform the action on the resource, in this context."""

    subject: Entity
    action: Action
    resource: Entity
    context: Mapping[str, JsonValue] = _NOTHING


def question_of(model: CompiledModel, parameters: Iterable[str], access: Access) -> Question:
    """The question that an access is.

    Args:
        model: what defines types and relations.
        parameters: see `parameters_of`.
        access: with all its names.

    Raises:
        TypeNotFound, RelationNotFound: the model does not define the type or the action.
        InvalidRequest: no tuple can hold such an id.

    """
    subject, action, resource, _ = access
    check_action(model, resource.type, action.name)
    user, object_ = user_name(model, subject), object_name(model, resource)
    return Question(object_, action.name, user, (), context_of(parameters, access))


def check_action(model: CompiledModel, type_: str, action: str) -> None:
    """Refuse an action that the type of the resource does not define.

    Raises:
        TypeNotFound, RelationNotFound: as they say.

    """
    check_type(model, type_)
    if not model.has_relation(type_, action):
        raise RelationNotFound(f"action `{action[:_SHOWN]}` is not defined for resources of type `{type_}`")


def check_type(model: CompiledModel, type_: str) -> None:
    """Refuse a type that the model does not define.

    Raises:
        TypeNotFound: as it says.

    """
    if not model.has_type(type_):
        raise TypeNotFound(f"type `{type_[:_SHOWN]}` is not defined")


def user_name(model: CompiledModel, subject: Entity) -> str:
    """The user that a subject is: never a userset or a wildcard.

    Raises:
        TypeNotFound: the model does not define its type.
        InvalidRequest: no tuple can hold its id.

    """
    check_type(model, subject.type)
    name = f"{subject.type}:{subject.id}"
    # INVARIANT: without `#` and a leading `*`, a well-formed user is an object. The form excludes a further colon.
    if "#" in subject.id or subject.id.startswith("*") or user_problem(model, name):
        raise _unusable("subject", subject.id)
    return name


def object_name(model: CompiledModel, resource: Entity) -> str:
    """The object that a resource is.

    Raises:
        TypeNotFound: the model does not define its type.
        InvalidRequest: no tuple can hold its id.

    """
    check_type(model, resource.type)
    name = f"{resource.type}:{resource.id}"
    if object_problem(name):
        raise _unusable("resource", resource.id)
    return name


def parameters_of(model: CompiledModel) -> tuple[str, ...]:
    """The names that conditions of the model ask for: nothing else of a request's properties makes a difference."""
    return tuple({name for condition in model.conditions.values() for name in condition.parameters})


def context_of(parameters: Iterable[str], access: Access) -> Mapping[str, JsonValue]:
    """The context of conditions: of a name that begins like a property, only the property counts.

    So nothing in `context` can pass itself off as a property, and no property as another entity's or as context.
    """
    found: dict[str, JsonValue] = {}
    for name in parameters:
        values, key = _source(access, name)
        if key in values:
            found[name] = values[key]
    return found or _NOTHING


def _source(access: Access, name: str) -> tuple[Mapping[str, JsonValue], str]:
    """Where the value of a parameter stands, and by which name."""
    if name.startswith(SUBJECT):
        return access.subject.properties, name[len(SUBJECT) :]
    if name.startswith(RESOURCE):
        return access.resource.properties, name[len(RESOURCE) :]
    if name.startswith(ACTION):
        return access.action.properties, name[len(ACTION) :]
    return access.context, name


def _unusable(what: str, id_: str) -> InvalidRequest:
    return InvalidRequest(f"id `{id_[:_SHOWN]}` of the {what} has a form or a length that no tuple can hold")
