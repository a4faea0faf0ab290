"""Fixtures for all tests."""

import pytest

pytest_plugins = ["tests.support.postgres", "tests.support.datastores", "tests.support.server"]


@pytest.fixture
def anyio_backend() -> str:
    """The service runs on asyncio; tests that are coroutines are marked `anyio`."""
    return "asyncio"
