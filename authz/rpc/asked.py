"""What a request asks about, as tuple keys, for those who record and watch. Used by the step `validate`.

A member that the question leaves open is empty; `type:` stands for all objects of a type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from authz._proto.authz.v1 import authzen_pb2 as authzen
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.settings.authzen import MAX_EVALUATIONS
from authz.tuples import TupleKey

if TYPE_CHECKING:
    from google.protobuf.message import Message

    Asked = Callable[[Any], Sequence[TupleKey]]

_LONGEST = 512


def _one(request: Any) -> Sequence[TupleKey]:
    key = request.tuple_key
    return (TupleKey(key.object, key.relation, key.user),)


def _items(request: Any) -> Sequence[TupleKey]:
    return [TupleKey(key.object, key.relation, key.user) for key in (item.tuple_key for item in request.checks)]


def _expanded(request: Any) -> Sequence[TupleKey]:
    return (TupleKey(request.tuple_key.object, request.tuple_key.relation, ""),)


def _objects(request: Any) -> Sequence[TupleKey]:
    return (TupleKey(f"{request.type}:", request.relation, request.user),)


def _users(request: Any) -> Sequence[TupleKey]:
    (wanted,) = request.user_filters
    user = f"{wanted.type}:#{wanted.relation}" if wanted.relation else f"{wanted.type}:"
    return (TupleKey(f"{request.object.type}:{request.object.id}", request.relation, user),)


def _written(request: Any) -> Sequence[TupleKey]:
    named = [*request.deletes.tuple_keys, *request.writes.tuple_keys]
    return [TupleKey(key.object, key.relation, key.user) for key in named]


def _access(request: Any) -> Sequence[TupleKey]:
    return (TupleKey(_entity(request.resource), _cut(request.action.name), _entity(request.subject)),)


def _accesses(request: Any) -> Sequence[TupleKey]:
    if not request.evaluations.values:
        return _access(request)
    ((object_, relation, user),) = _access(request)
    keys = []
    for item in islice(request.evaluations.values, MAX_EVALUATIONS):
        given = item.struct_value.fields
        action = given["action"].struct_value.fields if "action" in given else None
        keys.append(
            TupleKey(
                _named(given["resource"]) if "resource" in given else object_,
                relation if action is None else _member(action, "name"),
                _named(given["subject"]) if "subject" in given else user,
            )
        )
    return keys


def _subjects(request: Any) -> Sequence[TupleKey]:
    return (TupleKey(_entity(request.resource), _cut(request.action.name), f"{_cut(request.subject.type)}:"),)


def _resources(request: Any) -> Sequence[TupleKey]:
    return (TupleKey(f"{_cut(request.resource.type)}:", _cut(request.action.name), _entity(request.subject)),)


def _actions(request: Any) -> Sequence[TupleKey]:
    return (TupleKey(_entity(request.resource), "", _entity(request.subject)),)


def _entity(message: Any) -> str:
    return f"{_cut(message.type)}:{_cut(message.id)}"


def _named(value: Any) -> str:
    members = value.struct_value.fields
    return f"{_member(members, 'type')}:{_member(members, 'id')}"


def _member(members: Any, name: str) -> str:
    return _cut(members[name].string_value) if name in members else ""


def _cut(text: str) -> str:
    """A name as far as one can be of use: callers of AuthZEN may send any."""
    return text[:_LONGEST]


_ASKED: MappingProxyType[type[Message], Asked] = MappingProxyType(
    {
        pb.CheckRequest: _one,
        pb.BatchCheckRequest: _items,
        pb.ExpandRequest: _expanded,
        pb.ListObjectsRequest: _objects,
        pb.StreamedListObjectsRequest: _objects,
        pb.ListUsersRequest: _users,
        pb.ReadRequest: _one,
        pb.WriteRequest: _written,
        authzen.EvaluationRequest: _access,
        authzen.EvaluationsRequest: _accesses,
        authzen.SubjectSearchRequest: _subjects,
        authzen.ResourceSearchRequest: _resources,
        authzen.ActionSearchRequest: _actions,
    }
)


def asked_by(request: type[Message]) -> Asked | None:
    """How to find the keys in a request of this type; None when it asks about none."""
    return _ASKED.get(request)
