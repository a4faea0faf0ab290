"""Health behind a front of pygrpc-native: the same answers as behind grpcio. Used by `native_server`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from authz.rpc.healthcheck import SERVICE
from authz.rpc.native_calls import push

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message
    from pygrpc_native import NativeGrpcFront
    from pygrpc_native._native import DetailedEvent

    from authz.rpc.healthcheck import HealthCheck
    from authz.rpc.native_calls import Answer


class _Aborted(Exception):
    """The call has ended with a status."""


class _Context:
    """What health needs to know of a call and to do with it."""

    def __init__(self, front: NativeGrpcFront, event: DetailedEvent) -> None:
        details = event[5]
        assert details is not None
        self._front = front
        self._id = event[1]
        self._peer = details[1]

    def peer(self) -> str:
        return self._peer

    async def write(self, message: Message) -> None:
        await push(self._front, self._id, message.SerializeToString())

    async def abort(self, code: grpc.StatusCode, details: str, metadata: Sequence[tuple[str, str]] = ()) -> NoReturn:
        self._front.fail(self._id, code.value[0], details, metadata)
        raise _Aborted


def health_answers(front: NativeGrpcFront, health: HealthCheck) -> dict[str, tuple[bool, Answer]]:
    """By the path of the method: whether it streams, and what answers it."""
    calls: dict[str, tuple[type[Message], Any, bool]] = {
        "Check": (health_pb2.HealthCheckRequest, health.Check, False),
        "List": (health_pb2.HealthListRequest, health.List, False),
        "Watch": (health_pb2.HealthCheckRequest, health.Watch, True),
    }
    return {
        f"/{SERVICE}/{name}": (is_streaming, _answer(front, request, call, is_streaming=is_streaming))
        for name, (request, call, is_streaming) in calls.items()
    }


def _answer(front: NativeGrpcFront, request: type[Message], call: Any, *, is_streaming: bool) -> Answer:
    async def serve(event: DetailedEvent) -> None:
        context = _Context(front, event)
        try:
            try:
                asked = request.FromString(event[3] or b"")
            except DecodeError:
                await context.abort(grpc.StatusCode.INTERNAL, "the request is no message of this call")
            found = await call(asked, context)
        except _Aborted:
            return
        if is_streaming:
            front.stream_end(event[1])
        else:
            front.respond(event[1], found.SerializeToString())

    return serve
