"""One call over HTTP: the request becomes an exchange, the chain answers it, the answer becomes JSON. Made by
`application`, one for each method.

The chain is the one that gRPC has: nothing of a request is read before it is known who asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from authz.errors import EntityLimitExceeded, InvalidRequest
from authz.http.answers import NO_CONTENT, OK, header_lines, printer_for, success_of, took
from authz.http.connection import EXTENSION
from authz.http.errors import Header, error_body, error_headers, status_of
from authz.http.reading import Target, read_body, read_check, read_query
from authz.rpc.chain import compose
from authz.rpc.metadata import REQUEST_ID
from authz.rpc.methods import SERVICE
from authz.rpc.served import opening
from authz.rpc.tls import address_of

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from authz.http.routes import Found
    from authz.rpc.edge import Edge
    from authz.rpc.exchange import Exchange, Failure, Method
    from authz.rpc.served import Opening

Scope = Any
"""What ASGI says of a request: a mapping of many kinds of values."""
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

_TOO_LARGE = 413
"""Except for OpenFGA's calls: its SDKs know no such status, and fail in their own way instead of telling the code."""
_JSON = b"application/json"
_NO_JSON = "the header `content-type` must be `application/json`"
_NOT_PLAIN = "the header `content-encoding` is not taken: send the body as it is"
_REQUEST_ID, _SDK_REQUEST_ID = REQUEST_ID.encode("ascii"), b"fga-request-id"


class Received(NamedTuple):
    """A request as it came in."""

    payload: bytes
    is_too_large: bool
    problem: str
    """Why the body cannot be read, whatever is in it; empty when it may be."""


