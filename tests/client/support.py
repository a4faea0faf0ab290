"""A service that answers as the test says: with failures, late, or with nonsense. Used by the tests of the client."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections import defaultdict, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import uvicorn

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.rpc.errors import refusal_metadata
from authz.rpc.exchange import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from google.protobuf.message import Message

STORE = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
TOKEN = "authz-consistency-token"
MODEL = """
model
  schema 1.1
type user
type group
  relations
    define member: [user]
type document
  relations
    define owner: [user]
    define viewer: [user, user:*, group#member, user with in_hours] or owner

condition in_hours(hour: int, from: int) {
  hour >= from
}
"""


@dataclass(frozen=True)
class Fail:
    """Refuse: with a reason like the service, or without one like a proxy."""

    code: grpc.StatusCode
    reason: str = ""
    message: str = "no"
    retry_after: float = 0.0


@dataclass(frozen=True)
class Hang:
    """Answer too late."""

    seconds: float = 3.0


@dataclass(frozen=True)
class Give:
    """Answer with a message, and with metadata."""

    message: Message | bytes | list[Message]
    metadata: tuple[tuple[str, str], ...] = ()
    trailing: tuple[tuple[str, str], ...] = ()
    then: Fail | None = None
    """How a stream ends."""


@dataclass
class Asked:
    """A call that arrived."""

    method: str
    request: Any
    metadata: dict[str, str]
    at: float


@dataclass
class Scripted:
    """A service. Each method answers by its own list of steps, then with `allowed`, or nothing in particular."""

    address: str = ""
    asked: list[Asked] = field(default_factory=list)
    steps: dict[str, deque[Any]] = field(default_factory=lambda: defaultdict(deque))
    revision: int = 0
    allowed: bool = True

    def will(self, method: str, *steps: Any) -> None:
        """What the next calls of a method get."""
        self.steps[method].extend(steps)

    def count(self, method: str = "") -> int:
        """How many calls arrived."""
        return sum(1 for each in self.asked if not method or each.method == method)

    def step(self, method: str, request: Any, context: Any) -> Give:
        """What one call gets."""
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        self.asked.append(Asked(method, request, metadata, time.monotonic()))
        step = self.steps[method].popleft() if self.steps[method] else self.usual(method, request)
        if isinstance(step, Hang):
            time.sleep(step.seconds)
            step = self.usual(method, request)
        if isinstance(step, Fail):
            if step.reason:
                failure = Failure(step.code, step.reason, step.message, step.retry_after)
                context.set_trailing_metadata(tuple(refusal_metadata(failure)))
            context.abort(step.code, step.message)
        context.send_initial_metadata(step.metadata)
        context.set_trailing_metadata(step.trailing)
        return step

    def usual(self, method: str, request: Any) -> Give:
        """What a healthy service says."""
        if method == "Write":
            self.revision += 1
        beside = ((TOKEN, f"r{self.revision}"), ("openfga-authorization-model-id", STORE))
        if method == "BatchCheck":
            results = {each.correlation_id: pb.BatchCheckSingleResult(allowed=self.allowed) for each in request.checks}
            return Give(pb.BatchCheckResponse(result=results), beside)
        if method == "Check":
            return Give(pb.CheckResponse(allowed=self.allowed), beside)
        if method == "StreamedListObjects":
            return Give([], beside)
        return Give(getattr(pb, f"{method}Response")(), beside)


@contextmanager
def scripted(credentials: grpc.ServerCredentials | None = None, interceptors: Sequence[Any] = ()) -> Iterator[Scripted]:
    """A scripted service on loopback."""
    service = Scripted()
    server = grpc.server(ThreadPoolExecutor(16), interceptors=list(interceptors))
    handlers = {
        method.name: _handler(service, method) for method in pb.DESCRIPTOR.services_by_name["OpenFGAService"].methods
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("openfga.v1.OpenFGAService", handlers),))
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    service.address = f"127.0.0.1:{port}"
    server.start()
    try:
        yield service
    finally:
        server.stop(None).wait(5)


def _handler(service: Scripted, method: Any) -> Any:
    read = getattr(pb, method.input_type.name).FromString
    if method.server_streaming:

        def stream(request: Any, context: Any) -> Iterator[Any]:
            step = service.step(method.name, request, context)
            yield from step.message
            if step.then:
                context.abort(step.then.code, step.then.message)

        return grpc.unary_stream_rpc_method_handler(stream, read, _raw)

    def unary(request: Any, context: Any) -> Any:
        return service.step(method.name, request, context).message

    return grpc.unary_unary_rpc_method_handler(unary, read, _raw)


def _raw(message: Any) -> bytes:
    raw: bytes = message if isinstance(message, bytes) else message.SerializeToString()
    return raw


@contextmanager
def listening(app: Any) -> Iterator[http.client.HTTPConnection]:
    """An application behind a real HTTP server, and a connection that sends paths as they are."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        connection = http.client.HTTPConnection(*listener.getsockname(), timeout=10)
        try:
            yield connection
        finally:
            connection.close()
            server.should_exit = True
            thread.join()
