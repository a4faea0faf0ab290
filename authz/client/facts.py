"""Tuples and their changes as calls: write, read, read changes. Made for `sync` and `aio`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import Int32Value

from authz._proto.openfga.v1 import openfga_pb2
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.client.calls import MODEL_ID, TOKEN, Call, Kind, Metadata, tuple_key, tuple_of
from authz.client.retries import Repeat
from authz.client.values import Change, Changes, StoredTuple, Tuple, Written

if TYPE_CHECKING:
    from collections.abc import Iterable

    from authz.client.questions import Place

PAGE = 100
IGNORE = "ignore"


class Page(NamedTuple):
    """A page of tuples; the token is empty on the last one."""

    tuples: tuple[StoredTuple, ...]
    continuation_token: str


def write(
    place: Place, writes: Iterable[Tuple], deletes: Iterable[Tuple], on_duplicate: str, on_missing: str
) -> Call[Written]:
    """Write."""
    request = pb.WriteRequest(store_id=place.store, authorization_model_id=place.model)
    added = [tuple_key(each) for each in writes]
    removed = [
        openfga_pb2.TupleKeyWithoutCondition(user=each.user, relation=each.relation, object=each.object)
        for each in deletes
    ]
    if added:
        request.writes.tuple_keys.extend(added)
        request.writes.on_duplicate = on_duplicate
    if removed:
        request.deletes.tuple_keys.extend(removed)
        request.deletes.on_missing = on_missing
    is_idempotent = (not added or on_duplicate == IGNORE) and (not removed or on_missing == IGNORE)
    repeat = Repeat.ALWAYS if is_idempotent else Repeat.IF_NOT_APPLIED
    return Call("Write", request, _written, Kind.WRITE, repeat, is_change=True)


def read(place: Place, user: str, relation: str, object_: str, token: str) -> Call[Page]:
    """Read, one page."""
    request = pb.ReadRequest(store_id=place.store, page_size=Int32Value(value=PAGE), continuation_token=token)
    if user or relation or object_:
        request.tuple_key.CopyFrom(pb.ReadRequestTupleKey(user=user, relation=relation, object=object_))
    return Call("Read", request, _page, Kind.QUESTION)


def read_changes(place: Place, type_: str, token: str, since: datetime | None) -> Call[Changes]:
    """ReadChanges, one page."""
    request = pb.ReadChangesRequest(
        store_id=place.store, type=type_, page_size=Int32Value(value=PAGE), continuation_token=token
    )
    if since is not None:
        if since.tzinfo is None:
            raise ValueError("`since` needs a time zone")
        request.start_time.FromDatetime(since)
    return Call("ReadChanges", request, _changes)


def moment(timestamp: Timestamp) -> datetime:
    """A time of the service, in UTC."""
    return timestamp.ToDatetime(tzinfo=UTC)


def _written(_message: pb.WriteResponse, metadata: Metadata) -> Written:
    return Written(metadata.get(TOKEN, ""), metadata.get(MODEL_ID, ""))


def _page(message: pb.ReadResponse, _metadata: Metadata) -> Page:
    found = tuple([StoredTuple(tuple_of(each.key), moment(each.timestamp)) for each in message.tuples])
    return Page(found, message.continuation_token)


def _changes(message: pb.ReadChangesResponse, _metadata: Metadata) -> Changes:
    deletion = openfga_pb2.TupleOperation.TUPLE_OPERATION_DELETE
    found = tuple(
        [
            Change(tuple_of(each.tuple_key), each.operation == deletion, moment(each.timestamp))
            for each in message.changes
        ]
    )
    return Changes(found, message.continuation_token)
