"""Rights agree with plain sets, whatever was granted and withdrawn before, on whichever node; and nobody rises."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from authz.access.authorization.grants import Grant, give, withdraw
from authz.call import Call, Principal
from authz.store.sql import SqlDatastore, migrate_datastore, open_datastore
from tests.access.authorization import naive
from tests.access.authorization.support import BY_NAME, OTHER, STORE, World, principal, request_for, world_over
from tests.commands.support import CALL

EXAMPLES = int(os.environ.get("AUTHZ_PROPERTY_EXAMPLES", "60"))

IDS = ("corp/a", "corp/a%", "corp/a:b", "group/x")
GROUPS = ("corp/g", "corp/h")
HOLDERS = (*IDS, *(f"group:{group}" for group in GROUPS))
STORES = (STORE, OTHER)

callers = st.builds(principal, st.sampled_from(IDS), st.sets(st.sampled_from(GROUPS)))
holders = st.sampled_from(HOLDERS)
service_roles = st.sampled_from(["admin", "auditor", "store_creator", "reader", "checker"])
store_roles = st.sampled_from(["admin", "model_writer", "writer", "reader", "checker"])
on_service = st.tuples(holders, service_roles).map(lambda parts: Grant(*parts))
on_store = st.tuples(holders, store_roles, st.sampled_from(STORES)).map(lambda parts: Grant(*parts))
in_group = st.tuples(st.sampled_from(IDS), st.sampled_from(GROUPS)).map(
    lambda parts: Grant(parts[0], "member", group=parts[1])
)
grants = st.one_of(on_store, on_store, in_group, on_service)
questions = st.tuples(callers, st.sampled_from(sorted(BY_NAME)), st.sampled_from(["", *STORES]))
changes = st.tuples(st.booleans(), grants)
steps = st.lists(st.tuples(st.integers(0, 1), changes, st.lists(questions, max_size=4)), max_size=12)


@contextmanager
def nodes(folder: Path) -> Iterator[tuple[Callable[[Awaitable[Any]], Any], Sequence[World]]]:
    """Two nodes over one database, and how to run what they do."""
    uri = f"sqlite:///{folder}/authz.db"
    migrate_datastore(uri)
    with asyncio.Runner() as runner:

        async def opened() -> tuple[SqlDatastore, World]:
            datastore = open_datastore(uri)
            return datastore, await world_over(datastore)

        both = [runner.run(opened()) for _ in range(2)]
        try:
            yield runner.run, [world for _, world in both]
        finally:
            for datastore, _ in both:
                runner.run(datastore.close())


def test_rights_are_plain_sets(tmp_path: Path) -> None:
    """Every answer, at once after every change on either node, is that of the naive rules."""
    with nodes(tmp_path) as (run, worlds):

        @settings(max_examples=EXAMPLES, deadline=None, print_blob=True)
        @given(steps)
        def ask(steps: Any) -> None:
            run(_play(worlds, steps))

        ask()


async def _play(worlds: Sequence[World], steps: Any) -> None:
    held: set[Grant] = set()
    try:
        for node, (is_given, grant), asked in steps:
            change = give if is_given else withdraw
            await change(worlds[node].services, CALL, grant)
            (held.add if is_given else held.discard)(grant)
            for who, name, store_id in asked:
                await _agree(worlds, held, who, name, store_id)
    finally:
        for grant in held:
            await withdraw(worlds[0].services, CALL, grant)


async def _agree(worlds: Sequence[World], held: set[Grant], who: Principal, name: str, store_id: str) -> None:
    sees_all = naive.may(held, who, "Read", "01H00000000000000000000000")
    for world in worlds:
        assert await world.may(who, name, store_id) == naive.may(held, who, name, store_id)
        seen = await world.authorizer.readable_stores(Call(principal=who))
        assert seen == (None if sees_all else naive.readable(held, who))


initial = st.lists(st.one_of(on_store, in_group), max_size=6)
attempts = st.lists(st.tuples(callers, st.one_of(on_store, in_group, on_service)), max_size=12)


def test_delegation_never_escalates(tmp_path: Path) -> None:
    """However callers grant each other what they may grant, together they never come to more than they had together."""
    with nodes(tmp_path) as (run, worlds):

        @settings(max_examples=EXAMPLES, deadline=None, print_blob=True)
        @given(initial, attempts)
        def ask(initial: list[Grant], attempts: list[tuple[Principal, Grant]]) -> None:
            run(_delegate(worlds[0], initial, attempts))

        ask()


async def _delegate(world: World, initial: list[Grant], attempts: list[tuple[Principal, Grant]]) -> None:
    everybody = [principal(each, GROUPS) for each in IDS]
    for grant in initial:
        await give(world.services, CALL, grant)
    before = {store: await _together(world, everybody, store) for store in ("", *STORES)}
    made = set(initial)
    try:
        for who, grant in attempts:
            if await world.may(who, "Grant", request=_request(grant)):
                await give(world.services, CALL, grant)
                made.add(grant)
                assert grant.store_id in STORES
        after = {store: await _together(world, everybody, store) for store in ("", *STORES)}
        assert all(after[store] <= before[store] for store in after)
    finally:
        for grant in made:
            await withdraw(world.services, CALL, grant)


async def _together(world: World, everybody: Sequence[Principal], store_id: str) -> set[str]:
    return {name for who in everybody for name in await world.allowed(who, store_id)}


def _request(grant: Grant) -> Any:
    request: Any = request_for(BY_NAME["Grant"], grant.store_id)
    request.grant.principal, request.grant.role, request.grant.group = grant.principal, grant.role, grant.group
    return request
