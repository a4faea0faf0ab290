"""Rights on modules: whoever may write to some relations only writes to no others."""

from __future__ import annotations

import pytest

from tests.access.authorization.support import MODULES, OTHER, STORE, World, principal, write_of

pytestmark = pytest.mark.anyio

ANNE = principal("corp/anne", ["corp/staff"])
OWNER = "doc:1 owner user:x"
WRITER = "doc:1 writer user:x"
EDITOR = "page:1 editor user:x"
MEMBER = "room:1 member user:x"


async def test_a_relation_belongs_to_its_own_module_or_to_that_of_its_type(world: World) -> None:
    """The relation that another module added to a type is that module's."""
    await world.put_modules()
    await world.give(ANNE.id, "writer", STORE, "wiki")
    assert await world.may(ANNE, "Write", request=write_of(WRITER))
    assert await world.may(ANNE, "Write", request=write_of(EDITOR))
    assert not await world.may(ANNE, "Write", request=write_of(OWNER))
    assert not await world.may(ANNE, "Write", request=write_of(MEMBER))


async def test_every_tuple_of_a_write_counts(world: World) -> None:
    """One foreign tuple among many, written or deleted, and the write is refused."""
    await world.put_modules()
    await world.give(ANNE.id, "writer", STORE, "wiki")
    assert await world.may(ANNE, "Write", request=write_of(WRITER, deletes=[EDITOR]))
    assert not await world.may(ANNE, "Write", request=write_of(WRITER, EDITOR, OWNER))
    assert not await world.may(ANNE, "Write", request=write_of(WRITER, deletes=[OWNER]))
    assert not await world.may(ANNE, "Write", request=write_of(deletes=[OWNER]))
    await world.give("group:corp/staff", "writer", STORE, "core")
    assert await world.may(ANNE, "Write", request=write_of(WRITER, EDITOR, OWNER))


@pytest.mark.parametrize("text", ["ghost:1 owner user:x", "doc:1 ghost user:x", "doc owner user:x", ": owner user:x"])
async def test_what_no_model_knows_belongs_to_nobody(world: World, text: str) -> None:
    """An undefined type or relation is in no module, also for a deletion, which no model checks."""
    await world.put_modules()
    await world.give(ANNE.id, "writer", STORE, "wiki")
    assert not await world.may(ANNE, "Write", request=write_of(text))
    assert not await world.may(ANNE, "Write", request=write_of(deletes=[text]))


async def test_a_right_on_a_module_is_a_right_to_write_and_nothing_else(world: World) -> None:
    """And only in that store, even if another has a module of the same name."""
    await world.put_modules()
    await world.put_modules(OTHER)
    await world.give(ANNE.id, "writer", STORE, "wiki")
    assert await world.allowed(ANNE) == set()  # the plain write is to a relation of another module
    assert not await world.may(ANNE, "Write", OTHER, write_of(WRITER, store_id=OTHER))
    assert await world.allowed(ANNE, OTHER) == set()


async def test_a_model_without_modules_or_no_model_at_all(world: World) -> None:
    """There a right on a module is worth nothing."""
    await world.give(ANNE.id, "writer", STORE, "wiki")
    assert not await world.may(ANNE, "Write", request=write_of(WRITER))
    await world.put_modules(files={"wiki.fga": MODULES["wiki.fga"].split("extend")[0] + "type user\n"})
    assert await world.may(ANNE, "Write", request=write_of(EDITOR))
    from tests.commands.support import new_model

    await new_model(world.services, STORE)
    assert not await world.may(ANNE, "Write", request=write_of("document:1 owner user:x"))


async def test_a_model_of_old_gives_no_rights_back(world: World) -> None:
    """A relation that has moved to another module is not written by naming the model in which it had not."""
    old = await world.put_modules()
    moved = {**MODULES, "wiki.fga": MODULES["wiki.fga"].partition("extend")[0]}
    moved["core.fga"] += "    define writer: [user]\n"
    new = await world.put_modules(files=moved)
    await world.give(ANNE.id, "writer", STORE, "wiki")
    for model_id in (old, new, ""):
        assert not await world.may(ANNE, "Write", request=write_of(WRITER, model_id=model_id))
        assert await world.may(ANNE, "Write", request=write_of(EDITOR, model_id=model_id))
    assert not await world.may(ANNE, "Write", request=write_of(EDITOR, model_id="01HZZZZZZZZZZZZZZZZZZZZZZZ"))


async def test_a_write_is_bound_to_the_model_that_it_was_judged_by(world: World) -> None:
    """A model that is written between the decision and the write changes nothing about it."""
    model_id = await world.put_modules()
    await world.give(ANNE.id, "writer", STORE, "wiki")
    request = write_of(WRITER)
    assert await world.may(ANNE, "Write", request=request)
    assert request.authorization_model_id == model_id


async def test_a_withdrawn_right_on_a_module_is_gone_at_once(world: World) -> None:
    """Like any other."""
    await world.put_modules()
    await world.give(ANNE.id, "writer", STORE, "wiki")
    assert await world.may(ANNE, "Write", request=write_of(WRITER))
    await world.withdraw(ANNE.id, "writer", STORE, "wiki")
    assert not await world.may(ANNE, "Write", request=write_of(WRITER))
