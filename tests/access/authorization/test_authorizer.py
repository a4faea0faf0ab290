"""What is remembered is never stale, never grows without bound, and failure never allows."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from authz.access.authorization import SYSTEM_STORE, Authorizer, authorizer
from authz.access.authorization.grants import Grant, give, withdraw
from authz.call import Call
from authz.commands import evaluate
from authz.errors import Unavailable
from authz.store.sql import SqlDatastore
from tests.access.authorization.support import (
    BY_NAME,
    OTHER,
    PREMATURE,
    STORE,
    World,
    principal,
    request_for,
    world_over,
)
from tests.commands.support import CALL, new_model

pytestmark = pytest.mark.anyio

ANNE = principal("corp/anne", ["corp/staff"])


async def test_a_change_is_in_force_when_it_is_acknowledged(world: World) -> None:
    """Grant and withdrawal, over and over, each seen by the very next question."""
    for _ in range(5):
        await world.give(ANNE.id, "checker", STORE)
        assert await world.may(ANNE, "Check")
        await world.withdraw(ANNE.id, "checker", STORE)
        assert not await world.may(ANNE, "Check")


async def test_a_change_on_another_node_is_in_force_there_and_here(
    datastore: SqlDatastore, other_node: SqlDatastore
) -> None:
    """Within what the change signal of the datastore allows: at once on SQLite, soon on a server database."""
    here, there = await world_over(datastore), await world_over(other_node)
    assert not await here.may(ANNE, "Check")
    await there.give("group:corp/staff", "checker", STORE)
    await _becomes(here, is_allowed=True)
    await there.withdraw("group:corp/staff", "checker", STORE)
    await _becomes(here, is_allowed=False)


async def _becomes(world: World, *, is_allowed: bool) -> None:
    for _ in range(100):
        if await world.may(ANNE, "Check") is is_allowed:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the change was never seen")


async def test_writes_to_other_stores_forget_nothing(world: World) -> None:
    """Only rights move the revision that decisions hang on."""
    await world.give(ANNE.id, "checker", STORE)
    assert await world.may(ANNE, "Check")
    await new_model(world.services, OTHER)
    before = dict(world.authorizer._decisions)
    assert await world.may(ANNE, "Check")
    assert before
    assert world.authorizer._decisions == before


async def test_callers_never_share_what_is_remembered(world: World) -> None:
    """The same name with other groups is another question."""
    await world.give("group:corp/staff", "checker", STORE)
    for _ in range(2):
        assert await world.may(ANNE, "Check")
        assert not await world.may(principal(ANNE.id), "Check")
        assert not await world.may(principal("corp/bob"), "Check")
        assert not await world.may(ANNE, "Read")
        assert not await world.may(ANNE, "Check", OTHER)


async def test_memory_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking about more stores than there is room for forgets, and answers all the same."""
    monkeypatch.setattr(authorizer, "MAX_DECISIONS", 10)
    await world.give(ANNE.id, "checker", STORE)
    for number in range(35):
        assert not await world.may(ANNE, "Check", f"01H{number:023}")
        assert await world.may(ANNE, "Check")
    assert len(world.authorizer._decisions) <= 10


async def test_a_decision_that_others_overtook_is_not_remembered(world: World) -> None:
    """Grants and withdrawals that come while questions are under way leave no old answer behind."""

    async def flip() -> None:
        for _ in range(10):
            await world.give(ANNE.id, "checker", STORE)
            await world.withdraw(ANNE.id, "checker", STORE)

    async def ask(number: int) -> None:
        for step in range(20):
            await world.may(principal(ANNE.id, [f"corp/{number}"]), "Check")
            await asyncio.sleep(0 if step % 2 else 0.001)

    await asyncio.gather(flip(), *(ask(number) for number in range(5)))
    for number in range(5):
        assert not await world.may(principal(ANNE.id, [f"corp/{number}"]), "Check")
    await world.give(ANNE.id, "checker", STORE)
    for number in range(5):
        assert await world.may(principal(ANNE.id, [f"corp/{number}"]), "Check")


