"""All six calls, as commands over a real datastore, agree with the naive evaluator on random worlds."""

from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from authz.call import Origin
from authz.commands.batch_check import BatchCheckQuery, BatchItem, batch_check
from authz.commands.check import CheckQuery, check
from authz.commands.expand import ExpandQuery, expand
from authz.commands.list_objects import ListObjectsQuery, list_objects, stream_objects
from authz.commands.list_users import ListUsersQuery, list_users
from authz.commands.services import Services
from authz.engine import expand as tree
from authz.errors import ConditionFailed
from authz.store.api import TupleWrite
from authz.store.sql import migrate_datastore, open_datastore
from tests.commands.support import CALL, services_over
from tests.properties.test_engine import agree, reference_for
from tests.support.strategies import RELATIONS, TYPES, Scenario, contexts, objects, scenarios, users

EXAMPLES = int(os.environ.get("AUTHZ_PROPERTY_EXAMPLES", "300"))


def test_all_six_calls(tmp_path: Path) -> None:
    """Check, BatchCheck, Expand, ListObjects, StreamedListObjects and ListUsers, each over a store of its own."""
    uri = f"sqlite:///{tmp_path}/authz.db"
    migrate_datastore(uri)
    numbers = itertools.count()
    with asyncio.Runner() as runner:
        datastore = runner.run(_open(uri))
        services = services_over(datastore)

        @settings(max_examples=EXAMPLES // 3, deadline=None, print_blob=True)
        @given(scenarios(), contexts, st.data())
        def ask(scenario: Scenario, context: dict[str, Any], data: st.DataObject) -> None:
            runner.run(_ask_all(services, f"STORE{next(numbers)}", scenario, context, data))

        try:
            ask()
        finally:
            runner.run(datastore.close())


async def _open(uri: str):  # type: ignore[no-untyped-def]
    return open_datastore(uri)


async def _ask_all(
    services: Services, store: str, scenario: Scenario, context: dict[str, Any], data: st.DataObject
) -> None:
    services.models.add(store, scenario.model)
    if scenario.tuples:
        await services.datastore.write(
            store, TupleWrite(writes=scenario.tuples), by=Origin(""), now=services.clock.now()
        )
    reference = reference_for(scenario, scenario.tuples, context)
    user, name, relation = data.draw(users()), data.draw(objects()), data.draw(st.sampled_from(RELATIONS))
    type_ = data.draw(st.sampled_from(TYPES[1:]))
    model_id = scenario.model.id

    items = [BatchItem(each, name, each, user, context=context) for each in RELATIONS]
    batch = (await batch_check(services, CALL, BatchCheckQuery(store, model_id, items))).results
    for item in items:
        wanted = reference.check(user, item.relation, name)
        assert agree(_verdict(batch[item.correlation_id]), wanted)
        query = CheckQuery(store, model_id, name, item.relation, user, context=context)
        assert agree(_verdict(await _or_error(check(services, CALL, query))), wanted)

    certain, possible = reference.list_objects(user, relation, type_)
    listing = ListObjectsQuery(store, model_id, type_, relation, user, context=context)
    listed = await _or_error(list_objects(services, CALL, listing))
    streamed = await _or_error(_drain(services, listing))
    if isinstance(listed, ConditionFailed) or isinstance(streamed, ConditionFailed):
        assert type(listed) is type(streamed)
        assert possible > certain
    else:
        assert sorted(listed.objects) == sorted(streamed) == sorted(certain)

    found = await _or_error(
        list_users(services, CALL, ListUsersQuery(store, model_id, type_, "1", relation, "user", context=context))
    )
    if not isinstance(found, ConditionFailed):
        assert all(reference.check(each, relation, f"{type_}:1") == "allowed" for each in found.users)

    answer = await expand(services, CALL, ExpandQuery(store, model_id, name, relation))
    assert _plain(answer.tree) == reference.expand(relation, name)


async def _or_error(answer: Any) -> Any:
    try:
        return await answer
    except ConditionFailed as error:
        return error


async def _drain(services: Services, query: ListObjectsQuery) -> list[str]:
    return [name async for name in await stream_objects(services, CALL, query)]


def _verdict(answer: Any) -> str:
    if isinstance(answer, ConditionFailed):
        return "conditional"
    return "allowed" if getattr(answer, "allowed", answer) else "denied"


def _plain(node: tree.Node) -> Any:
    match node:
        case tree.UsersLeaf(_, found):
            return "users", frozenset(found)
        case tree.ComputedLeaf(_, userset):
            return "computed", userset
        case tree.TupleToUsersetLeaf(_, tupleset, computed):
            return "ttu", tupleset, frozenset(computed)
        case tree.UnionNode(_, children):
            return ("union", *(_plain(child) for child in children))
        case tree.IntersectionNode(_, children):
            return ("intersection", *(_plain(child) for child in children))
        case tree.DifferenceNode(_, base, subtract):
            return ("difference", _plain(base), _plain(subtract))
