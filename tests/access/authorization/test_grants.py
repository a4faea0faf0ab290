"""Roles are given to those only who can exist."""

from __future__ import annotations

import pytest

from authz.access.authorization.grants import Grant, give, withdraw
from authz.errors import InvalidRequest
from tests.access.authorization.support import STORE, World
from tests.commands.support import CALL

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "grant",
    [
        Grant("corp/anne ", "reader", STORE),
        Grant("corp/\nanne", "admin"),
        Grant("x" * 401, "admin"),
        Grant("group:staff", "reader", STORE),
        Grant("group:corp/", "reader", STORE),
        Grant("group:corp/night shift", "reader", STORE),
        Grant("key/cron", "member", group="night"),
        Grant("group:corp/staff", "member", group="corp/night"),
    ],
    ids=lambda grant: ascii(grant.principal[:30]),
)
async def test_names_that_no_caller_can_have(world: World, grant: Grant) -> None:
    """A role of theirs would look given and be nobody's: it is refused; one from before can be taken away."""
    with pytest.raises(InvalidRequest, match="`"):
        await give(world.services, CALL, grant)
    if not grant.group:
        await withdraw(world.services, CALL, grant)
