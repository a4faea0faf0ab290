"""Fixtures for all tests."""

import hypothesis
import pytest

# How long an example takes says nothing on a machine that does other things too.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

pytest_plugins = ["tests.support.postgres", "tests.support.datastores", "tests.support.server"]


@pytest.fixture
def anyio_backend() -> str:
    """The service runs on asyncio; tests that are coroutines are marked `anyio`."""
    return "asyncio"
