"""Serve the calls over HTTP/1.1 in the event loop of the process. Built and started by `app`."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.middleware.cors import CORSMiddleware
from uvicorn import Config
from uvicorn.server import ServerState

from authz.addresses import is_loopback
from authz.http.answers import headers_of_all
from authz.http.application import Application
from authz.http.connection import Connection
from authz.http.connections import Bounds, Connections
from authz.http.discovery import Discovery
from authz.http.openapi import document
from authz.http.pages import fixed
from authz.rpc.door import Door
from authz.rpc.metadata import CONSISTENCY, CONSISTENCY_TOKEN, MODEL_ID, REQUEST_ID, TRUNCATED
from authz.settings.limits import LimitsSettings
from authz.settings.web import WebSettings

if TYPE_CHECKING:
    from authz.http.pages import Page
    from authz.rpc.authzen.configuration import Configuration
    from authz.rpc.edge import Edge
    from authz.rpc.exchange import Method

_ASKED = ("authorization", "content-type", CONSISTENCY, MODEL_ID, REQUEST_ID, "traceparent", "tracestate")
_TOLD = (CONSISTENCY_TOKEN, MODEL_ID, REQUEST_ID, TRUNCATED, "retry-after", "deprecation", "sunset", "link")
_VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_BACKLOG = 2048


@dataclass(frozen=True, slots=True)
class HttpTransport:
    """What the server needs to know beneath the calls."""

    http: WebSettings = field(default_factory=WebSettings)
    limits: LimitsSettings = field(default_factory=LimitsSettings)
    tls: ssl.SSLContext | None = None
    """For https; None for clear text."""
    reuse_port: bool = False
    """Whether other processes may listen on the same port (SO_REUSEPORT)."""


class HttpServer:
    """The HTTP server of one process: open, serve, drain.

    Args:
        edge: what the chain works with.
        methods: the calls; those without a route are left out.
        pages: what is served beside them, by path.
        transport: see there.

    """

    def __init__(
        self, edge: Edge, methods: Sequence[Method], pages: Mapping[str, Page], transport: HttpTransport
    ) -> None:
        self._edge = edge
        self._methods = methods
        self._pages = pages
        self.configuration: Configuration | None = None
        """What AuthZEN's clients are told; set before `start`."""
        self._transport = transport
        self._limits = transport.limits
        self._is_local = False
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._connections = Connections(Bounds.of(transport.http, transport.limits), edge.services.clock.monotonic)
        self._state = ServerState()
        self._dating: asyncio.TimerHandle | None = None

    def listen(self, address: str) -> int:
        """Open the address; returns the port, which is a free one for port 0.

        Raises:
            OSError: the address is taken or cannot be opened.

        """
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        reuse = self._transport.reuse_port
        self._socket = socket.create_server((host, int(port)), family=family, backlog=_BACKLOG, reuse_port=reuse)
        self._is_local = self._edge.guard is None and is_loopback(address)
        found: int = self._socket.getsockname()[1]
        return found

    async def start(self) -> None:
        """Begin to answer."""
        assert self._socket is not None, "an address is opened before"
        make = self._maker()
        self._date()
        # A client that is slow with its part of TLS is cut before there is a connection to be counted.
        tls = self._transport.tls
        waiting = None if tls is None else self._limits.handshake_timeout
        self._server = await asyncio.get_running_loop().create_server(
            make, sock=self._socket, ssl=tls, backlog=_BACKLOG, ssl_handshake_timeout=waiting
        )

    async def drain(self, grace: float) -> None:
        """Take no more calls and let running ones end within `grace` seconds. The gate of the edge is closed before."""
        if self._server is None:
            if self._socket is not None:
                self._socket.close()
            return
        self._server.close()
        for connection in list(self._connections.open):
            connection.shutdown()
        if self._connections.open:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._connections.all_gone.wait(), grace)
        for connection in list(self._connections.open):
            connection.transport.abort()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)
        if self._dating is not None:
            self._dating.cancel()
        self._server = self._socket = None

    def _maker(self) -> Callable[[], Connection]:
        config = Config(
            self._application(),
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            interface="asgi3",
            timeout_keep_alive=round(self._limits.connection_idle) or 1,
        )
        config.load()
        _silence()
        return lambda: Connection(self._connections, config, self._state)

    def _application(self) -> Any:
        limits, clock = self._limits, self._edge.services.clock
        door = Door(limits.max_calls_per_peer, clock.monotonic)
        meter = self._edge.telemetry.meter
        meter.observe_source("authz.http.turned.away", lambda: door.refused + self._connections.refused)
        always = headers_of_all(is_tls=self._transport.tls is not None)
        http = self._transport.http
        interface = document(self._methods, http.public_url, proofs=self._proofs())
        pages = {**self._pages, "/openapi.json": fixed(interface)}
        application = Application(
            self._edge, self._methods, door, pages, always, discovery=self._discovery(), hosts=self._hosts()
        )
        if not http.cors_origins:
            return application
        return CORSMiddleware(
            application,
            allow_origins=http.cors_origins,
            allow_methods=_VERBS,
            allow_headers=_ASKED,
            expose_headers=_TOLD,
            max_age=round(http.cors_max_age),
        )

    def _hosts(self) -> frozenset[str] | None:
        if not self._is_local:
            return None
        named = urlsplit(self._transport.http.public_url).hostname
        return frozenset() if named is None else frozenset({named})

    def _discovery(self) -> Discovery | None:
        peers = self._edge.peers
        if self.configuration is None:
            return None
        return Discovery(self.configuration, None if peers is None else peers.admit)

    def _proofs(self) -> list[str]:
        guard = self._edge.guard
        if guard is None:
            return []
        return ["bearer", "certificate"] if guard.takes_certificates else ["bearer"]

    def _date(self) -> None:
        self._state.default_headers = [(b"date", formatdate(usegmt=True).encode("ascii"))]
        self._dating = asyncio.get_running_loop().call_later(1.0, self._date)


def _silence() -> None:
    """uvicorn's own lines: every call has one of ours, and what it says of malformed requests is text of anybody."""
    logger = logging.getLogger("uvicorn.error")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
