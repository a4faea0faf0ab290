"""Orders say exactly what they are about, end when they should, and are understood by those who obey them."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from authz.access.authorization.orders import (
    Capture,
    Revocation,
    Term,
    lift,
    list_directives,
    revoke_tokens,
    start_capture,
    suspend,
)
from authz.commands.limits import Limits
from authz.errors import InvalidRequest
from tests.access.authorization.support import STORE, World
from tests.commands.support import CALL

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("revocation", "body"),
    [
        (Revocation(token_id="j1", issuer="corp"), {"token_id": "j1", "issuer": "corp"}),
        (Revocation(principal="corp/anne"), {"principal": "corp/anne", "issued_before": NOW.timestamp()}),
        (
            Revocation(client="app", issuer="corp", issued_before=NOW - HOUR),
            {"client": "app", "issuer": "corp", "issued_before": (NOW - HOUR).timestamp()},
        ),
    ],
    ids=["token", "principal", "client"],
)
async def test_revocations(world: World, revocation: Revocation, body: dict[str, object]) -> None:
    """The body holds what is revoked; without an end it is kept as long as any credential may live."""
    made = await revoke_tokens(world.services, CALL, revocation, Term(reason="lost"))
    assert (made.kind, orjson.loads(made.body), made.reason, made.created_by) == ("revocation", body, "lost", "tester")
    lifetime = timedelta(seconds=world.services.limits.max_token_lifetime)
    assert made.expires_at == (None if revocation.principal else NOW + lifetime)
    assert await list_directives(world.services, CALL, "revocation") == [made]


@pytest.mark.parametrize(
    "revocation",
    [
        Revocation(token_id="j1"),
        Revocation(client="app"),
        Revocation(principal="corp/anne", issuer="corp"),
        Revocation(principal="corp/anne", issued_before=NOW + HOUR),
        Revocation(token_id="j1", issuer="corp", issued_before=NOW - HOUR),
    ],
    ids=str,
)
async def test_revocations_that_would_not_do_what_they_seem_to(world: World, revocation: Revocation) -> None:
    """Are refused, and nothing is ordered."""
    with pytest.raises(InvalidRequest):
        await revoke_tokens(world.services, CALL, revocation, Term())
    assert await list_directives(world.services, CALL, "") == []


@pytest.mark.parametrize("name", ["group:corp/staff", "corp/anne ", "corp/an ne", "corp/\n", "\x00", "é" * 201])
async def test_orders_against_nobody(world: World, name: str) -> None:
    """An order against a name that no caller can have would look obeyed, and stop nobody: it is refused."""
    for order in (
        suspend(world.services, CALL, name, Term()),
        revoke_tokens(world.services, CALL, Revocation(principal=name), Term()),
        start_capture(world.services, CALL, Capture(principal=name), Term(NOW + HOUR)),
    ):
        with pytest.raises(InvalidRequest, match="`"):
            await order
    assert await list_directives(world.services, CALL, "") == []


async def test_revocations_of_unknown_issuers(world: World) -> None:
    """An issuer is named as in the settings: its URL, or a slip, would revoke nothing."""
    services = dataclasses.replace(world.services, limits=Limits(issuers=frozenset({"corp"})))
    for issuer in ("https://corp.example", "crop"):
        with pytest.raises(InvalidRequest, match="`corp`"):
            await revoke_tokens(services, CALL, Revocation(token_id="j1", issuer=issuer), Term())
    await revoke_tokens(services, CALL, Revocation(token_id="j1", issuer="corp"), Term())


async def test_orders_are_listed_by_kinds_that_exist(world: World) -> None:
    """A kind with a slip is not answered as if nothing held."""
    with pytest.raises(InvalidRequest, match="`suspensions`"):
        await list_directives(world.services, CALL, "suspensions")


async def test_suspensions_and_their_end(world: World) -> None:
    """One that has a term ends by itself, the other when it is lifted, and only once."""
    short = await suspend(world.services, CALL, "corp/anne", Term(NOW + HOUR, "odd"))
    long = await suspend(world.services, CALL, "corp/bob", Term())
    assert orjson.loads(short.body) == {"principal": "corp/anne"}
    assert (short.expires_at, long.expires_at) == (NOW + HOUR, None)
    world.services.clock.move(3601)  # type: ignore[attr-defined]
    assert await list_directives(world.services, CALL, "") == [long]
    lifted = await lift(world.services, CALL, long.id, ("suspension",))
    assert lifted.lifted_at is not None
    for order in (short, long):
        with pytest.raises(InvalidRequest, match="holds"):
            await lift(world.services, CALL, order.id, ("suspension",))
    with pytest.raises(InvalidRequest, match="past"):
        await suspend(world.services, CALL, "corp/anne", Term(NOW))


async def test_captures(world: World) -> None:
    """They name something, and end within a day."""
    made = await start_capture(world.services, CALL, Capture("", STORE, "Check"), Term(NOW + HOUR))
    assert (made.kind, orjson.loads(made.body)) == ("capture", {"store_id": STORE, "call": "Check"})
    for capture, end in (
        (Capture(), NOW + HOUR),
        (Capture("corp/anne"), NOW + 25 * HOUR),
        (Capture("corp/anne"), None),
    ):
        with pytest.raises(InvalidRequest):
            await start_capture(world.services, CALL, capture, Term(end))


async def test_only_orders_of_the_named_kinds_are_lifted(world: World) -> None:
    """Whoever may stop captures does not end suspensions by their id."""
    suspension = await suspend(world.services, CALL, "corp/anne", Term())
    with pytest.raises(InvalidRequest):
        await lift(world.services, CALL, suspension.id, ("capture",))
    assert await list_directives(world.services, CALL, "suspension") == [suspension]


async def test_orders_of_other_nodes_are_known(world: World) -> None:
    """Lists and lifts ask the datastore first."""
    from tests.commands.support import services_over

    elsewhere = services_over(world.services.datastore)
    made = await suspend(elsewhere, CALL, "corp/anne", Term())
    assert await list_directives(world.services, CALL, "") == [made]
    other = await suspend(elsewhere, CALL, "corp/bob", Term())
    assert (await lift(world.services, CALL, other.id, ("suspension",))).id == other.id
