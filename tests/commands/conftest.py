"""Fixtures for the tests of commands."""

from __future__ import annotations

import pytest

from authz.commands.services import Services
from authz.store.sql import SqlDatastore
from tests.commands.support import services_over


@pytest.fixture
def services(sqlite_datastore: SqlDatastore) -> Services:
    """Services over an empty SQLite datastore."""
    return services_over(sqlite_datastore)
