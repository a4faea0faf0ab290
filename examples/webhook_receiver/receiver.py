"""Receive alerts of authz, and refuse what is forged, altered, old or replayed. Standard library only.

    python receiver.py --port 9000 --secret-file webhook.secret

`verify` and `Nonces` are what to take into a service of your own.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WINDOW_SECONDS = 300
"""How far the time of an alert may be from ours."""
MAX_BODY_BYTES = 65_536
MAX_NONCES = 100_000
MAX_NONCE_CHARACTERS = 64
READ_SECONDS = 10


class Refused(Exception):
    """An alert that must not be believed. The message says why; it is for our log, not for the sender."""


class Nonces:
    """What was received within the window, so that nothing counts twice.

    Bounded: when it is full, alerts are refused until old ones have left the window; they are sent again.
    """

    def __init__(self, capacity: int = MAX_NONCES, window: float = WINDOW_SECONDS) -> None:
        self._capacity = capacity
        # A delivery may be dated up to a window ahead of us, and is fresh until a window after that.
        self._kept = 2 * window
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def is_new(self, nonce: str, now: float) -> bool:
        """Note a nonce; whether it is seen for the first time. `now` is in seconds since 1970."""
        with self._lock:
            while self._seen and next(iter(self._seen.values())) <= now - self._kept:
                self._seen.popitem(last=False)
            if nonce in self._seen or len(self._seen) >= self._capacity:
                return False
            self._seen[nonce] = now
            return True


def verify(headers: Mapping[str, str], body: bytes, secrets: Iterable[bytes], nonces: Nonces, now: float) -> None:
    """Check time, signature and nonce of one delivery. While a secret is replaced, `secrets` holds both.

    Raises:
        Refused: it is not of who knows a secret, not of now, or not the first of its kind.

    """
    timestamp = headers.get("authz-timestamp", "")
    nonce = headers.get("authz-nonce", "")
    given = headers.get("authz-signature", "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise Refused("no timestamp")
    if not (nonce.isascii() and nonce.isalnum() and len(nonce) <= MAX_NONCE_CHARACTERS):
        raise Refused("no nonce")
    if abs(now - int(timestamp)) > WINDOW_SECONDS:
        raise Refused("too old, or from the future")
    signed = b".".join((timestamp.encode(), nonce.encode(), body))
    expected = ["v1=" + hmac.new(secret, signed, hashlib.sha256).hexdigest() for secret in secrets]
    # all of them, and each in constant time: how long it takes tells nothing
    matches = [hmac.compare_digest(each.encode(), given.encode("utf-8", "replace")) for each in expected]
    if not any(matches):
        raise Refused("wrong signature")
    # last, so that only who knows a secret can fill the store
    if not nonces.is_new(nonce, now):
        raise Refused("seen before")


def read_secrets(path: Path) -> list[bytes]:
    """The secrets of a file, one a line; the first is the one in use, others are former ones."""
    return [line.strip() for line in path.read_bytes().splitlines() if line.strip()]


def make_server(
    address: tuple[str, int],
    secrets: Callable[[], Iterable[bytes]],
    accept: Callable[[dict[str, object]], None],
    clock: Callable[[], float] = time.time,
) -> ThreadingHTTPServer:
    """A server that hands every alert to `accept`, once by its id, and answers 204, or 401 to what it refuses.

    The sender takes an answer that did not reach it for a failure and posts again, under a new nonce: the id tells.
    """
    nonces, ids = Nonces(), Nonces()

    class Handler(BaseHTTPRequestHandler):
        timeout = READ_SECONDS

        def do_POST(self) -> None:
            try:
                length = int(self.headers.get("content-length", ""))
            except ValueError:
                return self._answer(411)
            if not 0 < length <= MAX_BODY_BYTES:
                return self._answer(413)
            body = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                verify(headers, body, secrets(), nonces, clock())
            except Refused as refused:
                print(f"refused: {refused}", flush=True)  # noqa: T201 - the log of this program
                return self._answer(401)
            alert = json.loads(body)
            if ids.is_new(str(alert["id"]), clock()):
                accept(alert)
            return self._answer(204)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.send_header("connection", "close")
            self.end_headers()
            self.close_connection = True

        def log_message(self, *_args: object) -> None:
            """Say nothing of what is posted."""

    return ThreadingHTTPServer(address, Handler)


def main() -> None:
    """Print alerts until interrupted."""
    parser = argparse.ArgumentParser(description="Print alerts of authz that are genuine.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--secret-file", type=Path, required=True)
    given = parser.parse_args()

    def show(alert: dict[str, object]) -> None:
        print(json.dumps(alert), flush=True)  # noqa: T201 - what this program is for

    server = make_server((given.host, given.port), lambda: read_secrets(given.secret_file), show)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
