"""Two servers over one database, each remembering decisions: no answer is ever stale or wrong.

Writes, model changes, checks and batches interleave at random. Every answer names its model and revision, so it can be
held against the naive evaluator afterwards: it must be the truth of that model over the tuples of that revision, and
the revision must be as new as the caller was promised.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.call import Origin
from authz.commands.batch_check import BatchCheckQuery, BatchItem, batch_check
from authz.commands.check import CheckQuery, check
from authz.commands.registry import ModelRegistry
from authz.commands.services import Services
from authz.commands.write import WriteQuery, write
from authz.consistency import Consistency, Mode
from authz.engine import check as checking
from authz.engine import flattened
from authz.errors import ConditionFailed
from authz.index import residency
from authz.index.registry import IndexRegistry
from authz.store.api import Datastore, TupleWrite
from authz.store.sql import migrate_datastore, open_datastore
from authz.tuples import RelationshipTuple, TupleKey
from schema_dsl import dsl_to_json
from tests.commands.support import CALL, new_model, new_store, services_over
from tests.properties.test_engine import agree, reference_for
from tests.properties.test_lean import plain_scenarios
from tests.support.budget import index_budget
from tests.support.reference import Fact, Reference
from tests.support.strategies import RELATIONS, Scenario, contexts, objects, scenarios, tuples_of, users

EXAMPLES = int(os.environ.get("AUTHZ_PROPERTY_EXAMPLES", "300"))
ROUNDS = int(os.environ.get("AUTHZ_PROPERTY_EXAMPLES", "300")) // 5
CALLERS, WRITERS = 4, 2

Question = tuple[str, str, str]
"""(object, relation, user)."""


@pytest.fixture(autouse=True)
def remember_everything(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """However little an answer cost it is kept, and few groups are already too many."""
    monkeypatch.setattr(checking, "WORTH_REMEMBERING", 0)
    monkeypatch.setattr(flattened, "MAX_GROUPS", 3)
    # A run with a small budget remembers too.
    monkeypatch.setattr(residency, "_DECISIONS_SHARE", 1)
    monkeypatch.setattr(residency, "DECISION_BYTES", 1)
    return iter(())


def node_over(datastore: Datastore, decisions: int, *, is_exact: bool = True) -> Services:
    """A server that remembers so many decisions; `is_exact` when its signal comes before any answer that needs it."""
    services = services_over(datastore)
    indexes = IndexRegistry(datastore, services.tokens.decode, budget=index_budget(), decisions=decisions)
    return replace(services, indexes=indexes, models=ModelRegistry(datastore, indexes if is_exact else None))


def test_random_models_and_tuples(tmp_path: Path) -> None:
    """Two servers over SQLite in turn: what one has written the other answers by at once, under each of two models."""
    uri = f"sqlite:///{tmp_path}/authz.db"
    migrate_datastore(uri)
    numbers = itertools.count()
    with asyncio.Runner() as runner:
        datastores = [runner.run(_open(uri)) for _ in range(2)]
        nodes = [node_over(datastore, size) for datastore, size in zip(datastores, (1000, 4), strict=True)]

        @settings(max_examples=EXAMPLES // 4, deadline=None, print_blob=True)
        @given(plain_scenarios(), scenarios(), contexts, st.data())
        def interleave(one: Scenario, two: Scenario, context: dict[str, Any], data: st.DataObject) -> None:
            models = [one, two._replace(model=replace(two.model, id="OTHER"))]
            runner.run(_Turns(nodes, f"STORE{next(numbers)}", models, context).run(data))

        try:
            interleave()
        finally:
            for datastore in datastores:
                runner.run(datastore.close())


async def _open(uri: str):  # type: ignore[no-untyped-def]
    return open_datastore(uri)


class _Turns:
    """One store, two servers, two models; one thing happens after the other."""

    def __init__(
        self, nodes: Sequence[Services], store: str, models: Sequence[Scenario], context: dict[str, Any]
    ) -> None:
        self.nodes = nodes
        self.store = store
        self.models = models
        self.context = context
        self.held: list[dict[TupleKey, RelationshipTuple]] = [{}]
        self.references: dict[tuple[int, int], Reference] = {}
        for node, scenario in itertools.product(nodes, models):
            node.models.add(store, scenario.model)

    async def run(self, data: st.DataObject) -> None:
        """Write and ask, as drawn."""
        await self.write(self.nodes[0], self.models[0].tuples or _NOTHING)
        question = st.tuples(objects(), st.sampled_from(RELATIONS), users())
        pool = data.draw(st.lists(question, min_size=1, max_size=4))
        for _ in range(data.draw(st.integers(1, 12))):
            node, model = data.draw(st.sampled_from(self.nodes)), data.draw(st.integers(0, 1))
            if data.draw(st.integers(0, 3)) == 0:
                await self.write(node, data.draw(tuples_of(self.models[0].model, 3)) or _NOTHING)
            elif data.draw(st.integers(0, 3)) == 0:
                await self.ask_all(node, model, pool)
            else:
                await self.ask(node, model, data.draw(st.sampled_from(pool)), data)

    async def write(self, node: Services, given_: Sequence[RelationshipTuple]) -> None:
        held = dict(self.held[-1])
        deletes = [each.key for each in given_ if held.pop(each.key, None)]
        writes = [each for each in given_ if each.key not in deletes]
        held.update((each.key, each) for each in writes)
        transaction = TupleWrite(deletes, writes)
        result = await node.datastore.write(self.store, transaction, by=Origin(""), now=node.clock.now())
        await node.indexes.applied(self.store, result)
        self.held.append(held)
        assert result.revision == len(self.held) - 1

    async def ask(self, node: Services, model: int, question: Question, data: st.DataObject) -> None:
        mode, at = data.draw(st.sampled_from(Mode)), len(self.held) - 1
        if mode is Mode.AT_EXACT_SNAPSHOT:
            at = data.draw(st.integers(1, at))
        token = node.tokens.encode(self.store, at) if mode.value.startswith("at-") else ""
        context = self.context if data.draw(st.booleans()) else {}
        query = CheckQuery(
            self.store, self.models[model].model.id, *question, (), context, consistency=Consistency(mode, token)
        )
        try:
            answer = await check(node, CALL, query)
        except ConditionFailed:
            verdict = "conditional"
        else:
            verdict = "allowed" if answer.allowed else "denied"
            assert answer.revision == at
        assert agree(verdict, self.truth(model, at, question, context)), (question, mode, at)

    async def ask_all(self, node: Services, model: int, pool: Sequence[Question]) -> None:
        items = [BatchItem(str(number), *question) for number, question in enumerate(pool)]
        answer = await batch_check(node, CALL, BatchCheckQuery(self.store, self.models[model].model.id, items))
        assert answer.revision == len(self.held) - 1
        for number, question in enumerate(pool):
            result = answer.results[str(number)]
            verdict = "conditional" if isinstance(result, Exception) else "allowed" if result else "denied"
            assert agree(verdict, self.truth(model, answer.revision, question, {})), question

    def truth(self, model: int, revision: int, question: Question, context: dict[str, Any]) -> str:
        object_, relation, user = question
        reference = reference_for(self.models[model], tuple(self.held[revision].values()), context)
        return reference.check(user, relation, object_)


_NOTHING = (RelationshipTuple("doc:none", "r0", "user:none"),)

PLAIN = """
model
  schema 1.1
