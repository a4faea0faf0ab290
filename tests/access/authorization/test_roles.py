"""Each role allows exactly its calls, on its store alone."""

from __future__ import annotations

import pytest

from authz.call import Call, Scope
from tests.access.authorization.support import BY_NAME, OTHER, PREMATURE, ROOT, STORE, World, principal, world_over

pytestmark = pytest.mark.anyio

ANNE = principal("corp/anne")
ALL = set(BY_NAME)
CHECKS = {"Check", "BatchCheck", "ListObjects", "StreamedListObjects", "ListUsers"}
CHECKS |= {"Evaluation", "Evaluations", "SubjectSearch", "ResourceSearch", "ActionSearch"}
READS = {
    "Read",
    "Expand",
    "ReadChanges",
    "ReadAuthorizationModels",
    "ReadAuthorizationModel",
    "ReadAssertions",
    "GetStore",
}
MODELS = {"WriteAuthorizationModel", "WriteAssertions"}
MANAGES = {"UpdateStore", "DeleteStore", "Grant", "Withdraw", "ListGrants"}
OF_STORE = {
    "checker": CHECKS,
    "reader": CHECKS | READS | {"ListStores"},
    "writer": {"Write"},
    "model_writer": MODELS,
    "admin": CHECKS | READS | MODELS | MANAGES | {"Write", "ListStores", "QueryRecords"},
}
# On a store; what may be asked about the service as a whole.
OF_SERVICE = {
    "checker": (CHECKS, set()),
    "reader": (CHECKS | READS | {"ListStores"}, {"ListStores"}),
    "store_creator": ({"CreateStore"}, {"CreateStore"}),
    "auditor": ({"QueryRecords"}, {"QueryRecords"}),
    "admin": (
        ALL,
        {
            "ListStores",
            "CreateStore",
            "QueryRecords",
            "Grant",
            "Withdraw",
            "ListGrants",
            "RevokeTokens",
            "Suspend",
            "Lift",
            "ListDirectives",
            "StartCapture",
            "StopCapture",
        },
    ),
}


@pytest.mark.parametrize("role", OF_STORE)
async def test_a_role_on_a_store_allows_exactly_its_calls_there(world: World, role: str) -> None:
    """Nothing more on the store, and nothing on another or on the service, but for the list of what may be seen."""
    await world.give(ANNE.id, role, STORE)
    assert await world.allowed(ANNE, STORE) == OF_STORE[role]
    elsewhere = OF_STORE[role] & {"ListStores"}
    assert await world.allowed(ANNE, OTHER) == elsewhere
    assert await world.allowed(ANNE, "") == elsewhere
    assert await world.allowed(principal("corp/bob"), STORE) == set()


@pytest.mark.parametrize("role", OF_SERVICE)
async def test_a_role_on_the_service_allows_exactly_its_calls(world: World, role: str) -> None:
    """It holds on every store, also on those to come."""
    await world.give(ANNE.id, role)
    on_store, on_service = OF_SERVICE[role]
    for store in (STORE, OTHER):
        assert await world.allowed(ANNE, store) == on_store
    without_store = {name for name in ALL if "store_id" not in BY_NAME[name].request.DESCRIPTOR.fields_by_name}
    about_either = {"ListGrants", "QueryRecords", "StartCapture"}
    assert (await world.allowed(ANNE, "")) & (without_store | about_either) == on_service
    assert await world.allowed(principal("corp/bob"), STORE) == set()


async def test_nobody_may_do_anything_at_first(world: World) -> None:
    """Least privilege: without a grant there is no right."""
    for store in (STORE, OTHER, ""):
        assert await world.allowed(ANNE, store) == set()


async def test_administrators_of_the_settings_may_do_everything(world: World) -> None:
    """The first administrator needs no grant; one of the same name that proved nothing is nobody."""
    assert await world.allowed(principal(ROOT)) == ALL
    assert await world.allowed(principal(ROOT, is_known=False)) == set()


async def test_who_did_not_prove_who_it_is_has_no_rights(world: World) -> None:
    """A grant to a name helps nobody who merely bears it, whatever was remembered of the true holder."""
    await world.give(ANNE.id, "admin")
    assert await world.may(ANNE, "Check")
    assert await world.may(ANNE, "ListStores")
    assert await world.allowed(principal(ANNE.id, is_known=False)) == set()


@pytest.mark.parametrize("scope", Scope)
async def test_scopes_narrow_every_right(world: World, scope: Scope) -> None:
    """A token is good for calls of its scopes only, also in the hand of an administrator."""
    allowed = {method.name for method in BY_NAME.values() if method.scope is scope}
    assert await world.allowed(principal(ROOT, scopes={scope})) == allowed
    await world.give(ANNE.id, "admin")
    assert await world.allowed(principal(ANNE.id, scopes={scope})) == allowed
    assert await world.allowed(principal(ANNE.id, scopes=())) == set()


async def test_scopes_give_no_right(world: World) -> None:
    """All scopes of the world do not replace a grant."""
    assert await world.allowed(principal("corp/bob", scopes=Scope)) == set()


async def test_groups_of_the_token_bring_their_rights(world: World) -> None:
    """The members of a group are whoever the issuer says, call by call."""
    await world.give("group:corp/staff", "reader", STORE)
    assert await world.allowed(principal("corp/anne", ["corp/staff", "corp/other"])) == OF_STORE["reader"]
    assert await world.allowed(principal("corp/anne", ["corp/other"])) == set()
    assert await world.allowed(principal("corp/anne")) == set()
    await world.withdraw("group:corp/staff", "reader", STORE)
    assert await world.allowed(principal("corp/anne", ["corp/staff"])) == set()


async def test_members_can_be_granted(world: World) -> None:
    """Keys and certificates name no groups: administrators put their principals into groups."""
    await world.give("group:ops/night", "checker", STORE)
    await world.give("key/cron", "member", group="ops/night")
    assert await world.allowed(principal("key/cron")) == CHECKS
    await world.withdraw("key/cron", "member", group="ops/night")
    assert await world.allowed(principal("key/cron")) == set()


async def test_while_authentication_is_off_everybody_may_do_everything(world: World) -> None:
    """But for changing the rights behind their back."""
    off = await world_over(world.services.datastore, is_enabled=False)
    nobody = principal("anonymous", is_known=False)
    assert await off.allowed(nobody) == ALL - PREMATURE
    assert await off.authorizer.readable_stores(Call(principal=nobody)) is None
