"""Fixtures for the tests of rights."""

from __future__ import annotations

import pytest

from authz.store.sql import SqlDatastore
from tests.access.authorization.support import World, world_over


@pytest.fixture
async def world(sqlite_datastore: SqlDatastore) -> World:
    """A service with an empty system store; for tests marked `anyio`."""
    return await world_over(sqlite_datastore)
