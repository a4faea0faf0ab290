"""Subjects, actions, resources and contexts, from messages and from JSON to what the commands take. Called by the
handlers.

The evaluations of a batch are read one by one, so that one which cannot be read is an answer, not the end of the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from google.protobuf.struct_pb2 import Struct, Value

from authz._proto.authz.v1 import authzen_pb2 as pb
from authz.commands.accesses import Access, Action, Entity
from authz.errors import InvalidRequest
from authz.rpc.convert.values import context_of
from authz.tuples import JsonValue

Part = TypeVar("Part")

_NOTHING: Mapping[str, JsonValue] = {}
_KINDS = {
    "string_value": "a string",
    "number_value": "a number",
    "bool_value": "a boolean",
    "list_value": "an array",
    "struct_value": "an object",
}


def access_of(request: pb.EvaluationRequest | pb.EvaluationsRequest) -> Access:
    """The one access of a request.

    Raises:
        InvalidRequest: a part is missing, or the context of conditions is not fit for them.

    """
    return Access(
        entity_of(_present(request, "subject"), "subject"),
        action_of(_present(request, "action")),
        entity_of(_present(request, "resource"), "resource"),
        surroundings(request),
    )


def accesses_of(request: pb.EvaluationsRequest) -> list[Access | InvalidRequest]:
    """The accesses of a batch, with an error in the place of each that cannot be read."""
    defaults = _Defaults(request)
    return [_read(defaults, item) for item in request.evaluations.values]


def entity_of(message: pb.Subject | pb.Resource, name: str) -> Entity:
    """A subject or a resource.

    Raises:
        InvalidRequest: its type or its id is missing, or its properties are not fit for conditions.

    """
    for member, given in (("type", message.type), ("id", message.id)):
        if not given:
            raise _missing(f"{name}.{member}")
    return Entity(message.type, message.id, _properties(message, name))


def searched(message: pb.SearchedEntity, name: str) -> Entity:
    """What is searched for.

    Raises:
        InvalidRequest: its properties are not fit for conditions.

    """
    return Entity(message.type, "", _properties(message, name))


def action_of(message: pb.Action) -> Action:
    """An action.

    Raises:
        InvalidRequest: its name is missing, or its properties are not fit for conditions.

    """
    if not message.name:
        raise _missing("action.name")
    return Action(message.name, _properties(message, "action"))


def surroundings(request: Any) -> Mapping[str, JsonValue]:
    """The context that a request of any kind gives.

    Raises:
        InvalidRequest: it is not fit for conditions.

    """
    return context_of(request.context) if request.HasField("context") else _NOTHING


class _Defaults:
    """What stands in for members that an evaluation lacks: each is read once, when it is wanted."""

    def __init__(self, request: pb.EvaluationsRequest) -> None:
        self._request = request
        self._known: dict[str, Any] = {}

    def find(self, name: str, read: Callable[[Any], Part]) -> Part:
        """The default for a member.

        Raises:
            InvalidRequest: there is none, or it cannot be used.

        """
        if name not in self._known:
            try:
                self._known[name] = read(_present(self._request, name))
            except InvalidRequest as error:
                self._known[name] = error
        known = self._known[name]
        if isinstance(known, InvalidRequest):
            # An error of its own for each: one that is raised again and again grows with its traceback.
            raise InvalidRequest(known.message)
        found: Part = known
        return found

    @property
    def context(self) -> Mapping[str, JsonValue]:
        """The default for the context."""
        return self.find("context", context_of) if self._request.HasField("context") else _NOTHING


def _read(defaults: _Defaults, item: Value) -> Access | InvalidRequest:
    try:
        return _access(defaults, _members(item, "evaluation"))
    except InvalidRequest as error:
        return error.with_traceback(None)  # which would keep the frames of all items


def _access(defaults: _Defaults, members: Mapping[str, Value]) -> Access:
    def entity(name: str) -> Entity:
        if name not in members:
            return defaults.find(name, lambda message: entity_of(message, name))
        given = _members(members[name], name)
        return Entity(_text(given, "type", name), _text(given, "id", name), _object(given, "properties", name))

    def action() -> Action:
        if "action" not in members:
            return defaults.find("action", action_of)
        given = _members(members["action"], "action")
        return Action(_text(given, "name", "action"), _object(given, "properties", "action"))

    context = _object(members, "context") if "context" in members else defaults.context
    return Access(entity("subject"), action(), entity("resource"), context)


def _members(value: Value, path: str) -> Mapping[str, Value]:
    # INVARIANT: a null never means the default: who sends it has no subject, and must not get another one.
    if value.WhichOneof("kind") != "struct_value":
        raise _of_wrong_kind(path, value, "an object")
    found: Mapping[str, Value] = value.struct_value.fields
    return found


def _text(members: Mapping[str, Value], name: str, path: str) -> str:
    if name not in members:
        raise _missing(f"{path}.{name}")
    value = members[name]
    if value.WhichOneof("kind") != "string_value":
        raise _of_wrong_kind(f"{path}.{name}", value, "a string")
    if not value.string_value:
        raise _missing(f"{path}.{name}")
    return value.string_value


def _object(members: Mapping[str, Value], name: str, path: str = "") -> Mapping[str, JsonValue]:
    if name not in members:
        return _NOTHING
    value, where = members[name], f"{path}.{name}" if path else name
    kind = value.WhichOneof("kind")
    if kind == "null_value":
        return _NOTHING
    if kind != "struct_value":
        raise _of_wrong_kind(where, value, "an object")
    return _plain(value.struct_value, where)


def _properties(message: Any, name: str) -> Mapping[str, JsonValue]:
    return _plain(message.properties, f"{name}.properties") if message.HasField("properties") else _NOTHING


def _plain(struct: Struct, where: str) -> Mapping[str, JsonValue]:
    return context_of(struct, where)


def _present(request: Any, name: str) -> Any:
    if not request.HasField(name):
        raise _missing(name)
    return getattr(request, name)


def _missing(path: str) -> InvalidRequest:
    return InvalidRequest(f"`{path}` is missing")


def _of_wrong_kind(path: str, value: Value, wanted: str) -> InvalidRequest:
    found = _KINDS.get(value.WhichOneof("kind") or "", "null")
    return InvalidRequest(f"`{path}` is {found}: expected {wanted}")
