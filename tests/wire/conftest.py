"""A service in this process, and a client over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from authz.app import serving
from authz.settings import Settings
from tests.support.transports import TRANSPORTS
from tests.wire.support import Client, connect


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """What takes calls off the wire; every test that asks for it runs with each."""
    return str(request.param)


@pytest.fixture
def settings(tmp_path: Path, transport: str) -> Settings:
    """A free port and a fresh SQLite database; bugs raise."""
    return Settings.model_validate(
        {
            "grpc_addr": "127.0.0.1:0",
            "datastore_uri": f"sqlite:///{tmp_path}/authz.db",
            "raise_bugs": True,
            "shutdown_grace": 0.2,
            "transport": transport,
        }
    )


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    """A client of a service with the settings."""
    async with serving(settings) as service, grpc.aio.insecure_channel(service.grpc_address) as channel:
        yield connect(service, channel)
