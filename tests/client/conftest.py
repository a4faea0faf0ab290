"""Services for the tests of the client: a scripted one, and stores of a real one."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from authz.client import Client
from tests.client.support import MODEL, Scripted, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz.client.sync_calls import Calls
    from tests.support.server import RunningServer


@pytest.fixture
def service() -> Iterator[Scripted]:
    """A service that answers as the test says."""
    with scripted() as running:
        yield running


@pytest.fixture
def docs(server: RunningServer) -> Iterator[Calls]:
    """A client on a new store of a real service, with a model."""
    with Client(server.address, timeout=30) as client:
        calls = client.on(client.create_store("client").id)
        calls.write_model(MODEL)
        yield calls


@pytest.fixture
def unused_tcp_address() -> str:
    """Where nothing answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"