type user
type group
  relations
    define member: [user, user:*, group#member]
type folder
  relations
    define parent: [folder]
    define blocked: [user, group#member]
    define viewer: [user, group#member] or viewer from parent
type doc
  relations
    define parent: [folder]
    define viewer: [user, group#member] or viewer from parent
    define blocked: [user, group#member] or blocked from parent
    define can_view: viewer but not blocked
"""
STRICT = PLAIN.replace("can_view: viewer but not blocked", "can_view: (viewer and viewer from parent) but not blocked")
MODELS = (PLAIN, STRICT)
GROUPS = [f"group:{number}" for number in range(4)]
FOLDERS = [f"folder:{number}" for number in range(3)]
DOCS = [f"doc:{number}" for number in range(3)]
PEOPLE = [f"user:{name}" for name in "abc"]


def _all_tuples() -> list[RelationshipTuple]:
    """Every tuple that may ever be written: few names, so that much depends on each."""
    subjects = [*PEOPLE, *(f"{group}#member" for group in GROUPS)]
    found = [RelationshipTuple(group, "member", each) for group in GROUPS for each in (*subjects, "user:*")]
    found = [each for each in found if each.user != f"{each.object}#member"]
    for name in (*FOLDERS, *DOCS):
        found.extend(RelationshipTuple(name, relation, each) for relation in ("viewer", "blocked") for each in subjects)
        found.extend(RelationshipTuple(name, "parent", folder) for folder in FOLDERS if folder != name)
    return found


class _Answer(NamedTuple):
    """An answer, with what the caller was promised when it asked."""

    question: Question
    allowed: bool
    model_id: str
    revision: int
    oldest_model: int
    oldest_revision: int
    newest_revision: float


class _Crowd:
    """Tasks that write, publish models and ask, all at once, and a record of what they were told."""

    def __init__(self, nodes: Sequence[Services], store: str, seed: int, *, is_exact: bool) -> None:
        self.nodes = nodes
        self.store = store
        self.random = random.Random(seed)
        self.is_exact = is_exact
        self.models: dict[str, tuple[int, str]] = {}
        self.changes: dict[int, tuple[list[TupleKey], list[RelationshipTuple]]] = {}
        self.acknowledged = [0 for _ in nodes]
        self.answers: list[_Answer] = []
        self.writers_done = 0
        everything = _all_tuples()
        self.pools = [everything[number::WRITERS] for number in range(WRITERS)]

    async def publish(self, node: Services, text: str) -> None:
        number = len(self.models)
        for each in self.nodes:
            # Of two models of the same millisecond either may count as the newest.
            each.clock.move(1)  # type: ignore[attr-defined]
        model_id = await new_model(node, self.store, text)
        self.models[model_id] = (number, text)

    async def write(self, pool: list[RelationshipTuple]) -> None:
        held: dict[TupleKey, RelationshipTuple] = {}
        for _ in range(ROUNDS):
            chosen = self.random.sample(pool, self.random.randint(1, 4))
            # Few tuples at a time, or all is allowed: most of what was written goes again.
            deletes = [key for key in held if len(held) > 9 or self.random.random() < 0.2][:5]
            writes = [each for each in chosen if each.key not in held]
            if not writes and not deletes:
                continue
            place = self.random.randrange(len(self.nodes))
            query = WriteQuery(self.store, "", writes=writes, deletes=deletes)
            written = await write(self.nodes[place], CALL, query)
            for key in deletes:
                del held[key]
            held.update((each.key, each) for each in writes)
            self.changes[written.revision] = (deletes, writes)
            self.acknowledged[place] = max(self.acknowledged[place], written.revision)
            await asyncio.sleep(self.random.choice([0, 0.005, 0.01]))
        self.writers_done += 1

    async def change_models(self) -> None:
        for number in range(ROUNDS // 10):
            await asyncio.sleep(0.02)
            await self.publish(self.random.choice(self.nodes), MODELS[number % 2])

    async def ask(self) -> None:
        while self.writers_done < WRITERS:
            place = self.random.randrange(len(self.nodes))
            node, consistency, floor, ceiling = self.nodes[place], *self._consistency(place)
            oldest = max(number for number, _ in self.models.values())
            questions = [self._question() for _ in range(self.random.choice([1, 1, 5]))]
            if len(questions) == 1:
                answer = await check(node, CALL, CheckQuery(self.store, "", *questions[0], consistency=consistency))
                allowed = [answer.allowed]
            else:
                items = [BatchItem(str(number), *question) for number, question in enumerate(questions)]
                answer = await batch_check(node, CALL, BatchCheckQuery(self.store, "", items, consistency))
                allowed = [answer.results[str(number)] is True for number in range(len(items))]
            self.answers.extend(
                _Answer(question, each, answer.model_id, answer.revision, oldest, floor, ceiling)
                for question, each in zip(questions, allowed, strict=True)
            )
            await asyncio.sleep(self.random.choice([0, 0.001]))

    def _question(self) -> Question:
        return self.random.choice(DOCS), self.random.choice(["can_view", "viewer"]), self.random.choice(PEOPLE)

    def _consistency(self, place: int) -> tuple[Consistency, int, float]:
        """A consistency, and the oldest and newest revision that it may be answered at."""
        mode, newest = self.random.choice(list(Mode)), max(self.acknowledged)
        if mode is Mode.MINIMIZE_LATENCY:
            return Consistency(), newest if self.is_exact else self.acknowledged[place], float("inf")
        if mode is Mode.FULLY_CONSISTENT or not newest:
            return Consistency(Mode.FULLY_CONSISTENT), newest, float("inf")
        at = self.random.randint(max(1, newest - 3), newest)
        token = self.nodes[place].tokens.encode(self.store, at)
        return Consistency(mode, token), at, at if mode is Mode.AT_EXACT_SNAPSHOT else float("inf")

    def verify(self) -> None:
        """Hold every answer against the truth of its model and revision."""
        truths = _Truths(self.changes)
        for answer in self.answers:
            assert answer.oldest_revision <= answer.revision <= answer.newest_revision, answer
            number, text = self.models[answer.model_id]
            assert number >= answer.oldest_model, answer
            assert truths.allows(text, answer.revision, answer.question) is answer.allowed, answer


class _Truths:
    """What is true at each revision under each model, by the naive evaluator."""

    def __init__(self, changes: dict[int, tuple[list[TupleKey], list[RelationshipTuple]]]) -> None:
        assert sorted(changes) == list(range(1, len(changes) + 1))
        self._bodies = {text: dsl_to_json(text) for text in MODELS}
        self._known: dict[tuple[str, int, str], frozenset[tuple[str, str]]] = {}
        self._facts: list[list[Fact]] = [[]]
        held: dict[TupleKey, RelationshipTuple] = {}
        for revision in sorted(changes):
            deletes, writes = changes[revision]
            for key in deletes:
                del held[key]
            held.update((each.key, each) for each in writes)
            self._facts.append([Fact(*each.key) for each in held.values()])

    def allows(self, text: str, revision: int, question: Question) -> bool:
        object_, relation, user = question
        key = (text, revision, user)
        if key not in self._known:
            reference = Reference(self._bodies[text], self._facts[revision], lambda *_: None)
            self._known[key] = reference.truth(user, DOCS).certain
        return (object_, relation) in self._known[key]


@pytest.mark.anyio
@pytest.mark.parametrize("sizes", [(100_000, 100_000), (4, 6), (0, 100)])
async def test_servers_that_write_and_answer_at_once(
    datastore: Datastore, other_node: Datastore, datastore_uri: str, sizes: tuple[int, int]
) -> None:
    """Nothing stale or wrong in a crowd of writers, publishers and callers; memories large, tiny and off."""
    is_exact = datastore_uri.startswith("sqlite")
    nodes = [
        node_over(each, size, is_exact=is_exact) for each, size in zip((datastore, other_node), sizes, strict=True)
    ]
    store = await new_store(nodes[0])
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    crowd = _Crowd(nodes, store, seed, is_exact=is_exact)
    await crowd.publish(nodes[0], PLAIN)
    async with asyncio.TaskGroup() as tasks:
        for pool in crowd.pools:
            tasks.create_task(crowd.write(pool))
        tasks.create_task(crowd.change_models())
        for _ in range(CALLERS):
            tasks.create_task(crowd.ask())
    crowd.verify()
    remembered = [await node.indexes.view(store, Consistency()) for node in nodes]
    if min(sizes) > 1000 and all(view.decisions.is_on for view in remembered):
        assert sum(view.decisions.tally.hits for view in remembered) > 0
    assert sum(each.allowed for each in crowd.answers) > 0
