"""Fixtures for all tests."""

from collections.abc import Iterator

import hypothesis
import pytest
import structlog

# How long an example takes says nothing on a machine that does other things too.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

pytest_plugins = ["tests.support.postgres", "tests.support.datastores", "tests.support.server"]


@pytest.fixture
def anyio_backend() -> str:
    """The service runs on asyncio; tests that are coroutines are marked `anyio`."""
    return "asyncio"


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """No test writes its log to where an earlier one in the same process did."""
    yield
    structlog.reset_defaults()
