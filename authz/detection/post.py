"""Post bytes to a URL: verified TLS, no redirects, no proxies, and an end in time whatever the receiver does. Used by
`webhooks`, on its thread."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

MAX_ANSWER_BYTES = 4096


class Target:
    """Where to post.

    Args:
        url: https, or http.
        context: how servers are verified; asked at every post, so that it may change.

    """

    def __init__(self, url: str, context: Callable[[], ssl.SSLContext]) -> None:
        parts = urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._secure else 80)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._context = context
        self.origin = f"{parts.scheme}://{parts.hostname}:{self._port}"
        """What may be logged of the URL, whose path may be a secret."""

    def post(self, body: bytes, headers: Mapping[str, str], seconds: float) -> int:
        """The status that the receiver answers with; a redirect is an answer like others.

        Raises:
            OSError: no connection, no valid certificate, or no answer within `seconds` after connecting.
            http.client.HTTPException: the answer is not HTTP.

        """
        raw = socket.create_connection((self._host, self._port), seconds)
        watchdog = threading.Timer(seconds, _cut, (raw,))
        watchdog.daemon = True
        try:
            if self._secure:
                # the handshake comes later: it must end in time too
                raw = self._context().wrap_socket(raw, server_hostname=self._host, do_handshake_on_connect=False)
                watchdog.args = (raw,)
            watchdog.start()
            if isinstance(raw, ssl.SSLSocket):
                raw.do_handshake()
            return self._exchange(raw, body, headers)
        finally:
            watchdog.cancel()
            raw.close()

    def _exchange(self, connected: socket.socket, body: bytes, headers: Mapping[str, str]) -> int:
        connection = http.client.HTTPConnection(self._host, self._port)
        connection.sock = connected
        try:
            connection.request("POST", self._path, body, {**headers, "connection": "close"})
            answer = connection.getresponse()
            answer.read(MAX_ANSWER_BYTES)
            answer.close()
            return answer.status
        finally:
            connection.close()


def _cut(connected: socket.socket) -> None:
    # not `SSLSocket.shutdown`, which takes away what the other thread reads from
    try:
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
    except OSError:
        return
