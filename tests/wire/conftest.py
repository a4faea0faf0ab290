"""A service in this process, and a client over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from authz.app import serving
from authz.settings import Settings
from tests.wire.support import Client, connect


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A free port and a fresh SQLite database; bugs raise."""
    return Settings(
        grpc_addr="127.0.0.1:0", datastore_uri=f"sqlite:///{tmp_path}/authz.db", raise_bugs=True, shutdown_grace=0.2
    )


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    """A client of a service with the settings."""
    async with serving(settings) as service, grpc.aio.insecure_channel(service.grpc_address) as channel:
        yield connect(service, channel)
