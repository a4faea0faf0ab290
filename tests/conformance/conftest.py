"""Fixtures of the conformance tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import grpc
import pytest

from authz._proto.openfga.v1.openfga_service_pb2_grpc import OpenFGAServiceStub
from tests.conformance.client import RemoteStore

if TYPE_CHECKING:
    from tests.support.server import RunningServer

NewStore = Callable[[], RemoteStore]


@pytest.fixture(scope="session")
def stub(server: RunningServer) -> Iterator[OpenFGAServiceStub]:
    """A client of the real server."""
    with grpc.insecure_channel(server.address) as channel:
        yield OpenFGAServiceStub(channel)


@pytest.fixture
def new_store(stub: OpenFGAServiceStub) -> NewStore:
    """Makes fresh stores on the real server."""
    return lambda: RemoteStore(stub, "conformance")
