"""The ASGI application: which call or page a request means, and what every answer has. Made by `server`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from authz.addresses import is_loopback_host
from authz.http.answers import header_lines
from authz.http.calls import Answering, cancelled_with_client, peer_of
from authz.http.errors import Header, error_body
from authz.http.refusing import Refusing
from authz.http.routes import Found, Router, routes_of
from authz.rpc.door import TOO_MANY
from authz.rpc.metadata import REQUEST_ID, request_id

if TYPE_CHECKING:
    from authz.http.calls import Receive, Scope, Send
    from authz.http.discovery import Discovery
    from authz.http.pages import Page, Shown
    from authz.rpc.door import Door
    from authz.rpc.edge import Edge
    from authz.rpc.exchange import Method

_FORBIDDEN, _TOO_MANY_REQUESTS, _INTERNAL = 403, 429, 500
_STRANGE_HOST = (
    "the header `host` names another machine: while nobody must prove who he is, the service on loopback answers to its"
    " own names alone, and to that in `web.public_url`"
)
_REQUEST_ID = REQUEST_ID.encode()
_READING = frozenset({"GET", "HEAD"})

_log = structlog.get_logger(__name__)


class Application:
    """See the module.

    Args:
        edge: what the chain works with.
        methods: the calls.
        door: lets so many calls of one address in.
        pages: by path.
        always: headers of every answer.
        discovery: what AuthZEN's clients are told.
        hosts: names that a request may call the service by, besides those of this machine; None: any. Where the port is
            of this machine alone and nobody must prove who he is, a request by another name comes from a page that made
            its own name mean this machine, in somebody's browser.

    """

    def __init__(
        self,
        edge: Edge,
        methods: Sequence[Method],
        door: Door,
        pages: Mapping[str, Page],
        always: Sequence[Header],
        *,
        discovery: Discovery | None = None,
        hosts: frozenset[str] | None = None,
    ) -> None:
        routes = list(routes_of(methods))
        self._router = Router(routes)
        self._answering = {route.method.path: Answering(edge, route.method, always) for route in routes}
        self._refusing = Refusing(edge, always)
        self._door = door
        self._pages = pages
        self._always = always
        self._discovery = discovery
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            await self._respond(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            # The chain lets nothing escape but in tests; here is what is done around it.
            _log.error("http_not_answered", exc_info=error)
            await self._give_up(scope, send, error)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._hosts is not None and not _names(scope["headers"], self._hosts):
            await self._turn_away(scope, send, _FORBIDDEN, "forbidden", _STRANGE_HOST)
            return
        page = self._pages.get(scope["path"])
        if page is not None and scope["method"] in _READING:
            await self._show(await page(_first(scope["headers"], b"accept")), scope, send)
            return
        peer = peer_of(scope)
        network = self._door.enter(peer)
        if network is None:
            await self._turn_away(scope, send, _TOO_MANY_REQUESTS, "resource_exhausted", TOO_MANY)
            return
        try:
            shown = None
            if self._discovery is not None and scope["method"] in _READING:
                shown = self._discovery.show(scope["path"], peer)
            if shown is None:
                await self._answer(scope, receive, send)
            else:
                await self._show(shown, scope, send)
        finally:
            self._door.leave(network)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._router.find(scope["method"], scope["raw_path"])
        if isinstance(found, Found):
            answering = self._answering[found.route.method.path](found, scope, receive, send)
        else:
            answering = self._refusing(found, scope, send)
        await cancelled_with_client(answering, scope)

    async def _give_up(self, scope: Scope, send: Send, error: Exception) -> None:
        try:
            await self._turn_away(scope, send, _INTERNAL, "internal_error", "internal error")
        except RuntimeError:
            # A part of the answer is out: uvicorn ends the connection.
            raise error from None

    async def _show(self, shown: Shown, scope: Scope, send: Send) -> None:
        own = {b"content-type": shown.content_type.encode("ascii")}
        if shown.max_age:
            own[b"cache-control"] = b"public, max-age=%d" % shown.max_age
        if shown.retry_after:
            own[b"retry-after"] = b"%d" % shown.retry_after
        headers = [each for each in self._always if each[0] not in own]
        headers += [*own.items(), *_request_id(scope)]
        headers.append((b"content-length", b"%d" % len(shown.body)))
        await send({"type": "http.response.start", "status": shown.status, "headers": headers})
        await send({"type": "http.response.body", "body": shown.body})

    async def _turn_away(self, scope: Scope, send: Send, status: int, reason: str, message: str) -> None:
        """Refuse before the chain: there is nobody to ask for, and nothing to record that a flood could not make."""
        body = error_body(reason, message)
        headers = [
            *self._always,
            *_request_id(scope),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _request_id(scope: Scope) -> list[Header]:
    return header_lines([(REQUEST_ID, request_id(_first(scope["headers"], _REQUEST_ID)))])


def _first(headers: Sequence[Any], name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in headers if key == name), "")


def _names(headers: Sequence[Any], known: frozenset[str]) -> bool:
    hosts = [value.decode("latin-1") for key, value in headers if key == b"host"]
    if len(hosts) != 1:
        return not hosts
    host = hosts[0]
    name = host if host.endswith("]") or ":" not in host else host.rpartition(":")[0]
    name = name.strip("[]").lower()
    return name in known or is_loopback_host(name)
