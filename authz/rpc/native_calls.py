"""The chain of each method behind a front of pygrpc-native: bytes in, bytes out. Used by `native_server`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from pygrpc_native import STREAM_CLOSED, STREAM_FULL

from authz.rpc.chain import compose
from authz.rpc.errors import refusal_metadata
from authz.rpc.served import opening
from authz.rpc.tls import peer_address

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from pygrpc_native import NativeGrpcFront
    from pygrpc_native._native import DetailedEvent

    from authz.rpc.exchange import Exchange, Failure, Proceed
    from authz.rpc.served import Opening, Served

    Answer = Callable[[DetailedEvent], Awaitable[None]]

_TURNS = 50
_FIRST_WAIT, _DOUBLINGS = 0.001, 8


def answers(front: NativeGrpcFront, served: Served) -> dict[str, tuple[bool, Answer]]:
    """By the path of the method: whether it streams, and what answers it."""
    edge = served.edge
    made: dict[str, tuple[bool, Answer]] = {}
    for method in served.methods:
        make = _streaming if method.is_streaming else _unary
        made[method.path] = method.is_streaming, make(front, compose(edge, method), opening(edge, method))
    return made


def _unary(front: NativeGrpcFront, proceed: Proceed, begin: Opening) -> Answer:
    respond = front.respond

    async def serve(event: DetailedEvent) -> None:
        exchange = _begun(begin, event)
        answer = await proceed(exchange)
        failure = exchange.failure
        if failure is None:
            raw = b"" if answer is None else answer.SerializeToString()
            respond(event[1], raw, exchange.initial, exchange.trailing or None)
        else:
            # There is no answer that its initial metadata could come before.
            _refuse(front, event[1], failure, [*exchange.initial, *exchange.trailing])

    return serve


def _streaming(front: NativeGrpcFront, proceed: Proceed, begin: Opening) -> Answer:
    async def serve(event: DetailedEvent) -> None:
        call_id, exchange, is_open = event[1], _begun(begin, event), False

        async def send(answer: Message) -> None:
            nonlocal is_open
            if not is_open:
                is_open = True
                front.stream_send_initial_metadata(call_id, exchange.initial)
            raw = answer.SerializeToString()
            exchange.response_bytes += len(raw)
            await push(front, call_id, raw)

        exchange.send = send
        await proceed(exchange)
        if not is_open:
            front.stream_send_initial_metadata(call_id, exchange.initial)
        if exchange.failure is None:
            front.stream_end(call_id, exchange.trailing or None)
        else:
            _refuse(front, call_id, exchange.failure, exchange.trailing)

    return serve


async def push(front: NativeGrpcFront, call_id: int, raw: bytes) -> None:
    """Send one of many answers, as soon as there is room for it.

    The front holds two messages of a call. Where the peer reads there is room again after some turns of the event loop;
    where it does not, it is asked ever less often. No thread waits: one that did would be held for as long as the peer
    likes, whatever became of the call.

    Raises:
        CancelledError: the caller has gone.

    """
    turns, sent = 0, front.stream_try_send(call_id, raw)
    while sent == STREAM_FULL:
        await asyncio.sleep(_FIRST_WAIT * 2 ** min(turns - _TURNS, _DOUBLINGS) if turns >= _TURNS else 0)
        turns += 1
        sent = front.stream_try_send(call_id, raw)
    if sent == STREAM_CLOSED:
        raise asyncio.CancelledError


def _begun(begin: Opening, event: DetailedEvent) -> Exchange:
    _, _, _, payload, _, details = event
    assert payload is not None
    assert details is not None
    metadata, peer, remaining = details
    return begin(payload, peer_address(peer), metadata, remaining)


def _refuse(front: NativeGrpcFront, call_id: int, failure: Failure, metadata: list[tuple[str, str]]) -> None:
    front.fail(call_id, failure.status.value[0], failure.message, [*metadata, *refusal_metadata(failure)])
