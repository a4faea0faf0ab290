"""Orders against credentials: whom they reach, when they end, and what follows when nobody knows them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from authz.access.authentication.credential import Credential
from authz.access.authentication.revocations import Revocations
from authz.call import Principal
from authz.commands.directives import REVOCATION, SUSPENSION, Directives
from authz.errors import Forbidden, InvalidBearerToken, Unavailable
from tests.access.authentication.support import BY, DirectivesInMemory, JumpingClock

pytestmark = pytest.mark.anyio


class World:
    """Two processes over one datastore; the orders are given on one, and asked for on the other."""

    def __init__(self) -> None:
        self.clock = JumpingClock()
        store = DirectivesInMemory()
        self.elsewhere, self.here = Directives(store, self.clock), Directives(store, self.clock)
        self.revocations = Revocations(self.here, self.clock, 30)

    def credential(self, **changes: Any) -> Credential:
        """A token's, issued now."""
        given = {"issuer": "main", "token_id": "t-1", "issued_at": self.clock.now().timestamp()}
        return Credential(Principal("main/alice", client="app"), **(given | changes))

    def refusal(self, **changes: Any) -> type[Exception] | None:
        """How it is refused now."""
        error = self.revocations.refusal(self.credential(**changes), self.clock.now().timestamp())
        return None if error is None else type(error)


@pytest.fixture
async def world() -> World:
    """Up to date, without orders."""
    made = World()
    await made.here.refresh()
    return made


async def test_orders_arrive_from_elsewhere_and_end(world: World) -> None:
    """
    An order of another process holds after the next look at the datastore, and ends when it is lifted there.
    """
    order = await world.elsewhere.issue(REVOCATION, {"token_id": "t-1", "issuer": "main"}, by=BY)
    assert world.refusal() is None
    await world.here.refresh()
    assert world.refusal() is InvalidBearerToken
    await world.elsewhere.lift(order.id, by=BY)
    await world.here.refresh()
    assert world.refusal() is None


async def test_orders_reach_only_their_target(world: World) -> None:
    """
    The same `jti` or client of another issuer is another.
    """
    now = world.clock.now().isoformat()
    for body in (
        {"token_id": "t-1", "issuer": "other"},
        {"token_id": "t-2", "issuer": "main"},
        {"client": "app", "issuer": "other", "issued_before": now},
        {"client": "other", "issuer": "main", "issued_before": now},
        {"principal": "other/alice", "issued_before": now},
    ):
        await world.here.issue(REVOCATION, body, by=BY)
    await world.here.issue(SUSPENSION, {"principal": "main/bob"}, by=BY)
    assert world.refusal(issued_at=0.0) is None


async def test_issued_before(world: World) -> None:
    """
    What was issued before the time is worthless, what was issued at or after it is good.
    """
    moment = world.clock.now()
    await world.here.issue(REVOCATION, {"principal": "main/alice", "issued_before": moment.isoformat()}, by=BY)
    assert world.refusal(issued_at=moment.timestamp() - 1) is InvalidBearerToken
    assert world.refusal(issued_at=moment.timestamp()) is None
    assert world.refusal(issued_at=float("-inf")) is InvalidBearerToken


async def test_several_orders_against_one(world: World) -> None:
    """
    An order that ends does not take another with it.
    """
    bodies = [{"principal": "main/alice", "issued_before": 10}, {"principal": "main/alice", "issued_before": 20}]
    first, second = [await world.here.issue(REVOCATION, body, by=BY) for body in bodies]
    assert world.refusal(issued_at=15.0) is InvalidBearerToken
    await world.here.lift(first.id, by=BY)
    assert world.refusal(issued_at=15.0) is InvalidBearerToken
    await world.here.lift(second.id, by=BY)
    assert world.refusal(issued_at=5.0) is None
    assert world.revocations._orders == {}


async def test_expired_orders_end_and_are_forgotten(world: World) -> None:
    """
    An order ends with its time, and its memory is freed with the next.
    """
    until = world.clock.now() + timedelta(seconds=10)
    for number in range(100):
        await world.here.issue(SUSPENSION, {"principal": f"main/{number}"}, by=BY, expires_at=until)
    await world.here.issue(SUSPENSION, {"principal": "main/alice"}, by=BY, expires_at=until)
    assert world.refusal() is Forbidden
    world.clock.move(10)
    assert world.refusal() is None
    await world.here.issue(SUSPENSION, {"principal": "main/other"}, by=BY)
    assert len(world.revocations._orders) == 1


@pytest.mark.parametrize(
    "body",
    [{}, [], 7, None, {"token_id": "t-1"}, {"token_id": 7, "issuer": "main"}, {"token_id": "", "issuer": "main"},
     {"principal": "main/alice"}, {"principal": "main/alice", "issued_before": "soon"},
     {"principal": "main/alice", "issued_before": "2026-01-01T00:00:00"}, {"client": "app", "issued_before": 7}],
)  # fmt: skip
async def test_orders_that_nobody_understands(world: World, body: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """
    An order of an unknown form is an error in the log, and the others still hold.
    """
    await world.here.issue(REVOCATION, body, by=BY)
    await world.here.issue(SUSPENSION, {"principal": "main/alice"}, by=BY)
    assert "order_not_understood" in capsys.readouterr().out
    assert world.refusal() is Forbidden


async def test_nothing_is_accepted_without_news() -> None:
    """
    Before orders are known, and when they are not known any more, every credential is refused.
    """
    world = World()
    assert world.refusal() is Unavailable
    await world.here.refresh()
    world.clock.move(30)
    assert world.refusal() is None
    world.clock.move(1)
    assert world.refusal() is Unavailable
    await world.here.refresh()
    assert world.refusal() is None
