"""Fresh datastores for tests. Loaded as a plugin by `tests/conftest.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from authz.store.sql import SqlDatastore, migrate_datastore, open_datastore
from tests.support.scribe import PlainScribe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
def sqlite_uri(tmp_path: Path) -> str:
    """A migrated SQLite database."""
    uri = f"sqlite:///{tmp_path}/authz.db"
    migrate_datastore(uri)
    return uri


@pytest.fixture
def postgres_uri(postgres_database: str) -> str:
    """A migrated PostgreSQL database."""
    migrate_datastore(postgres_database)
    return postgres_database


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def datastore_uri(request: pytest.FixtureRequest) -> str:
    """A migrated database of each kind."""
    return str(request.getfixturevalue({"sqlite": "sqlite_uri", "postgresql": "postgres_uri"}[request.param]))


@pytest.fixture
async def datastore(datastore_uri: str) -> AsyncIterator[SqlDatastore]:
    """A datastore of each kind; for tests marked `anyio`."""
    store = open_datastore(datastore_uri)
    yield store
    await store.close()


@pytest.fixture
async def other_node(datastore_uri: str) -> AsyncIterator[SqlDatastore]:
    """A second datastore over the database of `datastore`, as another process would have it."""
    store = open_datastore(datastore_uri)
    yield store
    await store.close()


@pytest.fixture
async def trailed(datastore_uri: str) -> AsyncIterator[SqlDatastore]:
    """A datastore of each kind that records changes."""
    store = open_datastore(datastore_uri, PlainScribe())
    yield store
    await store.close()


@pytest.fixture
async def other_trailed(datastore_uri: str) -> AsyncIterator[SqlDatastore]:
    """A second datastore that records changes, over the database of `trailed`."""
    store = open_datastore(datastore_uri, PlainScribe())
    yield store
    await store.close()


@pytest.fixture
async def sqlite_datastore(sqlite_uri: str) -> AsyncIterator[SqlDatastore]:
    """A datastore on SQLite alone; for tests marked `anyio`."""
    store = open_datastore(sqlite_uri)
    yield store
    await store.close()
