"""Where the HTTP edge of a running server is, and requests to it as bytes. Used by tests that speak HTTP."""

from __future__ import annotations

import http.client
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.server import RunningServer

PATIENCE = 20.0


def url_of(server: RunningServer) -> str:
    """The base URL of a server that speaks HTTP in clear text."""
    assert server.http, "the server does not speak HTTP"
    return f"http://{server.http}"


@contextmanager
def connected(server: RunningServer) -> Iterator[http.client.HTTPConnection]:
    """One connection; it is opened by the first request, and kept."""
    connection = http.client.HTTPConnection(server.http, timeout=PATIENCE)
    try:
        yield connection
    finally:
        connection.close()
