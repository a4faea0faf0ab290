"""A server that speaks the OpenFGA interface over gRPC, at an address that is given. Opened by `peer`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import grpc
from google.protobuf.json_format import ParseDict

from authz._proto.openfga.v1 import openfga_pb2 as model_pb
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz._proto.openfga.v1.openfga_service_pb2_grpc import OpenFGAServiceStub
from authz.rpc.convert.tuples import tuple_key_message
from authz.rpc.convert.values import struct_of
from authz.tuples import RelationshipTuple
from benchmarks.driver.items import Place
from benchmarks.peers.arguments import parse_choices, parse_in_flight
from benchmarks.peers.batches import batches_of
from benchmarks.peers.peer import Failed
from benchmarks.peers.processes import cpu_of, listener
from benchmarks.workloads.world import ListQuestion, Question, World
from schema_dsl import dsl_to_json

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_PER_WRITE = 100
"""What servers of the interface take in one write unless told otherwise."""
_WRITES_IN_FLIGHT = 4
_SECONDS = 60.0


class OpenFga:
    """A client of such a server."""

    is_server = True
    is_apart = True

    def __init__(self, address: str, in_flight: int, name: str = "") -> None:
        self.name = name or f"openfga={address}"
        self.note = f"the server at {address} over gRPC, {in_words(in_flight)}; it chooses what it keeps of answers"
        self._in_flight = in_flight
        self._process = listener(int(address.rpartition(":")[2]))
        self._channel = grpc.insecure_channel(address)
        self._stub = OpenFGAServiceStub(self._channel)
        self._place = Place("", "")
        self._made = ""

    @classmethod
    def open(cls, argument: str) -> OpenFga:
        """Takes `HOST:PORT`, and `in_flight=N` after a comma."""
        address, choices = parse_choices(argument)
        in_flight = parse_in_flight(choices)
        host, colon, port = address.rpartition(":")
        if choices or not host or not colon or not port.isdecimal():
            raise ValueError(f"`openfga` takes HOST:PORT or HOST:PORT,in_flight=N: got `{argument}`")
        return cls(address, in_flight)

    def load(self, world: World) -> None:
        """Make a store, and write the model and the tuples."""
        body = dsl_to_json(world.model)
        try:
            store = self._made = self._stub.CreateStore(pb.CreateStoreRequest(name="peer"), timeout=_SECONDS).id
            request = ParseDict({**body, "store_id": store}, pb.WriteAuthorizationModelRequest())
            written = self._stub.WriteAuthorizationModel(request, timeout=_SECONDS)
            self._place = Place(store, written.authorization_model_id)
            deque(_pipelined(self._write, batches_of(world.tuples(), _PER_WRITE), _WRITES_IN_FLIGHT), maxlen=0)
        except grpc.RpcError as error:
            raise Failed(_told(error)) from error

    def use(self, place: Place) -> None:
        """Ask about a store that holds the world already."""
        self._place = place

    def ask(self, questions: Sequence[Question]) -> list[bool]:
        """Check each, with as many calls in flight as were chosen. The messages are made beforehand."""
        requests = [self._request(question) for question in questions]
        try:
            if self._in_flight == 1:
                check = self._stub.Check
                return [check(request, timeout=_SECONDS).allowed for request in requests]
            return [answer.allowed for answer in _pipelined(self._check, requests, self._in_flight)]
        except grpc.RpcError as error:
            raise Failed(_told(error)) from error

    def list_objects(self, question: ListQuestion) -> set[str]:
        """List."""
        request = pb.ListObjectsRequest(
            store_id=self._place.store_id,
            authorization_model_id=self._place.model_id,
            type=question.object_type,
            relation=question.relation,
            user=question.user,
        )
        try:
            return set(self._stub.ListObjects(request, timeout=_SECONDS).objects)
        except grpc.RpcError as error:
            raise Failed(_told(error)) from error

    def cpu_seconds(self) -> float | None:
        """What the server has spent, when it listens on this machine and may be looked at."""
        return cpu_of(self._process) if self._process else None

    def close(self) -> None:
        """Delete the store that was made."""
        try:
            if self._made:
                self._stub.DeleteStore(pb.DeleteStoreRequest(store_id=self._made), timeout=_SECONDS)
        except grpc.RpcError as error:
            raise Failed(_told(error)) from error
        finally:
            self._channel.close()

    def _check(self, request: pb.CheckRequest) -> grpc.Future[pb.CheckResponse]:
        return self._stub.Check.future(request, timeout=_SECONDS)

    def _write(self, tuples: list[RelationshipTuple]) -> grpc.Future[pb.WriteResponse]:
        writes = pb.WriteRequestWrites(tuple_keys=map(tuple_key_message, tuples))
        store, model = self._place
        request = pb.WriteRequest(store_id=store, authorization_model_id=model, writes=writes)
        return self._stub.Write.future(request, timeout=_SECONDS)

    def _request(self, question: Question) -> pb.CheckRequest:
        key = pb.CheckRequestTupleKey(user=question.user, relation=question.relation, object=question.object)
        store, model = self._place
        request = pb.CheckRequest(store_id=store, authorization_model_id=model, tuple_key=key)
        if question.contextual:
            keys = map(tuple_key_message, question.contextual)
            request.contextual_tuples.CopyFrom(model_pb.ContextualTupleKeys(tuple_keys=keys))
        if question.context:
            request.context.CopyFrom(struct_of(dict(question.context)))
        return request


def in_words(in_flight: int) -> str:
    """How many calls wait at a time."""
    return "one call at a time" if in_flight == 1 else f"{in_flight} calls at a time"


def _pipelined(send: Callable[[Item], grpc.Future[Answer]], items: Iterable[Item], in_flight: int) -> Iterator[Answer]:
    """The results of calls in order, while up to `in_flight` of them wait."""
    waiting: deque[grpc.Future[Answer]] = deque()
    for item in items:
        if len(waiting) >= in_flight:
            yield waiting.popleft().result()
        waiting.append(send(item))
    while waiting:
        yield waiting.popleft().result()


def _told(error: grpc.RpcError) -> str:
    return f"{error.code().name}: {error.details()}" if isinstance(error, grpc.Call) else str(error)
