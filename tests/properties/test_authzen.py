"""AuthZEN's evaluations and searches, as commands over a real datastore, agree with the naive evaluator."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from authz.call import Origin
from authz.commands.accesses import Access, Action, Entity
from authz.commands.evaluations import EvaluationsQuery, decide_all
from authz.commands.searches import SearchQuery, Window, search_actions, search_resources, search_subjects
from authz.commands.series import Semantic
from authz.commands.services import Services
from authz.store.api import TupleWrite
from authz.store.sql import migrate_datastore, open_datastore
from authz.tuples import UserKind
from tests.commands.support import CALL, services_over
from tests.properties.test_engine import reference_for, universe
from tests.support.strategies import RELATIONS, TYPES, Scenario, contexts, objects, scenarios, users

EXAMPLES = int(os.environ.get("AUTHZ_PROPERTY_EXAMPLES", "300"))
ALL = Window(10_000)


def test_all_five_calls(tmp_path: Path) -> None:
    """Nothing is allowed, by itself, in a batch or in a search, that the naive evaluator does not allow."""
    uri = f"sqlite:///{tmp_path}/authz.db"
    migrate_datastore(uri)
    numbers = itertools.count()
    with asyncio.Runner() as runner:
        datastore = runner.run(_open(uri))
        services = services_over(datastore)

        @settings(max_examples=EXAMPLES // 3, deadline=None, print_blob=True)
        @given(scenarios(), contexts, users(), objects(), st.sampled_from(RELATIONS), st.sampled_from(TYPES))
        def ask(
            scenario: Scenario, context: dict[str, Any], user: str, name: str, relation: str, searched: str
        ) -> None:
            world = _World(services, f"STORE{next(numbers)}", scenario, context)
            runner.run(world.ask_all(user, name, relation, searched))

        try:
            ask()
        finally:
            runner.run(datastore.close())


async def _open(uri: str) -> Any:
    return open_datastore(uri)


class _World:
    """A store with the scenario, and what the naive evaluator says of it."""

    def __init__(self, services: Services, store: str, scenario: Scenario, context: Mapping[str, Any]) -> None:
        self._services = services
        self._store = store
        self._scenario = scenario
        self._context = context
        self._reference = reference_for(scenario, scenario.tuples, dict(context))

    async def ask_all(self, user: str, name: str, relation: str, searched: str) -> None:
        """All calls about one user, object and relation."""
        services, tuples = self._services, self._scenario.tuples
        services.models.add(self._store, self._scenario.model)  # type: ignore[attr-defined]
        if tuples:
            written = TupleWrite(writes=tuples)
            await services.datastore.write(self._store, written, by=Origin(""), now=services.clock.now())
        await self._evaluate(user, name)
        await self._search(user, name, relation, searched)

    def _allows(self, user: str, relation: str, name: str) -> bool:
        # What reads like a userset or a wildcard is no subject, whatever its tuples would allow.
        is_subject = "#" not in user and not user.endswith(":*")
        return is_subject and self._reference.check(user, relation, name) == "allowed"

    async def _evaluate(self, user: str, name: str) -> None:
        accesses = [Access(_entity(user), Action(each), _entity(name), self._context) for each in RELATIONS]
        wanted = [self._allows(user, each, name) for each in RELATIONS]
        for semantic in Semantic:
            query = EvaluationsQuery(self._store, self._scenario.model.id, accesses, semantic)
            found = [result is True for result in (await decide_all(self._services, CALL, query)).results]
            ends = next((place for place, each in enumerate(wanted, 1) if semantic.ends_with(each)), len(wanted))
            assert found == wanted[:ends], semantic

    async def _search(self, user: str, name: str, relation: str, searched: str) -> None:
        subject, action, resource = _entity(user), Action(relation), _entity(name)

        def query(access: Access) -> SearchQuery:
            return SearchQuery(self._store, self._scenario.model.id, access, ALL)

        access = Access(subject, Action(""), resource, self._context)
        actions = (await search_actions(self._services, CALL, query(access))).names.found
        assert actions == sorted(each for each in RELATIONS if self._allows(user, each, name))

        access = Access(subject, action, Entity(resource.type), self._context)
        resources = (await search_resources(self._services, CALL, query(access))).names
        certain, _ = self._reference.list_objects(user, relation, resource.type)
        allowed = {each for each in certain if self._allows(user, relation, each)}
        assert list(resources.found) == sorted(each.partition(":")[2] for each in allowed)

        access = Access(Entity(searched), action, resource, self._context)
        subjects = (await search_subjects(self._services, CALL, query(access))).names
        assert list(subjects.found) == sorted(set(subjects.found))
        assert all(self._allows(f"{searched}:{each}", relation, name) for each in subjects.found)
        if not (subjects.is_everybody or subjects.undecided):
            everyone = universe(self._scenario.tuples, UserKind(searched), name)
            wanted = {each.partition(":")[2] for each in everyone if self._allows(each, relation, name)}
            assert wanted <= set(subjects.found)


def _entity(name: str) -> Entity:
    type_, _, id_ = name.partition(":")
    return Entity(type_, id_)
