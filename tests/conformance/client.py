"""The service as its clients see it: plain questions to one store over gRPC. Used by the tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import grpc
from google.protobuf.json_format import ParseDict
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from authz._proto.openfga.v1 import openfga_pb2 as pb
from authz._proto.openfga.v1 import openfga_service_pb2 as service
from authz._proto.openfga.v1.authzmodel_pb2 import AuthorizationModel
from authz._proto.openfga.v1.errors_ignore_pb2 import ErrorCode, InternalErrorCode, NotFoundErrorCode
from schema_dsl import dsl_to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from google.protobuf.message import Message

    from authz._proto.openfga.v1.openfga_service_pb2_grpc import OpenFGAServiceStub

Json = dict[str, Any]
Answer = TypeVar("Answer")

CALL_SECONDS = 60.0
TUPLES_PER_WRITE = 40
CHECKS_PER_BATCH = 50


class Refused(NamedTuple):
    """An error as it reached the client: the gRPC status and the reason in its details."""

    status: grpc.StatusCode
    reason: str
    message: str = ""

    def __str__(self) -> str:
        return f"{self.status.name} {self.reason}: {self.message}"


class Question(NamedTuple):
    """What every question may bring along."""

    contextual: Sequence[Json] = ()
    context: Json | None = None


Decision = bool | Refused
Listed = list[str] | Refused


def error_name(number: int) -> str:
    """The name of a code of the public interface."""
    for codes in (ErrorCode, InternalErrorCode, NotFoundErrorCode):
        for name, known in codes.items():
            if known == number:
                return name
    raise AssertionError(f"the data has the unknown code {number}")


def refused(error: grpc.RpcError) -> Refused:
    """What a failed call tells its caller."""
    assert isinstance(error, grpc.Call)
    status = rpc_status.from_call(error)
    reasons = []
    for detail in status.details if status else ():
        info = ErrorInfo()
        if detail.Unpack(info):
            reasons.append(info.reason)
    return Refused(error.code(), reasons[0] if len(reasons) == 1 else f"{len(reasons)} reasons", error.details() or "")


def model_body(model: str | Json) -> Json:
    """A model in the modelling language, or already in JSON, as JSON."""
    return dsl_to_json(model) if isinstance(model, str) else model


class RemoteStore:
    """A fresh store of a real server."""

    def __init__(self, stub: OpenFGAServiceStub, name: str) -> None:
        self._stub = stub
        self.id = stub.CreateStore(service.CreateStoreRequest(name=name), timeout=CALL_SECONDS).id
        self.model_id = ""

    def call(self, method: str, request: Message) -> Any:
        """The response of any method with one response.

        Raises:
            grpc.RpcError: see `refused`.

        """
        return getattr(self._stub, method)(request, timeout=CALL_SECONDS)

    def try_call(self, method: str, request: Message) -> Any:
        """The response, or what refused it."""
        return _or_refused(lambda: self.call(method, request))

    def write_model(self, model: str | Json) -> None:
        """Write a model; later questions name it."""
        body = ParseDict(model_body(model), AuthorizationModel(), ignore_unknown_fields=True)
        self.model_id = self.call(
            "WriteAuthorizationModel",
            service.WriteAuthorizationModelRequest(
                store_id=self.id,
                schema_version=body.schema_version,
                type_definitions=body.type_definitions,
                conditions=body.conditions,
            ),
        ).authorization_model_id

    def write(self, tuples: Sequence[Json]) -> None:
        """Write tuples with the current model."""
        for start in range(0, len(tuples), TUPLES_PER_WRITE):
            writes = service.WriteRequestWrites(tuple_keys=_keys(tuples[start : start + TUPLES_PER_WRITE]))
            self.call(
                "Write", service.WriteRequest(store_id=self.id, authorization_model_id=self.model_id, writes=writes)
            )

    def check(self, key: Mapping[str, str], asked: Question) -> Decision:
        """Check."""
        request = self._request(service.CheckRequest, asked, tuple_key=_check_key(key))
        return _or_refused(lambda: bool(self.call("Check", request).allowed))

    def batch_check(self, keys: Sequence[Mapping[str, str]], asked: Sequence[Question]) -> list[Decision]:
        """BatchCheck, in the order asked; an error of one item is its answer."""
        decisions: list[Decision] = []
        for start in range(0, len(keys), CHECKS_PER_BATCH):
            decisions += self._batch(keys[start : start + CHECKS_PER_BATCH], asked[start : start + CHECKS_PER_BATCH])
        return decisions

    def _batch(self, keys: Sequence[Mapping[str, str]], asked: Sequence[Question]) -> list[Decision]:
        items = [
            service.BatchCheckItem(tuple_key=_check_key(key), correlation_id=str(number), **_extras(question))
            for number, (key, question) in enumerate(zip(keys, asked, strict=True))
        ]
        request = service.BatchCheckRequest(store_id=self.id, authorization_model_id=self.model_id, checks=items)
        answers = self.call("BatchCheck", request).result
        assert len(answers) == len(items)
        return [_single(answers[str(number)]) for number in range(len(items))]

    def list_objects(self, request: Mapping[str, str], asked: Question) -> Listed:
        """ListObjects."""
        message = self._request(service.ListObjectsRequest, asked, **request)
        return _or_refused(lambda: list(self.call("ListObjects", message).objects))

    def streamed_list_objects(self, request: Mapping[str, str], asked: Question) -> Listed:
        """StreamedListObjects."""
        message = self._request(service.StreamedListObjectsRequest, asked, **request)
        return _or_refused(lambda: [found.object for found in self.call("StreamedListObjects", message)])

    def list_users(self, object_: str, relation: str, filter_: str, asked: Question) -> Listed:
        """ListUsers with a filter `type` or `type#relation`."""
        type_, _, id_ = object_.partition(":")
        filter_type, _, filter_relation = filter_.partition("#")
        message = service.ListUsersRequest(
            store_id=self.id,
            authorization_model_id=self.model_id,
            object=pb.Object(type=type_, id=id_),
            relation=relation,
            user_filters=[pb.UserTypeFilter(type=filter_type, relation=filter_relation)],
            contextual_tuples=_keys(asked.contextual),
            **_extras(Question(context=asked.context)),
        )
        return _or_refused(lambda: [_user(found) for found in self.call("ListUsers", message).users])

    def _request(self, type_: Callable[..., Message], asked: Question, **fields: Any) -> Message:
        return type_(store_id=self.id, authorization_model_id=self.model_id, **fields, **_extras(asked))


def _or_refused(call: Callable[[], Answer]) -> Answer | Refused:
    try:
        return call()
    except grpc.RpcError as error:
        return refused(error)


def _extras(asked: Question) -> dict[str, Any]:
    extras: dict[str, Any] = {}
    if asked.contextual:
        extras["contextual_tuples"] = pb.ContextualTupleKeys(tuple_keys=_keys(asked.contextual))
    if asked.context is not None:
        extras["context"] = ParseDict(asked.context, service.CheckRequest().context)
    return extras


def _keys(tuples: Iterable[Json]) -> list[pb.TupleKey]:
    return [ParseDict(item, pb.TupleKey()) for item in tuples]


def _check_key(key: Mapping[str, str]) -> service.CheckRequestTupleKey:
    return service.CheckRequestTupleKey(user=key["user"], relation=key["relation"], object=key["object"])


def _single(answer: service.BatchCheckSingleResult) -> Decision:
    if answer.WhichOneof("check_result") == "allowed":
        return answer.allowed
    error = answer.error
    number = error.input_error or error.internal_error
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, error_name(number), error.message)


def _user(found: pb.User) -> str:
    match found.WhichOneof("user"):
        case "object":
            return f"{found.object.type}:{found.object.id}"
        case "userset":
            return f"{found.userset.type}:{found.userset.id}#{found.userset.relation}"
        case "wildcard":
            return f"{found.wildcard.type}:*"
        case other:
            raise AssertionError(f"ListUsers answered with a user of kind {other}")
