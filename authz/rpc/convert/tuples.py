"""Tuples, keys, filters and changes. Called by the handlers."""

from __future__ import annotations

from collections.abc import Iterable

from authz._proto.openfga.v1 import openfga_pb2 as pb
from authz._proto.openfga.v1 import openfga_service_pb2 as service_pb
from authz.rpc.convert.values import context_of, struct_of, timestamp_of
from authz.store.api import Change, Operation, StoredTuple, TupleFilter
from authz.tuples import RelationshipCondition, RelationshipTuple, TupleKey

_OPERATION = {
    Operation.WRITE: pb.TupleOperation.TUPLE_OPERATION_WRITE,
    Operation.DELETE: pb.TupleOperation.TUPLE_OPERATION_DELETE,
}


def tuple_of(key: pb.TupleKey) -> RelationshipTuple:
    """A tuple. A condition without a name is none: clients send it for tuples that have no condition.

    Raises:
        InvalidRequest: see `context_of`.

    """
    return RelationshipTuple(key.object, key.relation, key.user, _condition_of(key))


def tuples_of(keys: Iterable[pb.TupleKey]) -> tuple[RelationshipTuple, ...]:
    """Many tuples.

    Raises:
        InvalidRequest: see `context_of`.

    """
    return tuple([tuple_of(key) for key in keys])


def key_of(key: pb.TupleKeyWithoutCondition) -> TupleKey:
    """What identifies a tuple."""
    return TupleKey(key.object, key.relation, key.user)


def filter_of(request: service_pb.ReadRequest) -> TupleFilter | None:
    """The pattern to read by; None when the request has none."""
    if not request.HasField("tuple_key"):
        return None
    key = request.tuple_key
    return TupleFilter(key.object, key.relation, key.user)


def tuple_key_message(tuple_: RelationshipTuple) -> pb.TupleKey:
    """A tuple with its condition."""
    key = pb.TupleKey(object=tuple_.object, relation=tuple_.relation, user=tuple_.user)
    if tuple_.condition is not None:
        key.condition.name = tuple_.condition.name
        key.condition.context.CopyFrom(struct_of(tuple_.condition.context))
    return key


def stored_tuple_message(stored: StoredTuple) -> pb.Tuple:
    """A tuple with the time at which it was written."""
    return pb.Tuple(key=tuple_key_message(stored.tuple), timestamp=timestamp_of(stored.created_at))


def change_message(change: Change) -> pb.TupleChange:
    """A change; a deletion shows its tuple without the condition, as clients expect."""
    tuple_ = change.tuple
    if change.operation is Operation.DELETE:
        tuple_ = tuple_._replace(condition=None)
    return pb.TupleChange(
        tuple_key=tuple_key_message(tuple_), operation=_OPERATION[change.operation], timestamp=timestamp_of(change.time)
    )


def _condition_of(key: pb.TupleKey) -> RelationshipCondition | None:
    if not key.HasField("condition"):
        return None
    condition = key.condition
    context = context_of(condition.context, "condition.context") if condition.HasField("context") else {}
    return RelationshipCondition(condition.name, context) if condition.name or context else None
