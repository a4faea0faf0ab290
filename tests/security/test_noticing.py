"""Unusual behaviour over real sockets: who turns from slow to furious is held back and alerted about, and let go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from authz._proto.authz.v1 import access_pb2
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.clock import SystemClock
from authz.detection import watch
from tests.detection.receivers import SECRET, receiver
from tests.security.conftest import Secured, access_stub, running
from tests.support.issuer import LocalIssuer
from tests.wire.support import Client, check_request

pytestmark = pytest.mark.anyio

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
QUESTION = "document:1#viewer@user:anne"
HOUR = 3600.0
BURST = 10_000 / 60
"""Checks a second."""


class Ahead:
    """The clock of the machine, set forward at will: its hands apart, for a receiver goes by the time of day."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self.offset = self.hands = 0.0

    def now(self) -> datetime:
        """See `Clock`."""
        return self._clock.now() + timedelta(seconds=self.hands)

    def monotonic(self) -> float:
        """See `Clock`."""
        return self._clock.monotonic() + self.offset


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Ahead:
    """The clock of the service. It is looked for unusual behaviour so often that hours may pass in seconds."""
    monkeypatch.setattr(watch, "TICK_SECONDS", 0.02)
    return Ahead()


@asynccontextmanager
async def watched(
    folder: Path, issuer: LocalIssuer, clock: Ahead, **detection: Any
) -> AsyncIterator[tuple[Secured, str, list[Any]]]:
    """A service that tells a receiver of alerts, a store, and what the receiver believed."""
    with receiver() as (url, believed):
        given = {
            # Hours pass between two looks at the orders that hold.
            "access": {"revocation_max_age": 1e9},
            "alerts": {"webhooks": [{"url": url, "secret": SECRET}]},
            "detection": detection,
        }
        async with running(folder, issuer, clock=clock, **given) as secured:
            admin = secured.as_admin()
            store_id = (await admin.stub.CreateStore(pb.CreateStoreRequest(name="shop"))).id
            yield secured, store_id, believed


async def programmed(secured: Secured, name: str, store_id: str) -> Client:
    """A program that may check."""
    token = secured.issuer.token(secured.issuer.add_client(name, "authz:check"))
    grant = access_pb2.Grant(principal=f"main/{name}", role="checker", store_id=store_id)
    await access_stub(secured.as_admin()).Grant(access_pb2.GrantRequest(grant=grant))
    return secured.as_bearer(token)


async def refused(client: Client, store_id: str) -> grpc.aio.AioRpcError:
    """How a check fails: a store without a model has no answer, which is no matter here."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.stub.Check(check_request(store_id, QUESTION))
    return caught.value


async def code(client: Client, store_id: str) -> grpc.StatusCode:
    """With which status it fails."""
    return (await refused(client, store_id)).code()


async def is_slow(client: Client, store_id: str, clock: Ahead) -> None:
    """Half an hour at 100 checks an hour."""
    for _ in range(50):
        assert await code(client, store_id) is not EXHAUSTED
        clock.offset += HOUR / 100
        await asyncio.sleep(0.03)


async def is_held_back(client: Client, store_id: str, seconds: float) -> float | None:
    """After how many seconds of a burst the first call was refused for its rate; None when none was."""
    began = time.monotonic()
    sent = 0
    while (elapsed := time.monotonic() - began) < seconds:
        count = int(elapsed * BURST) - sent
        sent += count
        if EXHAUSTED in await asyncio.gather(*(code(client, store_id) for _ in range(count))):
            return time.monotonic() - began
        await asyncio.sleep(0.05)
    return None


async def test_a_burst_is_held_back_and_alerted_about(tmp_path: Path, issuer: LocalIssuer, clock: Ahead) -> None:
    """A principal with 100 checks an hour that turns to 10,000 a minute is limited, and a signed alert is out, within
    seconds. The limit holds what it says, tells how long to wait, spares others, and ends."""
    async with watched(tmp_path, issuer, clock) as (secured, store_id, believed):
        shop = await programmed(secured, "shop", store_id)
        other = await programmed(secured, "other", store_id)
        await is_slow(shop, store_id, clock)
        held = await is_held_back(shop, store_id, 8)
        assert held is not None
        assert held < 5
        began = time.monotonic()
        while not believed:
            assert time.monotonic() - began < 2
            await asyncio.sleep(0.02)
        assert (believed[0]["kind"], believed[0]["principal"]) == ("rate", "main/shop")
        assert {await code(other, store_id) for _ in range(20)} != {EXHAUSTED}
        for _ in range(100):
            await code(shop, store_id)
        error = await refused(shop, store_id)
        assert error.code() is EXHAUSTED
        assert dict(error.trailing_metadata() or ())["retry-after"] == "1"
        await asyncio.sleep(1.0)
        codes = [await code(shop, store_id) for _ in range(60)]
        assert 5 <= len([each for each in codes if each is not EXHAUSTED]) <= 15
        clock.offset += HOUR
        assert EXHAUSTED not in [await code(shop, store_id) for _ in range(60)]


async def test_administrators_are_alerted_about_and_not_held_back(
    tmp_path: Path, issuer: LocalIssuer, clock: Ahead
) -> None:
    """Otherwise an attacker could lock the operators out."""
    async with watched(tmp_path, issuer, clock) as (secured, store_id, believed):
        admin = secured.as_admin()
        await is_slow(admin, store_id, clock)
        assert await is_held_back(admin, store_id, 4) is None
        assert ("rate", "key/root") in [(each["kind"], each["principal"]) for each in believed]


async def test_a_principal_is_suspended_if_so_configured(tmp_path: Path, issuer: LocalIssuer, clock: Ahead) -> None:
    """Every call of it is refused within a second, and the time after which it may come back is kept."""
    responses = {"rate": {"critical": ["alert", "suspend"]}}
    async with watched(tmp_path, issuer, clock, responses=responses) as (secured, store_id, believed):
        shop = await programmed(secured, "shop", store_id)
        await is_slow(shop, store_id, clock)
        began = time.monotonic()
        while await code(shop, store_id) is not grpc.StatusCode.PERMISSION_DENIED:
            await asyncio.gather(*(code(shop, store_id) for _ in range(20)))
            assert time.monotonic() - began < 8
        error = await refused(shop, store_id)
        assert "suspended" in str(error.details())
        assert believed
        clock.hands += HOUR
        assert await code(shop, store_id) is not grpc.StatusCode.PERMISSION_DENIED


async def test_repeated_failures_to_authenticate_are_alerted_about_and_slowed(
    tmp_path: Path, issuer: LocalIssuer, clock: Ahead
) -> None:
    """An address that guesses must wait, and the operators are told."""
    async with watched(tmp_path, issuer, clock) as (secured, store_id, believed):
        guesser = secured.as_bearer("nonsense")
        codes = [await code(guesser, store_id) for _ in range(60)]
        assert codes[:30] == [grpc.StatusCode.UNAUTHENTICATED] * 30
        assert codes[-1] is EXHAUSTED
        began = time.monotonic()
        while not believed:
            assert time.monotonic() - began < 3
            await asyncio.sleep(0.02)
        assert believed[0]["kind"] == "authentication"
        assert believed[0]["details"]["peer"] == "127.0.0.1"
