"""Receivers of alerts on loopback, and alerts on their way to them. Used by the tests of alerts and webhooks."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from authz.clock import SystemClock
from authz.detection import Alert, Alerts
from authz.settings.alerts import AlertsSettings
from authz.settings.detection import Severity
from examples.webhook_receiver.receiver import make_server

SECRET = "a-secret-of-some-length"
Statuses = Callable[[int], int]


def lines(log: io.StringIO, event: str) -> list[dict[str, Any]]:
    """The records of one event."""
    return [line for line in map(json.loads, log.getvalue().splitlines()) if line["event"] == event]


@contextmanager
def served(server: HTTPServer) -> Iterator[str]:
    """A server on a thread, by its URL."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def receiver(secrets: Callable[[], list[bytes]] = lambda: [SECRET.encode()]) -> Iterator[tuple[str, list[Any]]]:
    """The receiver of the examples, and what it believed."""
    found: list[Any] = []
    with served(make_server(("127.0.0.1", 0), secrets, found.append)) as url:
        yield url, found


@contextmanager
def answering(statuses: Statuses) -> Iterator[tuple[str, list[Any]]]:
    """A server that answers the n-th post with a status, and what was posted with what headers."""
    posts: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            posts.append((json.loads(body), dict(self.headers.items())))
            self.send_response(statuses(len(posts)))
            self.send_header("location", "http://127.0.0.1:1/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Quiet."""

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url, posts


def alerts_to(*urls: str, **settings: Any) -> Alerts:
    """Alerts that are delivered by the real clock, with short waits."""
    webhooks = [{"url": url, "secret": SECRET} for url in urls]
    chosen = AlertsSettings.model_validate({"webhooks": webhooks, "flush": 2, "timeout": 1, **settings})
    made = Alerts(chosen, SystemClock(), node="node-1", first_wait=0.01, longest_wait=0.05)
    made.start()
    return made


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.005)


def numbered(number: int, severity: Severity = Severity.WARNING) -> Alert:
    """An alert unlike others."""
    return Alert("rate", severity, f"issuer/{number}")


def self_signed(folder: Path) -> Path:
    """A certificate for 127.0.0.1 with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "receiver.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path
