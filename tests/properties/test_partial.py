"""Questions over a partial index are answered exactly at one revision, whatever is written and forgotten meanwhile."""

from __future__ import annotations

import asyncio
import os
from random import Random
from typing import Any
from unittest.mock import patch

from hypothesis import event, given, settings
from hypothesis import strategies as st

from authz.call import Call
from authz.clock import SystemClock
from authz.commands import evaluate as evaluating
from authz.commands.decision import Question, decide
from authz.commands.evaluate import evaluate, evaluate_on_thread
from authz.commands.listing import asking
from authz.engine import check as checking
from authz.engine.list_objects import list_objects
from authz.engine.list_users import list_users
from authz.errors import ConditionFailed
from authz.index.cells import RowCache
from authz.index.partial import PartialView
from authz.index.shared import PartialIndex
from authz.model.compile import compile_model
from authz.tuples import RelationshipCondition, RelationshipTuple, UserKind
from schema_dsl import dsl_to_json
from tests.properties.test_engine import agree, reference_for
from tests.support.history import History, churn
from tests.support.reference import Reference
from tests.support.strategies import IDS, RELATIONS, TYPES, Scenario, contexts, scenarios

EXAMPLES = int(os.environ.get("AUTHZ_PROPERTY_EXAMPLES", "300"))


class Live:
    """A store that is written to, and asked through a partial index, both at once."""

    def __init__(self, scenario: Scenario, context: dict[str, Any], seed: int, capacity: int) -> None:
        self.scenario = scenario
        self.context = context
        self.dice = Random(seed)
        self.history = History(self.dice)
        self.pool = [each for tuple_ in scenario.tuples for each in self.variants(tuple_)]
        if self.pool:
            self.history.write(scenario.tuples)
        self.cache = RowCache(capacity)
        self.index = PartialIndex(self.history, "STORE", self.history.naive.head, self.cache)
        self.references: dict[int, Reference] = {}
        # Few questions, asked again and again.
        self.questions = [(self.name(), self.user()) for _ in range(3)]

    def variants(self, tuple_: RelationshipTuple) -> list[RelationshipTuple]:
        """A tuple as it is, and with what else its condition may be."""
        found = [tuple_]
        for type_, relation, kind, condition in self.scenario.model.allowed:
            shape = (tuple_.object.partition(":")[0], tuple_.relation)
            if (type_, relation) == shape and str(kind) == tuple_.user.partition(":")[0] and self.dice.random() < 0.5:
                stored = RelationshipCondition(condition, {"x": 20} if condition == "c_size" else {})
                found.append(tuple_._replace(condition=stored if condition else None))
        return found

    def reference(self, revision: int) -> Reference:
        """The naive evaluator at a revision."""
        if revision not in self.references:
            tuples = tuple(self.history.naive.at(revision))
            self.references[revision] = reference_for(self.scenario, tuples, self.context)
        return self.references[revision]

    async def write(self) -> None:
        """Write, forget, and take in, until enough is written."""
        for _ in range(12):
            changes = []
            for _ in range(self.dice.randint(1, 2)):
                changes += self.history.write(*churn(self.dice, self.history.naive.states[-1], self.pool))
            if self.dice.random() < 0.7:
                await asyncio.sleep(0)
            self.index.apply(changes)
            if self.dice.random() < 0.2:
                self.forget()
            await asyncio.sleep(self.dice.choice([0, 0, 0.001]))

    def forget(self) -> None:
        """Have room for less for a moment."""
        capacity, self.cache.capacity = self.cache.capacity, max(self.cache.bytes - self.dice.randrange(3_000), 0)
        self.cache.trim()
        self.cache.capacity = capacity

    def view(self) -> PartialView:
        """A view of the newest revision, or of an older one."""
        revision = self.index.revision
        if self.dice.random() < 0.3:
            revision = self.dice.randint(0, revision)
        return PartialView(self.index, revision)

    def name(self) -> str:
        return f"{self.dice.choice(TYPES[1:])}:{self.dice.choice(IDS)}"

    def user(self) -> str:
        kind = self.dice.randrange(4)
        if kind == 0:
            return f"{self.name()}#{self.dice.choice(RELATIONS)}"
        return f"{self.dice.choice(TYPES)}:*" if kind == 1 else f"{self.dice.choice(TYPES)}:{self.dice.choice(IDS)}"

    async def answer(self, view: PartialView, ask: Any) -> Any:
        """On the loop first, or on a thread from the start."""
        how = evaluate_on_thread if self.dice.random() < 0.3 else evaluate
        try:
            return await how(SystemClock(), Call(), view, ask)
        except ConditionFailed:
            return None

    async def check(self) -> None:
        view, (name, user) = self.view(), self.dice.choice(self.questions)
        for relation in RELATIONS:
            question = Question(name, relation, user, (), self.context)
            got = await self.answer(view, lambda view, budget, q=question: decide(view, self.scenario.model, budget, q))
            wanted = self.reference(view.revision).check(user, relation, name)
            assert agree("conditional" if got is None else "allowed" if got else "denied", wanted), question

    async def list_objects(self) -> None:
        view, user = self.view(), self.user()
        relation, type_ = self.dice.choice(RELATIONS), self.dice.choice(TYPES[1:])
        model, context = self.scenario.model, self.context
        walk = asking(
            lambda view, budget, emit: list_objects(
                view, model, budget, emit, type_=type_, relation=relation, user=user, context=context
            ),
            limit=0,
        )
        listing = await self.answer(view, walk)
        certain, possible = self.reference(view.revision).list_objects(user, relation, type_)
        if listing is None:
            assert possible > certain
        else:
            assert sorted(listing.found) == sorted(certain)

    async def list_users(self) -> None:
        view, name, relation = self.view(), self.name(), self.dice.choice(RELATIONS)
        model, context, kind = self.scenario.model, self.context, UserKind(self.dice.choice(TYPES))
        walk = asking(
            lambda view, budget, emit: list_users(
                view, model, budget, emit, object_=name, relation=relation, kind=kind, context=context
            ),
            limit=0,
        )
        listing = await self.answer(view, walk)
        reference = self.reference(view.revision)
        if listing is None:
            assert None in reference.values.values()
            return
        everybody = f"{kind.type}:*" in listing.found
        for id_ in [*IDS, "*"]:
            user = f"{kind.type}:{id_}"
            if user in listing.found:
                assert reference.check(user, relation, name) == "allowed"
            elif reference.check(user, relation, name) == "allowed":
                assert everybody, user

    async def ask(self) -> None:
        """Ask all kinds of questions."""
        for _ in range(6):
            await self.dice.choice([self.check, self.check, self.list_objects, self.list_users])()


