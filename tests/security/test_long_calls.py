"""A call that lasts is not allowed more than a new one would be: whoever is stopped gets nothing further."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from authz._proto.authz.v1 import access_pb2, audit_pb2
from tests.security.conftest import Secured, access_stub, audit_stub
from tests.support.transports import TRANSPORTS
from tests.wire.support import reason_of

pytestmark = pytest.mark.anyio


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """What takes calls off the wire: each in turn."""
    return str(request.param)


STOPPED = [
    ("Suspend", access_pb2.SuspendRequest(principal="main/spy"), "forbidden"),
    ("RevokeTokens", access_pb2.RevokeTokensRequest(principal="main/spy"), "auth_failed_invalid_bearer_token"),
]


@pytest.mark.parametrize(("order", "request_", "reason"), STOPPED, ids=[each[0] for each in STOPPED])
async def test_who_follows_the_trail_is_stopped_by_an_order(
    secured: Secured, order: str, request_: Any, reason: str
) -> None:
    """
    Not one record made after the order reaches a caller that was let in before it.
    """
    access = access_stub(secured.as_admin())
    await access.Grant(access_pb2.GrantRequest(grant=access_pb2.Grant(principal="main/spy", role="auditor")))
    stream = audit_stub(secured.as_program("spy")).QueryRecords(audit_pb2.QueryRecordsRequest(follow=True))
    follows = asyncio.ensure_future(stream.read())
    while not follows.done():  # some record made after it began to follow
        await access.ListGrants(access_pb2.ListGrantsRequest())
        await asyncio.sleep(0.05)
    await getattr(access, order)(request_)
    seen: list[str] = []

    async def read_on() -> None:
        while True:
            seen.append((await stream.read()).record)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(read_on(), 10)
    assert reason_of(caught.value) == reason
    assert not any(f"/{order}" in record or "directive.add" in record for record in seen)