async def test_a_slow_decision_is_not_remembered_for_a_later_revision(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was made before a withdrawal and ends after it answers its own call, and no other."""
    await world.give(ANNE.id, "checker", STORE)
    held_up, threads = threading.Event(), ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(threads)
    threads.submit(held_up.wait, 10)
    with monkeypatch.context() as patched:
        patched.setattr(evaluate, "INLINE_STEPS", 0)
        slow = asyncio.create_task(world.may(ANNE, "Check"))
        await asyncio.sleep(0.01)
    await world.withdraw(ANNE.id, "checker", STORE)
    assert not await world.may(principal("corp/bob"), "Check")
    held_up.set()
    assert await slow
    assert not await world.may(ANNE, "Check")


async def test_another_index_at_the_same_revision(world: World, sqlite_uri: str) -> None:
    """After a failover a revision may stand for other rights: nothing is remembered from one index to the next."""
    await world.give(ANNE.id, "checker", STORE)
    assert await world.may(ANNE, "Check")
    with closing(sqlite3.connect(sqlite_uri.removeprefix("sqlite:///"))) as database:
        database.execute("DELETE FROM tuples WHERE relation = 'checker'")
        database.commit()
    residency = world.services.indexes._residency
    residency.drop(residency.entries[SYSTEM_STORE])
    assert not await world.may(ANNE, "Check")


async def test_when_rights_cannot_be_read_nobody_gets_through(world: World) -> None:
    """A datastore that is gone allows nothing: the call ends as unavailable, also where the answer was remembered."""
    await world.give(ANNE.id, "checker", STORE)
    assert await world.may(ANNE, "Check")
    await world.services.datastore.close()
    with pytest.raises(Unavailable):
        await world.may(ANNE, "Check")
    with pytest.raises(Unavailable):
        await world.may(principal("corp/bob"), "Check")


async def test_many_groups_are_no_trouble(world: World) -> None:
    """A token with hundreds of groups is answered like any other."""
    await world.give("group:corp/g499", "reader", STORE)
    who = principal("corp/anne", [f"corp/g{number}" for number in range(500)])
    assert await world.may(who, "Read")
    assert await world.may(who, "ListStores")
    assert not await world.may(who, "Write")


async def test_deep_questions_outgrow_the_event_loop_and_are_answered(world: World) -> None:
    """A principal with thousands of grants is listed in full."""
    for number in range(120):
        await give(world.services, CALL, Grant(ANNE.id, "reader", f"01H{number:023}"))
    found = await world.authorizer.readable_stores(Call(principal=ANNE))
    assert found is not None
    assert len(found) == 120


async def test_names_that_are_too_long_hold_nothing(world: World) -> None:
    """They are denied, not cut to a name that somebody else may bear."""
    await world.give_all(Grant("corp/" + "x" * 1195, "admin"))
    assert not await world.may(principal("corp/" + "x" * 1196), "Check")
    assert await world.authorizer.readable_stores(Call(principal=principal("x" * 5000))) == frozenset()


async def test_refusals_do_not_depend_on_the_store(world: World) -> None:
    """A stranger is refused alike whether the store exists, existed, or never was, and nothing of it is read."""
    await world.put_modules()
    stranger = principal("corp/mallory")
    read: list[object] = []
    models = world.authorizer._models
    original = models.get

    async def watched(*args: object, **kwargs: object) -> object:
        read.append(args)
        return await original(*args, **kwargs)  # type: ignore[arg-type]

    models.get = watched  # type: ignore[method-assign,assignment]
    for store in (STORE, OTHER, SYSTEM_STORE):
        assert await world.allowed(stranger, store) == set()
    assert read == []


@pytest.mark.parametrize("name", sorted(BY_NAME))
async def test_the_system_store_is_out_of_reach(world: World, name: str) -> None:
    """Administrators may look at it; nobody may change it by the ordinary calls, not even with every right."""
    reading = {
        "Read", "Check", "BatchCheck", "Expand", "ListObjects", "StreamedListObjects", "ListUsers", "ReadChanges",
        "ReadAuthorizationModels", "ReadAuthorizationModel", "ReadAssertions", "GetStore", "QueryRecords",
        "Evaluation", "Evaluations", "SubjectSearch", "ResourceSearch", "ActionSearch",
    }  # fmt: skip
    method = BY_NAME[name]
    fields = method.request.DESCRIPTOR.fields_by_name
    names_store = "store_id" in fields or "grant" in fields
    for role in ("reader", "checker", "auditor", "store_creator"):
        await world.give(f"corp/{role}", role)
        expected = (role, name) in {
            ("reader", "ListStores"), ("auditor", "QueryRecords"), ("store_creator", "CreateStore"),
        }  # fmt: skip
        assert await world.may(principal(f"corp/{role}"), name, SYSTEM_STORE) is expected
    await world.give("corp/admin", "admin")
    off = Authorizer(world.services.indexes, world.services.models, world.services.clock, enabled=False)
    expected = name in reading or not names_store
    assert await world.may(principal("corp/admin"), name, SYSTEM_STORE) is expected
    assert await world.may(principal("key/root"), name, SYSTEM_STORE) is expected
    nobody = principal("anonymous", is_known=False)
    assert await World(world.services, off).may(nobody, name, SYSTEM_STORE) is (expected and name not in PREMATURE)


async def test_no_role_reaches_the_system_store_by_its_id(world: World) -> None:
    """Even a tuple that should not be there gives nothing."""
    from authz.store.api import TupleWrite
    from authz.tuples import RelationshipTuple

    forged = RelationshipTuple(f"store:{SYSTEM_STORE}", "admin", "principal:corp/anne")
    result = await world.services.datastore.write(
        SYSTEM_STORE, TupleWrite(writes=[forged]), by=CALL.origin, now=world.services.clock.now()
    )
    await world.services.indexes.applied(SYSTEM_STORE, result)
    for name, method in BY_NAME.items():
        if name != "ListStores":
            assert not await world.may(ANNE, name, SYSTEM_STORE, request_for(method, SYSTEM_STORE))


async def test_withdrawing_what_was_never_given_changes_nothing(world: World) -> None:
    """Both ways twice: giving and withdrawing are idempotent."""
    grant = Grant(ANNE.id, "checker", STORE)
    await withdraw(world.services, CALL, grant)
    for change, expected in ((give, True), (give, True), (withdraw, False), (withdraw, False)):
        await change(world.services, CALL, grant)
        assert await world.may(ANNE, "Check") is expected
