"""Refuse what no route means, as every call is refused: after it is known who asks, and with a record. Used by
`application`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import grpc
from google.protobuf.empty_pb2 import Empty

from authz.call import Scope as CallScope
from authz.http.answers import header_lines
from authz.http.calls import exchange_of, refuse
from authz.http.errors import UNDEFINED_ENDPOINT, Header
from authz.rpc.chain import REFUSING, compose
from authz.rpc.exchange import Exchange, Failure, Method
from authz.rpc.intake import UNKNOWN
from authz.rpc.served import opening

if TYPE_CHECKING:
    from authz.commands.services import Services
    from authz.http.calls import Scope, Send
    from authz.rpc.edge import Edge

_NOT_FOUND, _NOT_ALLOWED = 404, 405


class Refusing:
    """Answers requests without a route. What they asked for is told to nobody: it is text of anybody."""

    def __init__(self, edge: Edge, always: Sequence[Header]) -> None:
        method = Method(UNKNOWN, UNKNOWN, Empty, _refuse, CallScope.READ)
        self._proceed = compose(edge, method, REFUSING)
        self._begin = opening(edge, method)
        self._always = always
        self._takes_certificates = edge.guard is not None and edge.guard.takes_certificates

    async def __call__(self, allowed: frozenset[str], scope: Scope, send: Send) -> None:
        """Refuse; `allowed` are the HTTP methods that the path has."""
        exchange = exchange_of(self._begin, b"", scope, has_certificate=self._takes_certificates)
        await self._proceed(exchange)
        headers = [*self._always, *header_lines(exchange.initial), *header_lines(exchange.trailing)]
        failure, status = exchange.failure, None
        assert failure is not None
        if failure.reason == UNDEFINED_ENDPOINT:
            status = _NOT_ALLOWED if allowed else _NOT_FOUND
            if allowed:
                headers.append((b"allow", ", ".join(sorted(allowed)).encode("ascii")))
        await refuse(failure, headers, send, status)


async def _refuse(_services: Services, exchange: Exchange, _request: object) -> None:
    exchange.failure = Failure(grpc.StatusCode.UNIMPLEMENTED, UNDEFINED_ENDPOINT, "there is no such endpoint")
