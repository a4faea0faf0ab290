"""A service with authentication on, an issuer of tokens, and callers of different standing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from authz._proto.authz.v1.access_pb2_grpc import AccessServiceStub
from authz._proto.authz.v1.audit_pb2_grpc import AuditServiceStub
from authz.access.authentication import new_key
from authz.app import Serving, serving
from authz.clock import Clock, SystemClock
from authz.settings import Settings
from tests.support.issuer import LocalIssuer
from tests.wire.support import Client, connect

ALL_SCOPES = "authz:check authz:read authz:write authz:model authz:admin"


@pytest.fixture
def issuer() -> Iterator[LocalIssuer]:
    """A running authorization server."""
    with LocalIssuer() as running:
        yield running


@dataclass
class Secured:
    """A service with authentication, and how to call it as somebody."""

    service: Serving
    issuer: LocalIssuer
    admin_key: str
    channels: list[grpc.aio.Channel] = field(default_factory=list)

    def as_bearer(self, token: str) -> Client:
        """A client that sends a token with every call."""
        return self._client((("authorization", f"Bearer {token}"),))

    def as_admin(self) -> Client:
        """The first administrator, with its preshared key."""
        return self.as_bearer(self.admin_key)

    def as_program(self, name: str, scope: str = ALL_SCOPES) -> Client:
        """A program with a token of the issuer; its principal is `main/NAME`."""
        return self.as_bearer(self.token(name, scope))

    def token(self, name: str, scope: str = ALL_SCOPES) -> str:
        """A fresh token of a program."""
        return self.issuer.token(self.issuer.add_client(name, scope))

    def as_nobody(self) -> Client:
        """A client without credentials."""
        return self._client(())

    def _client(self, metadata: tuple[tuple[str, str], ...]) -> Client:
        channel = grpc.aio.insecure_channel(self.service.grpc_address, interceptors=_sending(metadata))
        self.channels.append(channel)
        return connect(self.service, channel)


def access_stub(client: Client) -> Any:
    """The stub of AccessService on a client's channel."""
    return AccessServiceStub(client.channel)


def audit_stub(client: Client) -> Any:
    """The stub of AuditService on a client's channel."""
    return AuditServiceStub(client.channel)


def secured_settings(folder: Path, issuer: LocalIssuer, **given: Any) -> tuple[Settings, str]:
    """Settings of a service with authentication, and the key of its administrator."""
    secret, line = new_key("root")
    keys = folder / "keys.txt"
    if keys.exists():
        secret = (folder / "root.secret").read_text()
    else:
        keys.write_text(line + "\n")
        (folder / "root.secret").write_text(secret)
    access = {
        "issuers": [{"name": "main", "issuer": issuer.url, "audiences": [issuer.audience]}],
        "keys_file": keys,
        "admins": ["key/root"],
        **given.pop("access", {}),
    }
    base = {
        "grpc_addr": "127.0.0.1:0",
        "datastore_uri": f"sqlite:///{folder}/authz.db",
        "raise_bugs": True,
        "shutdown_grace": 0.2,
        "access": access,
    }
    return Settings(**(base | given)), secret


@asynccontextmanager
async def running(
    folder: Path, issuer: LocalIssuer, *, clock: Clock | None = None, **given: Any
) -> AsyncIterator[Secured]:
    """A secured service while the block runs."""
    settings, key = secured_settings(folder, issuer, **given)
    async with serving(settings, clock or SystemClock()) as service:
        found = Secured(service, issuer, key)
        try:
            yield found
        finally:
            for channel in found.channels:
                await channel.close()


@pytest.fixture
def transport() -> str:
    """What takes calls off the wire; modules whose tests are about the wire say that they run with each."""
    return "grpcio"


@pytest.fixture
async def secured(tmp_path: Path, issuer: LocalIssuer, transport: str) -> AsyncIterator[Secured]:
    """A secured service over a fresh database."""
    async with running(tmp_path, issuer, transport=transport) as found:
        yield found


class _Unary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, metadata: tuple[tuple[str, str], ...]) -> None:
        self._metadata = metadata

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(_with(details, self._metadata), request)


class _Streaming(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, metadata: tuple[tuple[str, str], ...]) -> None:
        self._metadata = metadata

    async def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(_with(details, self._metadata), request)


def _sending(metadata: tuple[tuple[str, str], ...]) -> list[Any]:
    return [_Unary(metadata), _Streaming(metadata)]


def _with(details: Any, metadata: tuple[tuple[str, str], ...]) -> Any:
    merged = grpc.aio.Metadata(*(details.metadata or ()), *metadata)
    return grpc.aio.ClientCallDetails(
        details.method, details.timeout, merged, details.credentials, details.wait_for_ready
    )