class Answering:
    """Answers the calls of one method.

    Args:
        edge: what the chain works with.
        method: the call.
        always: headers of every answer.

    """

    def __init__(self, edge: Edge, method: Method, always: Sequence[Header]) -> None:
        self._proceed = compose(edge, method)
        self._begin = opening(edge, method)
        self._method = method
        self._always = always
        self._most = edge.max_message_bytes
        self._print = printer_for(method)
        self._success = success_of(method)
        self._too_large = None if method.service == SERVICE else _TOO_LARGE
        self._read = read_check if method.path == f"/{SERVICE}/Check" else read_body
        self._takes_certificates = edge.guard is not None and edge.guard.takes_certificates

    async def __call__(self, found: Found, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; `found` says what the path gives. Returns without an answer when the client has gone."""
        received = await _receive(scope, receive, self._most)
        if received is None:
            return
        exchange = exchange_of(self._begin, received.payload, scope, has_certificate=self._takes_certificates)
        exchange.read = self._reader(found, scope["query_string"], received)
        if self._method.is_streaming:
            await self._stream(exchange, send)
            return
        answer = await self._proceed(exchange)
        failure = exchange.failure
        headers = [*self._always, *header_lines(exchange.initial), *header_lines(exchange.trailing)]
        if failure is None:
            headers += took(exchange)
            await _answer(send, self._success, headers, b"{}" if answer is None else self._print(answer))
        elif received.is_too_large and failure.reason == EntityLimitExceeded.reason:
            await refuse(failure, headers, send, self._too_large)
        else:
            await refuse(failure, headers, send)

    def _reader(self, found: Found, query: bytes, received: Received) -> Callable[[type[Message], bytes], Message]:
        if received.is_too_large:
            return partial(_raise, EntityLimitExceeded(f"the body is larger than {self._most} bytes"))
        # A member of the body that is named like a part of a path is not that part.
        fields = dict.fromkeys(found.route.unsaid, "") | found.fields
        if not found.route.has_body:
            target = Target(fields, query)
            return lambda type_, _payload: read_query(type_, target)
        if received.problem:
            return partial(_raise, InvalidRequest(received.problem))
        read = self._read
        return lambda type_, payload: read(type_, payload, fields)

    async def _stream(self, exchange: Exchange, send: Send) -> None:
        """One JSON object a line. What the end has to tell stands in the headers only while none were sent."""
        is_open = False

        async def begin() -> None:
            nonlocal is_open
            is_open = True
            headers = [*self._always, *header_lines(exchange.initial), *header_lines(exchange.trailing)]
            await send({"type": "http.response.start", "status": OK, "headers": headers})

        async def send_line(answer: Message) -> None:
            if not is_open:
                await begin()
            raw = b'{"result":' + self._print(answer) + b"}\n"
            exchange.response_bytes += len(raw)
            await _send_part(send, raw, is_last=False)

        exchange.send = send_line
        await self._proceed(exchange)
        failure = exchange.failure
        if failure is not None and not is_open:
            await refuse(failure, [*self._always, *header_lines((*exchange.initial, *exchange.trailing))], send)
            return
        last = b""
        if failure is not None:
            last = b'{"error":' + error_body(failure.reason, failure.message) + b"}\n"
        elif is_open:
            last = b"".join(b'{"%s":"%s"}\n' % each for each in header_lines(exchange.trailing))
        if not is_open:
            await begin()
        await _send_part(send, last, is_last=True)


def exchange_of(begin: Opening, payload: bytes, scope: Scope, *, has_certificate: bool) -> Exchange:
    """The exchange of a request that has arrived."""
    metadata = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    exchange = begin(payload, peer_of(scope), metadata, None)
    if has_certificate:
        exchange.certificate = scope["extensions"][EXTENSION].certificate
    return exchange


def peer_of(scope: Scope) -> str:
    """The address of the client, without its port."""
    client = scope["client"]
    return "unix" if client is None else address_of(client[0])


async def refuse(failure: Failure, headers: Sequence[Header], send: Send, status: int | None = None) -> None:
    """Answer with a failure; its status is that of its reason unless another is given."""
    if status is None:
        status = status_of(failure)
    body = error_body(failure.reason, failure.message)
    # The SDKs of OpenFGA look for the request's id under a name of their own, and show it with the error.
    named = [(_SDK_REQUEST_ID, value) for name, value in headers if name == _REQUEST_ID]
    await _answer(send, status, [*headers, *named, *error_headers(failure, status)], body)


async def _receive(scope: Scope, receive: Receive, most: int) -> Received | None:
    """The request, None when its client has gone. Of one that is too large the rest stays unread."""
    is_json, is_plain, length = False, True, 0
    for name, value in scope["headers"]:
        if name == b"content-type":
            is_json = value.partition(b";")[0].strip().lower() == _JSON
        elif name == b"content-length" and value.isdigit():
            length = int(value)
        elif name == b"content-encoding":
            is_plain = value.strip().lower() == b"identity"
    problem = "" if is_json and is_plain else _NOT_PLAIN if is_json else _NO_JSON
    parts, size, is_last = [], 0, False
    while max(size, length) <= most and not is_last:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message["body"])
        size += len(message["body"])
        is_last = not message["more_body"]
    if max(size, length) > most:
        return Received(b"", is_too_large=True, problem=problem)
    return Received(parts[0] if len(parts) == 1 else b"".join(parts), is_too_large=False, problem=problem)


def _raise(error: Exception, _type: object, _payload: object) -> Message:
    raise error


async def _answer(send: Send, status: int, headers: list[Header], body: bytes) -> None:
    if status == NO_CONTENT:
        body = b""
    else:
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_part(send: Send, raw: bytes, *, is_last: bool) -> None:
    await send({"type": "http.response.body", "body": raw, "more_body": not is_last})


async def cancelled_with_client(answering: Awaitable[None], scope: Scope) -> None:
    """Answer, unless the client goes: then what is done for it ends."""
    connection = scope["extensions"][EXTENSION]
    connection.running = asyncio.current_task()
    try:
        await answering
    except asyncio.CancelledError:
        if not connection.is_lost:
            raise
    finally:
        connection.running = None
