"""A client over a real socket, and what its errors say. Used by the tests in this folder."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from authz._proto.openfga.v1 import openfga_pb2 as values
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz._proto.openfga.v1.openfga_service_pb2_grpc import OpenFGAServiceStub
from authz.app import Serving
from schema_dsl import dsl_to_json

MODEL = """
model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type document
  relations
    define owner: [user]
    define viewer: [user, user:*, group#member, user with weekday] or owner
condition weekday(day: string) {
  day != "sunday"
}
"""
UNKNOWN_ID = "01HZZZZZZZZZZZZZZZZZZZZZZZ"


@dataclass(frozen=True)
class Client:
    """A channel to a service, with its stub."""

    service: Serving
    channel: grpc.aio.Channel
    stub: Any
    """`OpenFGAServiceStub`; untyped, for its generated types know synchronous calls only."""

    async def world(self, model: str = MODEL) -> str:
        """A new store with a model; returns its id."""
        store_id = (await self.stub.CreateStore(pb.CreateStoreRequest(name="shop"))).id
        await self.write_model(store_id, model)
        return str(store_id)

    async def write_model(self, store_id: str, model: str = MODEL) -> str:
        """Write a model given as DSL; returns its id."""
        body = {"store_id": store_id, **dsl_to_json(model)}
        answer = await self.stub.WriteAuthorizationModel(ParseDict(body, pb.WriteAuthorizationModelRequest()))
        return str(answer.authorization_model_id)

    async def put(self, store_id: str, *tuples: str) -> None:
        """Write tuples given as `object#relation@user`."""
        keys = [tuple_key(text) for text in tuples]
        await self.stub.Write(pb.WriteRequest(store_id=store_id, writes=pb.WriteRequestWrites(tuple_keys=keys)))

    async def allows(self, store_id: str, question: str, metadata: tuple[tuple[str, str], ...] = ()) -> bool:
        """Check `object#relation@user`."""
        return bool((await self.stub.Check(check_request(store_id, question), metadata=metadata)).allowed)

    async def raw(self, method: str, payload: bytes) -> bytes:
        """Send bytes to a method of the service."""
        answer: bytes = await self.channel.unary_unary(f"/openfga.v1.OpenFGAService/{method}")(payload)
        return answer


def connect(service: Serving, channel: grpc.aio.Channel) -> Client:
    """A client over an open channel."""
    stub: Any = OpenFGAServiceStub(channel)
    return Client(service, channel, stub)


def tuple_key(text: str) -> values.TupleKey:
    """`object#relation@user` as a message."""
    object_, _, rest = text.partition("#")
    relation, _, user = rest.partition("@")
    return values.TupleKey(object=object_, relation=relation, user=user)


def check_request(store_id: str, question: str) -> pb.CheckRequest:
    """`object#relation@user` as a request."""
    key = tuple_key(question)
    asked = pb.CheckRequestTupleKey(object=key.object, relation=key.relation, user=key.user)
    return pb.CheckRequest(store_id=store_id, tuple_key=asked)


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The reason in the details of an error, which must agree with its status."""
    metadata = error.trailing_metadata()
    assert metadata is not None
    raw = dict(metadata).get("grpc-status-details-bin")
    assert isinstance(raw, bytes), f"no details: {error}"
    status = Status.FromString(raw)
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (error.code().value[0], error.details(), "authz") == (status.code, status.message, info.domain)
    return info.reason


async def refusal(call: Awaitable[object]) -> tuple[grpc.StatusCode, str, str]:
    """Status, reason and message of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), reason_of(caught.value), caught.value.details() or ""