def run_all(live: Live, steps: int) -> None:
    """Write and ask at once, and see that nothing is left behind."""

    async def run() -> None:
        await asyncio.gather(live.write(), live.ask(), live.ask(), live.ask())

    # Every decision is remembered, so that one that no longer holds is met.
    with patch.object(evaluating, "INLINE_STEPS", steps), patch.object(checking, "WORTH_REMEMBERING", 0):
        asyncio.run(run())
    while not live.index.retire(100):
        pass
    live.index.tidy()
    assert live.cache.bytes == live.cache.cells == len(live.index.names) == 0


capacities = st.sampled_from([0, 2_000, 8_000, 30_000, 1 << 30])
turns = st.sampled_from([0, 3, 1000])


@settings(max_examples=EXAMPLES // 2, deadline=None, print_blob=True)
@given(scenarios(), contexts, st.integers(0, 2**32), capacities, turns)
def test_answers_hold_at_their_revision(
    scenario: Scenario, context: dict[str, Any], seed: int, capacity: int, steps: int
) -> None:
    """With room for nothing, for some rows and for all, on the loop and on threads, beside writers."""
    run_all(Live(scenario, context, seed, capacity), steps)


BODY = dsl_to_json("""
model
  schema 1.1
type user
type group
  relations
    define r0: [user, group#r0]
type folder
  relations
    define parent: [folder]
    define r0: [user, group#r0] or r0 from parent
type doc
  relations
    define parent: [folder]
    define r1: [user]
    define r2: [user:*, group#r0] or r0 from parent
    define r0: r2 but not r1
""")
PLAIN = [
    *(RelationshipTuple(f"group:{n}", "r0", user) for n in IDS for user in ("user:1", "user:2", "group:1#r0")),
    *(RelationshipTuple(f"folder:{n}", "parent", "folder:1") for n in IDS),
    *(RelationshipTuple(f"folder:{n}", "r0", user) for n in IDS for user in ("user:1", f"group:{n}#r0")),
    *(RelationshipTuple(f"doc:{n}", "parent", f"folder:{n}") for n in IDS),
    *(RelationshipTuple(f"doc:{n}", "r1", "user:1") for n in IDS),
    *(RelationshipTuple(f"doc:{n}", "r2", user) for n in IDS for user in ("user:*", f"group:{n}#r0")),
]


class Plain(Live):
    """Questions whose answers are remembered: without conditions, and few."""

    def name(self) -> str:
        return f"doc:{self.dice.choice(IDS[:2])}"

    def user(self) -> str:
        return f"user:{self.dice.choice(IDS[:2])}"

    async def check(self) -> None:
        view, (name, user) = self.view(), self.dice.choice(self.questions)
        question = Question(name, "r0", user, (), {})
        allowed = await self.answer(view, lambda view, budget: decide(view, self.scenario.model, budget, question))
        assert allowed == (self.reference(view.revision).check(user, "r0", name) == "allowed"), question

    async def ask(self) -> None:
        for _ in range(30):
            await self.check()


@settings(max_examples=EXAMPLES // 3, deadline=None, print_blob=True)
@given(st.integers(0, 2**32), capacities, turns)
def test_decisions_are_remembered_no_longer_than_they_hold(seed: int, capacity: int, steps: int) -> None:
    """Those of a partial index, at its own revision and at older ones."""
    dice = Random(seed)
    tuples = tuple(dice.sample(PLAIN, 10))
    live = Plain(Scenario(BODY, compile_model("PLAIN", BODY), tuples), {}, seed, capacity)
    live.pool = PLAIN
    run_all(live, steps)
    event(f"remembered: {live.index.decisions.tally.hits > 0}")
