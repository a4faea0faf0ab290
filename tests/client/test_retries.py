"""What is made again after a failure, and what never is."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import grpc
import pytest

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.client import AsyncClient, Check, Client, RetryPolicy, Tuple, errors
from tests.client.support import STORE, Fail, Give, Hang, Scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

UNAVAILABLE = Fail(grpc.StatusCode.UNAVAILABLE, "unavailable")
ONE = [Tuple("user:anne", "viewer", "document:1")]


@pytest.fixture
def client(service: Scripted) -> Iterator[Client]:
    """A client of the scripted service."""
    with Client(service.address, store=STORE, retry=RetryPolicy(first=0.01, longest=0.02)) as made:
        yield made


def test_questions_are_asked_again(client: Client, service: Scripted) -> None:
    """A server that cannot answer now is asked again, up to the number of attempts."""
    service.will("Check", UNAVAILABLE, Fail(grpc.StatusCode.UNAVAILABLE), UNAVAILABLE)
    assert client.check("user:anne", "viewer", "document:1")
    assert service.count() == 4
    service.will("Check", *[UNAVAILABLE] * 4)
    with pytest.raises(errors.Unavailable) as raised:
        client.check("user:anne", "viewer", "document:1")
    assert service.count() == 8
    assert raised.value.is_transient
    assert not raised.value.may_have_applied


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DATA_LOSS,
    ],
)
def test_what_would_fail_again_is_not_asked_again(client: Client, service: Scripted, code: grpc.StatusCode) -> None:
    """Refusals and failures are told at once, and never read as a yes."""
    service.will("Check", Fail(code))
    with pytest.raises(errors.ClientError):
        client.check("user:anne", "viewer", "document:1")
    assert service.count() == 1


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL])
def test_a_write_of_unknown_fate_is_not_repeated(client: Client, service: Scripted, code: grpc.StatusCode) -> None:
    """When nobody knows whether a write was applied it is made once, and the error says so."""
    service.will("Write", Fail(code))
    with pytest.raises(errors.ClientError) as raised:
        client.write(ONE)
    assert raised.value.may_have_applied
    assert service.count("Write") == 1


def test_idempotent_writes_are_repeated(client: Client, service: Scripted) -> None:
    """A write is made again when its options make that harmless: the one for each kind of tuple that it has."""
    service.will("Write", *[UNAVAILABLE] * 3)
    client.write(ONE, on_duplicate="ignore")
    service.will("Write", UNAVAILABLE)
    client.write(deletes=ONE, on_missing="ignore")
    assert service.count("Write") == 6
    service.will("Write", UNAVAILABLE)
    with pytest.raises(errors.Unavailable):
        client.write(ONE, [Tuple("user:bob", "viewer", "document:1")], on_duplicate="ignore")
    assert service.count("Write") == 7


def test_an_earlier_attempt_may_have_applied(client: Client, service: Scripted) -> None:
    """A refusal at last does not hide that an attempt before it had an unknown fate."""
    service.will("Write", UNAVAILABLE, Fail(grpc.StatusCode.INVALID_ARGUMENT, "validation_error"))
    with pytest.raises(errors.InvalidRequest) as raised:
        client.write(ONE, on_duplicate="ignore")
    assert raised.value.may_have_applied


def test_conflicts_are_repeated(client: Client, service: Scripted) -> None:
    """A write that lost against another was not applied: it is made again."""
    service.will("Write", Fail(grpc.StatusCode.ABORTED, "Aborted"))
    client.write(ONE)
    assert service.count("Write") == 2
    service.will("Write", *[Fail(grpc.StatusCode.ABORTED, "Aborted")] * 4)
    with pytest.raises(errors.Conflict) as raised:
        client.write(ONE)
    assert not raised.value.may_have_applied


@pytest.mark.parametrize("method", ["Check", "Write"])
def test_rate_limits_are_waited_for(client: Client, service: Scripted, method: str) -> None:
    """Who was told when to come again does not come earlier; nothing was applied, so that it holds for writes too."""
    service.will(method, Fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "resource_exhausted", retry_after=0.2))
    if method == "Check":
        client.check("user:anne", "viewer", "document:1")
    else:
        client.write(ONE)
    first, second = service.asked
    assert second.at - first.at >= 0.2


def test_rate_limits_that_outlast_the_call(client: Client, service: Scripted) -> None:
    """Nobody waits for a moment that lies behind the deadline; the error says when it is."""
    service.will("Check", Fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "resource_exhausted", retry_after=60))
    began = time.monotonic()
    with pytest.raises(errors.RateLimited) as raised:
        client.check("user:anne", "viewer", "document:1")
    assert time.monotonic() - began < 2
    assert raised.value.retry_after == 60
    assert service.count() == 1


def test_the_deadline_is_for_all_attempts(client: Client, service: Scripted) -> None:
    """A call ends when its time has passed, whatever it was doing then."""
    service.will("Check", UNAVAILABLE, Hang())
    began = time.monotonic()
    with pytest.raises(errors.DeadlineExceeded):
        client.check("user:anne", "viewer", "document:1", timeout=0.4)
    assert time.monotonic() - began < 1.5
    assert service.count() == 2


def test_a_write_out_of_time_has_an_unknown_fate(client: Client, service: Scripted) -> None:
    """It is not repeated, and the error says that it may have been applied."""
    service.will("Write", Hang())
    with pytest.raises(errors.DeadlineExceeded) as raised:
        client.write(ONE, timeout=0.2)
    assert raised.value.may_have_applied


def test_nobody_there(unused_tcp_address: str) -> None:
    """Without a server there is a clear error, soon."""
    began = time.monotonic()
    with (
        Client(unused_tcp_address, store=STORE) as client,
        pytest.raises(errors.Unavailable, match="no server answers"),
    ):
        client.check("user:anne", "viewer", "document:1")
    assert time.monotonic() - began < 4


def test_the_budget_ends_retries(client: Client, service: Scripted) -> None:
    """A service that is down is not asked four times for each question for ever."""
    service.will("Check", *[UNAVAILABLE] * 200)
    for _ in range(30):
        with pytest.raises(errors.Unavailable):
            client.check("user:anne", "viewer", "document:1")
    assert service.count() <= 30 + 10
    before = service.count()
    with pytest.raises(errors.Unavailable):
        client.check("user:anne", "viewer", "document:1")
    assert service.count() == before + 1


def test_malformed_answers(client: Client, service: Scripted) -> None:
    """An answer without what was asked for is an error: for a batch, each of its questions."""
    service.will("BatchCheck", Give(pb.BatchCheckResponse()))
    with pytest.raises(errors.MalformedAnswer):
        client.batch_check([Check("user:anne", "viewer", "document:1")])
    wrong = pb.BatchCheckResponse(
        result={"0": pb.BatchCheckSingleResult(), "7": pb.BatchCheckSingleResult(allowed=True)}
    )
    service.will("BatchCheck", Give(wrong))
    with pytest.raises(errors.MalformedAnswer):
        client.batch_check([Check("user:anne", "viewer", "document:1"), Check("user:bob", "viewer", "document:1")])
    service.will("Check", Give(b"\x08"))
    with pytest.raises(errors.ClientError):
        client.check("user:anne", "viewer", "document:1")
    service.will("Check", Give(pb.ListObjectsResponse(objects=["document:1"])))
    assert not client.check("user:anne", "viewer", "document:1")
    service.will("ListObjects", Give(pb.ListObjectsResponse(objects=["folder:1"])))
    with pytest.raises(errors.MalformedAnswer):
        client.allowed_ids("user:anne", "viewer", "document")


@pytest.mark.anyio
async def test_async_retries(service: Scripted) -> None:
    """The asynchronous client does the same."""
    async with AsyncClient(service.address, store=STORE, retry=RetryPolicy(first=0.01, longest=0.02)) as client:
        service.will("Check", UNAVAILABLE, UNAVAILABLE)
        assert await client.check("user:anne", "viewer", "document:1")
        service.will("Write", UNAVAILABLE)
        with pytest.raises(errors.Unavailable) as raised:
            await client.write(ONE)
        assert raised.value.may_have_applied
        service.will("Write", UNAVAILABLE, Fail(grpc.StatusCode.ABORTED, "Aborted"))
        await client.write(ONE, on_duplicate="ignore")
        service.will("Check", Hang())
        began = time.monotonic()
        with pytest.raises(errors.DeadlineExceeded):
            await client.check("user:anne", "viewer", "document:1", timeout=0.3)
        assert time.monotonic() - began < 1.5


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
def test_every_call_has_a_deadline(client: Client, timeout: float) -> None:
    """There is no way to wait for ever."""
    with pytest.raises(ValueError, match="timeout"):
        client.check("user:anne", "viewer", "document:1", timeout=timeout)


@pytest.mark.anyio
async def test_the_fate_of_a_write_that_something_else_ends(service: Scripted) -> None:
    """An answer that cannot be read, `close`, or a token that is gone: the write may have been applied all the same."""
    given = iter(["token"])
    long, short = RetryPolicy(first=5, longest=5), RetryPolicy(first=0.01, longest=0.01)
    for steps, token, on_duplicate, policy, kind in (
        ([Give(b"\xff\xff")], "", "error", short, errors.MalformedAnswer),
        ([Hang(0.2)], "", "error", short, errors.Unusable),
        ([UNAVAILABLE] * 4, "", "ignore", long, errors.Unusable),
        ([UNAVAILABLE], lambda: next(given), "ignore", short, errors.NoCredentials),
    ):
        service.steps.clear()
        service.will("Write", *steps)
        async with AsyncClient(service.address, store=STORE, token=token, retry=policy, timeout=20) as client:
            writing = asyncio.create_task(client.write(ONE, on_duplicate=on_duplicate))
            await asyncio.wait([writing], timeout=0.1 if kind is errors.Unusable else 5)
        with pytest.raises(kind) as raised:
            await writing
        assert raised.value.may_have_applied


def test_the_fate_of_a_write_in_a_pause(service: Scripted) -> None:
    """The same with threads; what was never sent has changed nothing."""
    with Client(service.address, store=STORE, retry=RetryPolicy(first=5, longest=5), timeout=20) as client:
        service.will("Write", *[UNAVAILABLE] * 4)
        timer = threading.Timer(0.1, client.close)
        timer.start()
        with pytest.raises(errors.Unusable) as raised:
            client.write(ONE, on_duplicate="ignore")
        assert raised.value.may_have_applied
        with pytest.raises(errors.Unusable) as raised:
            client.write(ONE)
        assert not raised.value.may_have_applied
        timer.join()
