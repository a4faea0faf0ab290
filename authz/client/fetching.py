"""One HTTP request whose time holds for all of it, however slowly its answer arrives. Used by `oauth` for tokens.

A timeout of a socket is for each wait of its own: an endpoint that sends a byte now and then would be waited for as
long as it likes. So the socket is shut down when the time has passed, whatever is being read from it then.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from typing import Any

from authz.addresses import is_loopback_host

MAX_ANSWER_BYTES = 256 * 1024


class Fetcher:
    """Sends requests to one host; `ca` is PEM, else the system's authorities. Follows no redirect."""

    def __init__(self, url: str, ca: bytes | None) -> None:
        self._context = ssl.create_default_context(cadata=ca.decode("ascii") if ca else None)
        self._is_local = is_loopback_host(urllib.parse.urlsplit(url).hostname or "")

    def fetch(self, request: urllib.request.Request, seconds: float) -> bytes:
        """The body of the answer, or the beginning of one that is too large: more than `MAX_ANSWER_BYTES`.

        Raises:
            Refusal: the answer is an error.
            OSError: there was none within `seconds`. Looking up a name and connecting may take as long again.
            ValueError: it is malformed. So may exceptions of `http.client` say.

        """
        cord = _Cord()
        timer = threading.Timer(seconds, cord.cut)
        timer.daemon = True
        timer.start()
        try:
            with self._opener(cord).open(request, timeout=seconds) as answer:
                return _read(answer, cord)
        except urllib.error.HTTPError as error:
            with error:
                raise Refusal(error.code, _read(error, cord)) from None
        except Exception:
            cord.check()
            raise
        finally:
            timer.cancel()

    def _opener(self, cord: _Cord) -> urllib.request.OpenerDirector:
        handlers: list[urllib.request.BaseHandler] = [_NoRedirects(), _Http(cord), _Https(cord, self._context)]
        if self._is_local:
            handlers.append(urllib.request.ProxyHandler({}))
        return urllib.request.build_opener(*handlers)


class Refusal(Exception):
    """An answer with a status that is an error, and its body."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class _Cord:
    """Ends what waits for a socket."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_cut = False

    def hold(self, held: socket.socket) -> None:
        """This is the socket now: TLS puts one of its own in place of another."""
        with self._lock:
            self._socket = held
        self.check()

    def cut(self) -> None:
        """The time has passed."""
        with self._lock:
            self._is_cut = True
            if self._socket is not None:
                with suppress(OSError):
                    # Not that of TLS, which would be read in clear text from then on.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def check(self) -> None:
        """An end of what was read may be no end but this: raises TimeoutError then."""
        if self._is_cut:
            raise TimeoutError


def _read(answer: Any, cord: _Cord) -> bytes:
    raw: bytes = answer.read(MAX_ANSWER_BYTES + 1)
    cord.check()
    return raw


def _held(kind: type[http.client.HTTPConnection], cord: _Cord) -> Any:
    class Connection(kind):  # type: ignore[misc, valid-type]  # one of two classes, known when it is called
        """One whose socket is held from the moment it is there."""

        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name == "sock" and value is not None:
                cord.hold(value)

    return Connection


class _Http(urllib.request.HTTPHandler):
    """In clear text, on this machine."""

    def __init__(self, cord: _Cord) -> None:
        super().__init__()
        self._cord = cord

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Connect and send."""
        return self.do_open(_held(http.client.HTTPConnection, self._cord), req)


class _Https(urllib.request.HTTPSHandler):
    """Over TLS."""

    def __init__(self, cord: _Cord, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._cord = cord
        self._authorities = context

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Connect and send."""
        return self.do_open(_held(http.client.HTTPSConnection, self._cord), req, context=self._authorities)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The secret goes to the endpoint that was named, and to no other."""

    def redirect_request(self, *_args: Any, **_named: Any) -> None:
        """Never."""
        return
