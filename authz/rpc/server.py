"""Serve the chain over gRPC: one generic handler for all methods, health, reflection. Built and started by `app`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import grpc
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from authz.call import Call
from authz.rpc.chain import CHAIN, compose
from authz.rpc.errors import DETAILS, status_details
from authz.rpc.exchange import Exchange, Failure, Method, Proceed
from authz.rpc.metadata import REQUEST_ID, request_id
from authz.rpc.methods import METHODS
from authz.rpc.validate import shown

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from authz.commands.services import Services
    from authz.rpc.edge import Edge

Context = grpc.aio.ServicerContext[bytes, bytes]

_REFUSING_SECONDS = 0.25
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class GrpcServer:
    """The gRPC server of one process: open, serve, drain."""

    def __init__(self, edge: Edge, methods: Sequence[Method] = METHODS) -> None:
        self._gate = edge.gate
        self._server = grpc.aio.server(options=_options(edge))
        self._names = sorted({method.service for method in methods})
        self._health = health.aio.HealthServicer()
        for service in self._names:
            handlers = {m.name: method_handler(edge, m) for m in methods if m.service == service}
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        self._server.add_generic_rpc_handlers((UnknownMethods(edge, self._names),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        shown = [*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(shown, self._server)

    def listen(self, address: str) -> int:
        """Open the address; returns the port, which is a free one for port 0.

        Raises:
            RuntimeError: the address is taken or cannot be opened.

        """
        return self._server.add_insecure_port(address)

    async def start(self) -> None:
        """Begin to answer, still telling health checks to wait."""
        await self._tell_health(_NOT_SERVING)
        await self._server.start()

    async def ready(self) -> None:
        """Tell health checks that calls are welcome."""
        await self._tell_health(_SERVING)

    async def drain(self, grace: float) -> None:
        """Take no more calls and let running ones end within `grace` seconds.

        For a moment new calls are refused by us, as UNAVAILABLE: grpcio would cancel those that it has not handed over
        yet, and clients do not try again what was cancelled.
        """
        self._gate.is_open = False
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(min(_REFUSING_SECONDS, grace / 10))
        await self._server.stop(grace)

    async def _tell_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in ("", *self._names):
            await self._health.set(name, status)


class UnknownMethods(grpc.GenericRpcHandler):
    """Answers for methods that our services do not have, so that this refusal is like all others."""

    def __init__(self, edge: Edge, services: Sequence[str]) -> None:
        self._edge = edge
        self._services = tuple(f"/{service}/" for service in services)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        """A handler that refuses, or None for services that are not ours."""
        if not details.method.startswith(self._services):
            return None
        service, _, name = details.method[1:].partition("/")
        method = Method(service, shown(name), Empty, _refuse_unknown)
        return grpc.unary_unary_rpc_method_handler(
            _unary(compose(self._edge, method, CHAIN[:1]), _beginning(self._edge, method))
        )


def method_handler(edge: Edge, method: Method) -> grpc.RpcMethodHandler[bytes, bytes]:
    """The chain of a method behind grpcio: bytes in, bytes out, so that nothing is parsed before its turn."""
    proceed = compose(edge, method)
    begin = _beginning(edge, method)
    if method.is_streaming:
        return grpc.unary_stream_rpc_method_handler(_streaming(proceed, begin))
    return grpc.unary_unary_rpc_method_handler(_unary(proceed, begin))


def _unary(
    proceed: Proceed, begin: Callable[[bytes, Context], Exchange]
) -> Callable[[bytes, Context], Awaitable[bytes]]:
    async def serve(payload: bytes, context: Context) -> bytes:
        exchange = begin(payload, context)
        answer = await proceed(exchange)
        await context.send_initial_metadata(exchange.initial)
        _end(exchange, context)
        return b"" if answer is None else answer.SerializeToString()

    return serve


def _streaming(
    proceed: Proceed, begin: Callable[[bytes, Context], Exchange]
) -> Callable[[bytes, Context], Awaitable[None]]:
    async def serve(payload: bytes, context: Context) -> None:
        exchange = begin(payload, context)
        is_open = False

        async def send(answer: Message) -> None:
            nonlocal is_open
            if not is_open:
                is_open = True
                await context.send_initial_metadata(exchange.initial)
            await context.write(answer.SerializeToString())

        exchange.send = send
        await proceed(exchange)
        if not is_open:
            await context.send_initial_metadata(exchange.initial)
        _end(exchange, context)

    return serve


def _beginning(edge: Edge, method: Method) -> Callable[[bytes, Context], Exchange]:
    clock = edge.services.clock
    allowed = method.timeout(edge.services.limits)

    def begin(payload: bytes, context: Context) -> Exchange:
        remaining = context.time_remaining()
        seconds = allowed if remaining is None else min(allowed, remaining)
        call = Call(deadline=clock.monotonic() + seconds)
        exchange = Exchange(method, call, tuple(context.invocation_metadata() or ()), payload, seconds)
        exchange.call.request_id = request_id(exchange.header(REQUEST_ID))
        exchange.initial.append((REQUEST_ID, exchange.call.request_id))
        return exchange

    return begin


async def _refuse_unknown(_services: Services, exchange: Exchange, _request: object) -> None:
    message = f"`{exchange.method.service}` has no method `{exchange.method.name}`"
    exchange.failure = Failure(grpc.StatusCode.UNIMPLEMENTED, "unimplemented", message)


def _end(exchange: Exchange, context: Context) -> None:
    """Hand status and trailing metadata to grpcio, which sends them behind the answer."""
    failure = exchange.failure
    if failure is None:
        if exchange.trailing:
            context.set_trailing_metadata(exchange.trailing)
        return
    context.set_code(failure.status)
    context.set_details(failure.message)
    context.set_trailing_metadata([*exchange.trailing, (DETAILS, status_details(failure))])


def _options(edge: Edge) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", edge.max_message_bytes),
        ("grpc.so_reuseport", 0),
    ]
