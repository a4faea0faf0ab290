"""One HTTP connection: uvicorn's, held to bounds that it does not have. Used by `server`.

uvicorn waits for a request as long as the client likes, keeps any amount of headers and of requests that were sent
ahead, takes trailers for headers, and waits for a client that does not read. Here all of these have bounds, and what
two readers could read in two ways is refused.
"""

from __future__ import annotations

import asyncio
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from authz.http.connections import MOST_ARRIVING
from authz.http.errors import error_body
from authz.http.tls import is_outdated

if TYPE_CHECKING:
    from uvicorn import Config
    from uvicorn.server import ServerState

    from authz.http.connections import Connections

_BAD, _LATE, _TOO_MANY, _HEAD_TOO_LARGE = 400, 408, 429, 431
_REASONS = {_BAD: "validation_error", _LATE: "deadline_exceeded"} | dict.fromkeys(
    (_TOO_MANY, _HEAD_TOO_LARGE), "resource_exhausted"
)
_READ_BYTES = 262_144
"""How much an event loop reads at once."""
_SEPARATORS = 4
"""A colon, a space, and the end of the line."""
_WORTH = 9
"""How many bytes may arrive for one of the body: chunks may be of one byte each, and no smaller."""
_SMALL = 65_536
_MOST_AHEAD = 64
"""How many requests may wait for the answer to the one before."""
_VERSIONS = frozenset({"1.0", "1.1"})
_NOT_HTTP = "the request is not HTTP/1.1"
_TOO_LARGE = "the head of the request is too large"
_NEVER = float("inf")
EXTENSION = "authz"
"""Under which the scope of a request has its connection."""


class _Refused(Exception):
    """Ends the parsing of what was refused."""


