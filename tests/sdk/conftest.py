"""Fixtures for tests with programs of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sdk.clients import Kind, Sdk, create_store, opened
from tests.support.http import url_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.server import RunningServer


@pytest.fixture
def api_url(server: RunningServer) -> str:
    """Where a server answers."""
    return url_of(server)


@pytest.fixture(params=["async", "sync"])
def sdk(request: pytest.FixtureRequest, api_url: str) -> Iterator[Sdk]:
    """A client of either kind, without a store."""
    kind: Kind = request.param
    with opened(kind, api_url=api_url) as client:
        yield client


@pytest.fixture
def documents(sdk: Sdk) -> Sdk:
    """A client of either kind, with a store of its own that has the model `clients.DOCUMENTS`."""
    create_store(sdk)
    return sdk
