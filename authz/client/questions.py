"""The questions as calls: check, batch check, list objects, list users. Made for `sync` and `aio`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from authz._proto.openfga.v1 import openfga_pb2
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.client.calls import MODEL_ID, TOKEN, TRUNCATED, Call, Kind, Metadata, contextual, struct
from authz.client.errors import InvalidRequest, MalformedAnswer, ServiceFailed, Truncated
from authz.client.values import NO_CONTEXT, Check, Decision, JsonValue, Listing, Tuple
from authz.codes import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_BATCH = 50
"""How many questions go into one call; more are asked in several, at one revision."""


class Place(NamedTuple):
    """The store that is asked, and the model if one is fixed."""

    store: str
    model: str = ""


def check(place: Place, asked: Check) -> Call[Decision]:
    """Check."""
    request = pb.CheckRequest(
        store_id=place.store,
        authorization_model_id=place.model,
        tuple_key=_key(asked),
        contextual_tuples=contextual(asked.contextual_tuples),
        context=struct(asked.context) if asked.context else None,
    )
    return Call("Check", request, _decision, Kind.QUESTION)


def batch(place: Place, asked: Sequence[Check]) -> Call[list[Decision]]:
    """BatchCheck; the answers come in the order of the questions."""
    items = [
        pb.BatchCheckItem(
            tuple_key=_key(each),
            contextual_tuples=contextual(each.contextual_tuples),
            context=struct(each.context) if each.context else None,
            correlation_id=str(index),
        )
        for index, each in enumerate(asked)
    ]
    request = pb.BatchCheckRequest(store_id=place.store, authorization_model_id=place.model, checks=items)

    def read(message: pb.BatchCheckResponse, metadata: Metadata) -> list[Decision]:
        if len(message.result) != len(items):
            raise MalformedAnswer(f"{len(items)} checks were asked for, and {len(message.result)} answered")
        return [_item(message, item.correlation_id, metadata) for item in items]

    return Call("BatchCheck", request, read, Kind.QUESTION)


def chunks(asked: Sequence[Check]) -> list[Sequence[Check]]:
    """A batch of any size as batches that the service takes."""
    return [asked[start : start + MAX_BATCH] for start in range(0, len(asked), MAX_BATCH)]


def list_objects(
    place: Place,
    user: str,
    relation: str,
    type_: str,
    *,
    context: Mapping[str, JsonValue] = NO_CONTEXT,
    contextual_tuples: Iterable[Tuple] = (),
) -> Call[Listing]:
    """ListObjects."""
    request = pb.ListObjectsRequest(
        type=type_, relation=relation, user=user, **_given(place, context, contextual_tuples)
    )

    def read(message: pb.ListObjectsResponse, metadata: Metadata) -> Listing:
        for name in message.objects:
            check_of_type(name, type_)
        return _listing(tuple(message.objects), metadata)

    return Call("ListObjects", request, read, Kind.QUESTION)


def stream_objects(
    place: Place,
    user: str,
    relation: str,
    type_: str,
    *,
    context: Mapping[str, JsonValue] = NO_CONTEXT,
    contextual_tuples: Iterable[Tuple] = (),
) -> Call[str]:
    """StreamedListObjects: `read` is for one message."""
    request = pb.StreamedListObjectsRequest(
        type=type_, relation=relation, user=user, **_given(place, context, contextual_tuples)
    )

    def read(message: pb.StreamedListObjectsResponse, _metadata: Metadata) -> str:
        return check_of_type(message.object, type_)

    return Call("StreamedListObjects", request, read, Kind.QUESTION)


def list_users(
    place: Place,
    object_: str,
    relation: str,
    user_type: str,
    *,
    user_relation: str = "",
    context: Mapping[str, JsonValue] = NO_CONTEXT,
    contextual_tuples: Iterable[Tuple] = (),
) -> Call[Listing]:
    """ListUsers; the names are `user:anne`, `group:eng#member` and `user:*`."""
    type_, _, id_ = object_.partition(":")
    request = pb.ListUsersRequest(
        store_id=place.store,
        authorization_model_id=place.model,
        object=openfga_pb2.Object(type=type_, id=id_),
        relation=relation,
        user_filters=[openfga_pb2.UserTypeFilter(type=user_type, relation=user_relation)],
        contextual_tuples=_keys(contextual_tuples),
        context=struct(context) if context else None,
    )

    def read(message: pb.ListUsersResponse, metadata: Metadata) -> Listing:
        return _listing(tuple([_user(user) for user in message.users]), metadata)

    return Call("ListUsers", request, read, Kind.QUESTION)


def check_of_type(name: str, type_: str) -> str:
    """The name of an object that must be of the type.

    Raises:
        MalformedAnswer: it is not.

    """
    if not name.startswith(f"{type_}:") or len(name) == len(type_) + 1:
        raise MalformedAnswer(f"`{name}` is not an object of type `{type_}`")
    return name


def ids(listing: Listing, type_: str) -> frozenset[str]:
    """The ids of the objects of a whole list.

    Raises:
        Truncated: it is not whole.

    """
    if listing.truncated:
        raise Truncated(f"the list was cut short: {listing.truncated}", listing.truncated, listing.names)
    return frozenset([name[len(type_) + 1 :] for name in listing.names])


def _key(asked: Check) -> pb.CheckRequestTupleKey:
    if not isinstance(asked.contextual_tuples, tuple | list):
        raise InvalidRequest("contextual tuples are given as a list")
    return pb.CheckRequestTupleKey(user=asked.user, relation=asked.relation, object=asked.object)


def _keys(tuples: Iterable[Tuple]) -> list[openfga_pb2.TupleKey]:
    keys = contextual(tuples)
    return list(keys.tuple_keys) if keys else []


def _given(place: Place, context: Mapping[str, JsonValue], contextual_tuples: Iterable[Tuple]) -> dict[str, Any]:
    return {
        "store_id": place.store,
        "authorization_model_id": place.model,
        "contextual_tuples": contextual(contextual_tuples),
        "context": struct(context) if context else None,
    }


def _decision(message: pb.CheckResponse, metadata: Metadata) -> Decision:
    return Decision(message.allowed, metadata.get(MODEL_ID, ""), metadata.get(TOKEN, ""))


def _item(message: pb.BatchCheckResponse, name: str, metadata: Metadata) -> Decision:
    # Asked for by `in`: looking an absent name up in a map of protobuf makes it.
    if name not in message.result:
        raise MalformedAnswer("one of the checks has no answer")
    result = message.result[name]
    model_id, token = metadata.get(MODEL_ID, ""), metadata.get(TOKEN, "")
    match result.WhichOneof("check_result"):
        case "allowed":
            return Decision(result.allowed, model_id, token)
        case "error":
            error = result.error
            if error.WhichOneof("code") == "input_error":
                refused = InvalidRequest(error.message, name_of(error.input_error))
                return Decision(allowed=False, model_id=model_id, token=token, error=refused)
            failed = ServiceFailed(error.message, name_of(error.internal_error))
            return Decision(allowed=False, model_id=model_id, token=token, error=failed)
        case _:
            raise MalformedAnswer("one of the checks has neither an answer nor an error")


def _listing(names: tuple[str, ...], metadata: Metadata) -> Listing:
    return Listing(names, metadata.get(TRUNCATED, ""), metadata.get(MODEL_ID, ""), metadata.get(TOKEN, ""))


def _user(user: openfga_pb2.User) -> str:
    match user.WhichOneof("user"):
        case "object":
            return f"{user.object.type}:{user.object.id}"
        case "userset":
            return f"{user.userset.type}:{user.userset.id}#{user.userset.relation}"
        case "wildcard":
            return f"{user.wildcard.type}:*"
        case _:
            raise MalformedAnswer("one of the users has no name")
