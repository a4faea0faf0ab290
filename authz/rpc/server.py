"""Serve the chain over gRPC: one generic handler for all methods, health, reflection. Built and started by `app`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import grpc
from google.protobuf.empty_pb2 import Empty
from grpc_reflection.v1alpha import reflection

from authz.call import Call, Scope
from authz.rpc.chain import REFUSING, compose
from authz.rpc.door import Door
from authz.rpc.errors import refusal_metadata
from authz.rpc.exchange import Exchange, Failure, Method, Proceed
from authz.rpc.healthcheck import SERVICE as HEALTH
from authz.rpc.healthcheck import HealthCheck
from authz.rpc.metadata import REQUEST_ID, request_id
from authz.rpc.methods import METHODS
from authz.rpc.tls import peer_address, peer_certificate
from authz.rpc.transport import Transport, channel_options
from authz.rpc.validate import shown

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from authz.commands.services import Services
    from authz.rpc.edge import Edge

Context = grpc.aio.ServicerContext[bytes, bytes]
Begin = Callable[[Context], Awaitable[Exchange]]
"""Receives the request of a call."""

_REFUSING_SECONDS = 0.25
_PLAIN = Transport()


class GrpcServer:
    """The gRPC server of one process: open, serve, drain."""

    def __init__(self, edge: Edge, methods: Sequence[Method] = METHODS, transport: Transport = _PLAIN) -> None:
        limits = transport.limits
        self._gate = edge.gate
        self._server = grpc.aio.server(
            options=channel_options(limits, edge.max_message_bytes),
            maximum_concurrent_rpcs=limits.max_concurrent_calls,
        )
        self._credentials = transport.credentials
        door = Door(limits.max_calls_per_peer, edge.services.clock.monotonic)
        edge.telemetry.meter.observe_source("authz.limits.turned.away", lambda: door.refused)
        names = sorted({method.service for method in methods})
        self._health = HealthCheck(names, transport.admit_peer, limits.max_watches)
        for service in names:
            handlers = {m.name: method_handler(edge, m, door) for m in methods if m.service == service}
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        self._server.add_generic_rpc_handlers((UnknownMethods(edge, names, door),))
        self._health.add_to(self._server)
        if transport.has_reflection:
            reflection.enable_server_reflection([*names, HEALTH, reflection.SERVICE_NAME], self._server)

    def listen(self, address: str) -> int:
        """Open the address; returns the port, which is a free one for port 0.

        Raises:
            RuntimeError: the address is taken or cannot be opened.

        """
        if self._credentials is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, self._credentials)

    async def start(self) -> None:
        """Begin to answer, still telling health checks to wait."""
        await self._server.start()

    async def ready(self) -> None:
        """Tell health checks that calls are welcome."""
        self._health.tell(is_ready=True)

    async def drain(self, grace: float) -> None:
        """Take no more calls and let running ones end within `grace` seconds.

        For a moment new calls are refused by us, as UNAVAILABLE: grpcio would cancel those that it has not handed over
        yet, and clients do not try again what was cancelled.
        """
        self._gate.is_open = False
        self._health.close()
        await asyncio.sleep(min(_REFUSING_SECONDS, grace / 10))
        await self._server.stop(grace)


class UnknownMethods(grpc.GenericRpcHandler):
    """Answers for methods that our services do not have, so that this refusal is like all others."""

    def __init__(self, edge: Edge, services: Sequence[str], door: Door) -> None:
        self._edge = edge
        self._door = door
        self._services = tuple(f"/{service}/" for service in services)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        """A handler that refuses, or None for services that are not ours."""
        if not details.method.startswith(self._services):
            return None
        service, _, name = details.method[1:].partition("/")
        method = Method(service, shown(name), Empty, _refuse_unknown, Scope.READ)
        begin = _beginning(self._edge, method, self._door)
        return grpc.stream_unary_rpc_method_handler(_unary(compose(self._edge, method, REFUSING), begin))


def method_handler(edge: Edge, method: Method, door: Door) -> grpc.RpcMethodHandler[bytes, bytes]:
    """The chain of a method behind grpcio: bytes in, bytes out, so that nothing is parsed before its turn.

    To grpcio all our calls are streams of requests, of which `door` takes the one that there is: only so are we asked
    before it has arrived.
    """
    proceed = compose(edge, method)
    begin = _beginning(edge, method, door)
    if method.is_streaming:
        return grpc.stream_stream_rpc_method_handler(_streaming(proceed, begin))
    return grpc.stream_unary_rpc_method_handler(_unary(proceed, begin))


def _unary(proceed: Proceed, begin: Begin) -> Callable[[object, Context], Awaitable[bytes]]:
    async def serve(_requests: object, context: Context) -> bytes:
        exchange = await begin(context)
        answer = await proceed(exchange)
        await context.send_initial_metadata(exchange.initial)
        await _end(exchange, context)
        return b"" if answer is None else answer.SerializeToString()

    return serve


def _streaming(proceed: Proceed, begin: Begin) -> Callable[[object, Context], Awaitable[None]]:
    async def serve(_requests: object, context: Context) -> None:
        exchange = await begin(context)
        is_open = False

        async def send(answer: Message) -> None:
            nonlocal is_open
            if not is_open:
                is_open = True
                await context.send_initial_metadata(exchange.initial)
            raw = answer.SerializeToString()
            exchange.response_bytes += len(raw)
            await context.write(raw)

        exchange.send = send
        await proceed(exchange)
        if not is_open:
            await context.send_initial_metadata(exchange.initial)
        await _end(exchange, context)

    return serve


def _beginning(edge: Edge, method: Method, door: Door) -> Begin:
    clock = edge.services.clock
    allowed, path = method.timeout(edge.services.limits), method.path
    has_certificates = edge.guard is not None and edge.guard.takes_certificates

    async def begin(context: Context) -> Exchange:
        payload = await door.receive(context, allowed)
        remaining = context.time_remaining()
        seconds = allowed if remaining is None else min(allowed, remaining)
        peer = peer_address(context.peer())
        call = Call(deadline=clock.monotonic() + seconds, peer=peer, method=path)
        exchange = Exchange(method, call, tuple(context.invocation_metadata() or ()), payload, seconds)
        exchange.call.request_id = request_id(exchange.header(REQUEST_ID))
        if has_certificates:
            exchange.certificate = peer_certificate(context)
        exchange.initial.append((REQUEST_ID, exchange.call.request_id))
        return exchange

    return begin


async def _refuse_unknown(_services: Services, exchange: Exchange, _request: object) -> None:
    message = f"`{exchange.method.service}` has no method `{exchange.method.name}`"
    exchange.failure = Failure(grpc.StatusCode.UNIMPLEMENTED, "unimplemented", message)


async def _end(exchange: Exchange, context: Context) -> None:
    """Hand trailing metadata to grpcio, which sends them behind the answer; or end the call with its failure."""
    failure = exchange.failure
    if failure is None:
        if exchange.trailing:
            context.set_trailing_metadata(exchange.trailing)
        return
    # Without a message, not even an empty one, for which a peer may never make room.
    await context.abort(failure.status, failure.message, (*exchange.trailing, *refusal_metadata(failure)))