class Connection(HttpToolsProtocol):
    """See the module.

    The methods are those of `asyncio.Protocol` and callbacks of httptools: uvicorn's work is done by its own.
    """

    def __init__(self, connections: Connections, config: Config, state: ServerState) -> None:
        super().__init__(config, state, {})
        self.running: asyncio.Task[Any] | None = None
        """What answers the present request."""
        self.is_lost = False
        self._connections = connections
        self._bounds = connections.bounds
        # Until when a request must have arrived, what was sent must be read, and a next request must begin.
        self._arrives_by = self._reads_by = self._asks_by = self._closes_at = _NEVER
        self._is_arriving = False
        self._is_in_head = True
        self._has_cycle = False
        """Whether the request that arrives is one that is answered."""
        self._head_bytes = self._spent = self._held = 0
        self._is_refused = False
        self._certificate: bytes | None = None

    @property
    def certificate(self) -> bytes | None:
        """The certificate that the client proved to have, as PEM."""
        if self._certificate is None:
            tls = self.transport.get_extra_info("ssl_object")
            shown = None if tls is None else tls.getpeercert(binary_form=True)
            self._certificate = None if shown is None else ssl.DER_cert_to_PEM_cert(shown).encode("ascii")
        return self._certificate

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a first request, unless there are too many connections."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        if not self._connections.add(self) or (tls is not None and is_outdated(tls)):
            transport.abort()
            return
        now = self._connections.now()
        self._asks_by = now + self._bounds.arrival
        self._closes_at = now + self._bounds.age

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is done for the client."""
        self.is_lost = True
        self._let_go()
        self._connections.remove(self)
        super().connection_lost(exc)
        if self.running is not None:
            self.running.cancel()

    def data_received(self, data: bytes) -> None:
        """Read on, as far as a request may go."""
        self._unset_keepalive_if_required()
        size = len(data)
        while data and not self._is_refused:
            data = self._parse(data)
        if self._is_arriving:
            self._spent += size
            if self._spent > self._bounds.max_head_bytes + _READ_BYTES:
                self._refuse(_HEAD_TOO_LARGE, _TOO_LARGE)

    def _parse(self, data: bytes) -> bytes:
        """Read what there is; returns what is to be read again."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as found:
            # A client may offer another protocol, which is not taken up: the request counts, without the offer. The
            # parser has stopped behind the head, for it leaves the rest to whoever takes up the offer.
            return self._without_offer() + data[found.args[0] :]
        except httptools.HttpParserError:
            self._refuse(_BAD, _NOT_HTTP)
        return b""

    def on_message_begin(self) -> None:
        """A request begins to arrive."""
        super().on_message_begin()
        self._is_arriving = self._is_in_head = True
        self._has_cycle = False
        self._head_bytes = self._spent = 0
        self._arrives_by, self._asks_by = self._connections.now() + self._bounds.arrival, _NEVER
        self.scope["extensions"] = cast("dict[str, Any]", {EXTENSION: self})

    def on_url(self, url: bytes) -> None:
        """More of the target is there."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is there, or a trailer, which could say what no header may: it is counted and left out."""
        self._count(len(name) + len(value) + _SEPARATORS)
        if self._is_in_head:
            # The parser leaves the white space behind a value, which is no part of it (RFC 9110, section 5.5).
            super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """The head of a request is there."""
        self._check_head()
        if self.parser.should_upgrade():
            return
        if len(self.pipeline) >= _MOST_AHEAD:
            self._stop(_BAD, "too many requests are sent ahead")
        super().on_headers_complete()
        self._is_in_head, self._head_bytes, self._has_cycle = False, 0, True
        # Whoever asks whether to go on may then leave the rest out: what follows could be that, or the next request.
        if self.expect_100_continue or self._connections.now() >= self._closes_at:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """More of a request is there."""
        self._spent -= _WORTH * len(body)
        if self._has_cycle and not self.cycle.response_complete:
            self._held += len(body)
            self._connections.arriving += len(body)
            if self._held > _SMALL and self._connections.arriving > MOST_ARRIVING:
                self._stop(_TOO_MANY, "too many large requests arrive at once")
            super().on_body(body)

    def on_message_complete(self) -> None:
        """All of a request is there."""
        if self._has_cycle:
            self._is_arriving, self._arrives_by = False, _NEVER
            self._let_go()
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """A request is answered."""
        self._asks_by = _NEVER if self.pipeline else self._connections.now() + self._bounds.idle
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        self._reads_by = self._connections.now() + self._bounds.stall

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._reads_by = _NEVER

    def look(self, now: float) -> bool:
        """Cut the connection if its client is late; whether it was."""
        if self._reads_by <= now:
            self.transport.abort()
        elif self._arrives_by <= now:
            self._refuse(_LATE, "the request did not arrive in time")
        elif self._asks_by <= now:
            self._close()
        else:
            # An answer that was sent last and never read keeps a connection that is closed.
            if self.transport.is_closing() and self._reads_by == _NEVER:
                self._reads_by = now + self._bounds.stall
            return False
        return True

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if cycle.disconnected:  # it was refused while others were answered
            self._close()
        else:
            super()._start_asgi_task(cycle, app)

    def _without_offer(self) -> bytes:
        """The head of the present request as it would be without the offer of another protocol."""
        version, method = self.parser.get_http_version(), self.parser.get_method()
        self.parser = httptools.HttpRequestParser(self)
        lines = [b"%s: %s\r\n" % each for each in self.headers if each[0] != b"upgrade"]
        return b"%s %s HTTP/%s\r\n%s\r\n" % (method, self.url, version.encode("ascii"), b"".join(lines))

    def _check_head(self) -> None:
        """Refuse what another reader, before or behind this one, could take for another request."""
        version = self.parser.get_http_version()
        names = [name for name, _ in self.headers]
        hosts = names.count(b"host")
        if version not in _VERSIONS or self.parser.get_method() == b"CONNECT":
            self._stop(_BAD, _NOT_HTTP)
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            self._stop(_BAD, "the request must have one header `host`")
        if b"transfer-encoding" in names:
            codings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
            if codings != [b"chunked"] or version == "1.0":
                self._stop(_BAD, "the body has a coding other than `chunked`")

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._bounds.max_head_bytes:
            self._stop(_HEAD_TOO_LARGE, _TOO_LARGE)

    def _stop(self, status: int, message: str) -> NoReturn:
        self._refuse(status, message)
        raise _Refused

    def _refuse(self, status: int, message: str) -> None:
        """Answer without a call, and close. Requests that came before are answered as if nothing had followed."""
        if self._is_refused:
            return
        self._is_refused = True
        self._arrives_by = self._asks_by = _NEVER
        cycle, has_cycle = self.cycle, self._is_arriving and self._has_cycle
        is_answered = cycle is None or cycle.response_complete
        if not is_answered:
            cycle.keep_alive = False
            if not has_cycle:
                return
            cycle.disconnected = True
            cycle.message_event.set()
            if self.pipeline:
                return
        if cycle is not None and has_cycle and cycle.response_started:
            self._close()
            return
        self._tell(status, message)
        self._close()

    def _tell(self, status: int, message: str) -> None:
        body = error_body(_REASONS[status], message)
        phrase = HTTPStatus(status).phrase
        head = f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.transport.write(f"{head}Connection: close\r\n\r\n".encode("ascii") + body)

    def _let_go(self) -> None:
        self._connections.arriving -= self._held
        self._held = 0

    def _close(self) -> None:
        self.transport.close()
        self._arrives_by = self._asks_by = _NEVER
