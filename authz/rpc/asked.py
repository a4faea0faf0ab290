"""What a request asks about, as tuple keys, for those who record and watch. Used by the step `validate`.

A member that the question leaves open is empty; `type:` stands for all objects of a type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.tuples import TupleKey

if TYPE_CHECKING:
    from google.protobuf.message import Message

    Asked = Callable[[Any], Sequence[TupleKey]]


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
    }
)


def asked_by(request: type[Message]) -> Asked | None:
    """How to find the keys in a request of this type; None when it asks about none."""
    return _ASKED.get(request)
