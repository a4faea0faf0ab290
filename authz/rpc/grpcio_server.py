"""Take calls off the wire with grpcio: TLS, every bound of the transport, reflection. Chosen by `server`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

import grpc
from google.protobuf.empty_pb2 import Empty
from grpc_reflection.v1alpha import reflection

from authz.call import Scope
from authz.rpc.chain import REFUSING, compose
from authz.rpc.errors import refusal_metadata
from authz.rpc.exchange import Exchange, Failure, Method, Proceed
from authz.rpc.healthcheck import SERVICE as HEALTH
from authz.rpc.intake import UNKNOWN, Intake
from authz.rpc.served import Served, opening
from authz.rpc.tls import peer_address, peer_certificate
from authz.rpc.transport import Transport, channel_options

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from authz.commands.services import Services
    from authz.rpc.door import Door
    from authz.rpc.edge import Edge

Context = grpc.aio.ServicerContext[bytes, bytes]
Begin = Callable[[Context], Awaitable[Exchange]]
"""Receives the request of a call."""


class GrpcioListener:
    """A server of grpcio with our handlers."""

    def __init__(self, served: Served, transport: Transport) -> None:
        edge, limits, services = served.edge, transport.limits, served.services
        self._credentials = transport.credentials
        options = channel_options(limits, edge.max_message_bytes, reuse_port=transport.reuse_port)
        intake = Intake(options, limits.max_concurrent_calls, unknown_handler(edge, served.door))
        self._server = cast("grpc.aio.Server", intake)  # which its declared types do not know
        for service in services:
            handlers = {m.name: method_handler(edge, m, served.door) for m in served.methods if m.service == service}
            intake.add_registered_method_handlers(service, handlers)
        served.health.add_to(self._server)
        if transport.has_reflection:
            reflection.enable_server_reflection([*services, HEALTH, reflection.SERVICE_NAME], self._server)

    def listen(self, address: str) -> int:
        """Open the address; returns the port. Raises RuntimeError when that cannot be done."""
        if self._credentials is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, self._credentials)

    async def start(self) -> None:
        """Begin to take calls."""
        await self._server.start()

    async def stop(self, grace: float) -> None:
        """Take no more calls; those that run may still take so many seconds."""
        await self._server.stop(grace)


def unknown_handler(edge: Edge, door: Door) -> grpc.RpcMethodHandler[bytes, bytes]:
    """Answers for methods that nobody has, so that this refusal is like all others. It is not told their names."""
    method = Method(UNKNOWN, UNKNOWN, Empty, _refuse_unknown, Scope.READ)
    begin = _beginning(edge, method, door)
    return grpc.stream_unary_rpc_method_handler(_unary(compose(edge, method, REFUSING), begin))


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
    begin, allowed = opening(edge, method), method.timeout(edge.services.limits)
    has_certificates = edge.guard is not None and edge.guard.takes_certificates

    async def receive(context: Context) -> Exchange:
        peer = peer_address(context.peer())
        payload = await door.receive(context, peer, allowed)
        exchange = begin(payload, peer, tuple(context.invocation_metadata() or ()), context.time_remaining())
        if has_certificates:
            exchange.certificate = peer_certificate(context)
        return exchange

    return receive


async def _refuse_unknown(_services: Services, exchange: Exchange, _request: object) -> None:
    exchange.failure = Failure(grpc.StatusCode.UNIMPLEMENTED, "unimplemented", "the service has no such method")


async def _end(exchange: Exchange, context: Context) -> None:
    """Hand trailing metadata to grpcio, which sends them behind the answer; or end the call with its failure."""
    failure = exchange.failure
    if failure is None:
        if exchange.trailing:
            context.set_trailing_metadata(exchange.trailing)
        return
    # Without a message, not even an empty one, for which a peer may never make room.
    await context.abort(failure.status, failure.message, (*exchange.trailing, *refusal_metadata(failure)))
