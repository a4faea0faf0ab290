"""What every datastore promises about directives: versions without gap in the order of commits, and none is missed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from authz import errors
from authz.store.directives import Directive
from tests.support.origins import ANNE, BOB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz.store.sql import SqlDatastore

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def directive(name: str, expires_at: datetime | None = None) -> Directive:
    return Directive(name, "revocation", f'{{"jti":"{name}"}}', "lost", "anne", NOW, expires_at)


async def test_a_directive_is_kept_as_it_was_added(datastore: SqlDatastore) -> None:
    """With its version; times come back in UTC to the microsecond."""
    first = await datastore.add_directive(directive("D1", NOW + SECOND), by=ANNE)
    second = await datastore.add_directive(directive("D2"), by=ANNE)
    assert directive("D1", NOW + SECOND)._replace(version=1) == first
    assert directive("D2")._replace(version=2) == second
    assert [first, second] == await datastore.directives_after(0, limit=10)
    assert [first] == await datastore.directives_after(0, limit=1)
    assert [second] == await datastore.directives_after(1, limit=10)
    assert await datastore.directives_after(2, limit=10) == []


async def test_an_id_is_taken_once(datastore: SqlDatastore) -> None:
    """The second is refused, and takes no version."""
    first = await datastore.add_directive(directive("D1"), by=ANNE)
    with pytest.raises(errors.WriteConflict):
        await datastore.add_directive(directive("D1"), by=ANNE)
    assert (await datastore.add_directive(directive("D2"), by=ANNE)).version == 2
    assert first in await datastore.directives_after(0, limit=10)


async def test_a_lifted_directive_gets_a_new_version(datastore: SqlDatastore) -> None:
    """So that those who have seen it hear of its end; it is lifted once."""
    first = await datastore.add_directive(directive("D1", NOW + 9 * SECOND), by=ANNE)
    second = await datastore.add_directive(directive("D2"), by=ANNE)
    lifted = await datastore.lift_directive("D1", NOW + SECOND, by=BOB)
    assert first._replace(lifted_at=NOW + SECOND, version=3) == lifted
    assert [second, lifted] == await datastore.directives_after(0, limit=10)
    assert [lifted] == await datastore.directives_after(2, limit=10)
    for name in ("D1", "D3"):
        assert await datastore.lift_directive(name, NOW + SECOND, by=BOB) is None
    assert (await datastore.add_directive(directive("D3"), by=ANNE)).version == 4


async def test_an_expired_directive_is_not_lifted(datastore: SqlDatastore) -> None:
    """It has ended already, at that very moment."""
    await datastore.add_directive(directive("D1", NOW + SECOND), by=ANNE)
    assert await datastore.lift_directive("D1", NOW + SECOND, by=BOB) is None
    assert await datastore.lift_directive("D1", NOW + SECOND - timedelta(microseconds=1), by=BOB) is not None


async def test_a_directive_that_ended_long_ago_is_forgotten(datastore: SqlDatastore) -> None:
    """The longest ended first, a few at a time; what still holds stays, and versions are not given again."""
    await datastore.add_directive(directive("forever"), by=ANNE)
    for number in range(4):
        await datastore.add_directive(directive(f"expired-{number}", NOW + number * SECOND), by=ANNE)
    await datastore.add_directive(directive("lifted", NOW + 1000 * SECOND), by=ANNE)
    await datastore.lift_directive("lifted", NOW, by=ANNE)

    async def left() -> set[str]:
        return {each.id for each in await datastore.directives_after(0, limit=100)}

    assert await datastore.forget_directives(NOW, limit=10) == 0
    assert await datastore.forget_directives(NOW + SECOND, limit=1) == 1
    assert await datastore.forget_directives(NOW + SECOND, limit=10) == 1
    assert await left() == {"forever", "expired-1", "expired-2", "expired-3"}
    assert await datastore.forget_directives(NOW + 100 * SECOND, limit=2) == 2
    assert await left() == {"forever", "expired-3"}
    assert await datastore.forget_directives(NOW + 100 * SECOND, limit=2) == 1
    assert (await datastore.add_directive(directive("new"), by=ANNE)).version == 8


async def test_versions_have_no_gap_and_none_is_missed(trailed: SqlDatastore, other_trailed: SqlDatastore) -> None:
    """Whoever follows by the greatest version seen hears of all, in order, while two nodes add and lift at once."""
    done = asyncio.Event()
    seen: list[Directive] = []

    async def follow(node: SqlDatastore) -> None:
        while True:
            is_over = done.is_set()
            page: Sequence[Directive] = await node.directives_after(seen[-1].version if seen else 0, limit=3)
            seen.extend(page)
            if is_over and not page:
                return

    async def give(node: SqlDatastore, name: str) -> None:
        for number in range(4):
            added = await node.add_directive(directive(f"{name}{number}"), by=ANNE)
            if number % 2:
                assert await node.lift_directive(added.id, NOW, by=ANNE)

    following = asyncio.create_task(follow(trailed))
    await asyncio.gather(*(give(node, name) for node, name in zip((trailed, other_trailed) * 2, "abcd", strict=True)))
    done.set()
    await following
    versions = [each.version for each in seen]
    assert versions == sorted(set(versions))
    last = {each.id: each for each in seen}
    kept = await trailed.directives_after(0, limit=1000)
    assert kept == sorted(last.values(), key=lambda each: each.version)
    assert versions[-1] == 4 * (4 + 2)
    # A version that was never seen is that of an order which was lifted before anybody looked.
    assert sum(each.lifted_at is not None for each in last.values()) == 4 * 2


async def test_directives_are_no_change_of_tuples(datastore: SqlDatastore, other_node: SqlDatastore) -> None:
    """Who follows them asks for them; no index need look."""
    deadline = asyncio.get_running_loop().time() + 5
    quiet = 0
    while quiet < 20:
        assert asyncio.get_running_loop().time() < deadline
        quiet = 0 if other_node.may_have_changed() else quiet + 1
        await asyncio.sleep(0.005)
    await datastore.add_directive(directive("D1"), by=ANNE)
    await asyncio.sleep(0.05)
    assert not other_node.may_have_changed()
