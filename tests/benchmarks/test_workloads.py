"""The worlds of the benchmarks: the same from the same seed, and true by the engine's and by a second opinion."""

from __future__ import annotations

from collections import Counter

import pytest

from authz.model.compile import compile_model
from benchmarks.workloads.naive import Naive, contradictions
from benchmarks.workloads.reference import SHARES
from benchmarks.workloads.registry import BUILDERS, CONDITIONS, build
from benchmarks.workloads.size import Size
from benchmarks.workloads.world import Question, World
from schema_dsl import dsl_to_json, validate
from tests.support.world import World as Engine

SMALL = Size(tuples=600, depth=4, width=40, questions=120)


@pytest.fixture(scope="module", params=sorted(BUILDERS))
def world(request: pytest.FixtureRequest) -> World:
    """A small world of each workload."""
    return build(request.param, SMALL)


@pytest.fixture(scope="module")
def engine(world: World) -> Engine:
    """The engine over that world."""
    return Engine(compile_model("MODEL", dsl_to_json(world.model)), world.tuples())


def test_the_model_is_valid(world: World) -> None:
    """No rule of the modelling language is broken."""
    assert validate(world.model) == []


def test_the_same_seed_gives_the_same_world(world: World) -> None:
    """Tuple by tuple and question by question; another seed gives another."""
    again = build(world.name, SMALL)
    assert list(again.tuples()) == list(world.tuples()) == list(world.tuples())
    assert (again.questions, again.batches, again.listings) == (world.questions, world.batches, world.listings)
    assert build(world.name, SMALL._replace(seed=2)).questions != world.questions


def test_tuples_and_questions_are_all_different(world: World) -> None:
    """A store refuses a tuple twice; a question asked twice may be answered from a cache."""
    keys = [item.key for item in world.tuples()]
    assert len(keys) == len(set(keys)) == world.sizes["tuples"]
    asked = [(each.object, each.relation, each.user, each.contextual, str(each.context)) for each in world.questions]
    assert len(asked) == len(set(asked)) > 0


def test_checks_are_true_by_the_engine(world: World, engine: Engine) -> None:
    """What the plan of a world says is what the engine finds in its tuples."""
    for question in world.questions:
        found = engine.check(
            question.user,
            question.relation,
            question.object,
            context=question.context,
            contextual=question.contextual,
        )
        assert found is question.allowed, question


def test_checks_are_true_by_a_second_opinion(world: World) -> None:
    """An evaluator that knows neither plan nor engine agrees."""
    assert contradictions(world, CONDITIONS, sample=100) == []


def test_lists_and_batches_are_true(world: World, engine: Engine) -> None:
    """A list holds all objects and no others; a batch asks what checks ask."""
    naive = Naive(world.model, world.tuples(), CONDITIONS)
    for listing in world.listings[:5]:
        found = engine.list_objects(listing.user, listing.relation, listing.object_type)
        assert set(found) == listing.objects == naive.objects(listing)
    known = {(each.object, each.relation, each.user): each.allowed for batch in world.batches for each in batch.checks}
    for (name, relation, user), allowed in [*known.items()][:200]:
        assert engine.check(user, relation, name) is allowed


def test_a_toggle_decides_its_question_alone() -> None:
    """Its question is answered one way with the tuple and the other way without, and no other answer changes."""
    world = build("reference", SMALL)
    assert world.toggles
    without = Naive(world.model, world.tuples(), CONDITIONS)
    every = Naive(world.model, [*world.tuples(), *(toggle.tuple for toggle in world.toggles)], CONDITIONS)
    for toggle in world.toggles[:100]:
        only = Naive(world.model, [*world.tuples(), toggle.tuple], CONDITIONS) if toggle is world.toggles[0] else every
        assert without.check(toggle.question) is not toggle.question.allowed
        assert only.check(toggle.question) is toggle.question.allowed
    assert all(every.check(question) is question.allowed for question in world.questions)
    users = Counter(toggle.tuple.user for toggle in world.toggles)
    assert set(users.values()) == {1}


def test_a_false_truth_is_noticed() -> None:
    """The second opinion contradicts a question whose answer was turned round."""
    world = build("reference", SMALL)
    first = world.questions[0]
    turned = world._replace(questions=[first._replace(allowed=not first.allowed), *world.questions[1:]])
    assert contradictions(turned, CONDITIONS, sample=4 * len(world.questions)) == [turned.questions[0]]


@pytest.mark.parametrize("tuples", [600, 5_000])
def test_the_reference_mix_holds_at_every_size(tuples: int) -> None:
    """The shares of the kinds are those of the mix, however small the world is."""
    questions = build("reference", Size(tuples=tuples, questions=1_000)).questions
    kinds = Counter(question.kind for question in questions)
    for kind, share in SHARES.items():
        assert kinds[kind] / len(questions) == pytest.approx(share, abs=0.02)


def test_kinds_are_what_they_say() -> None:
    """Direct questions have their tuple; those through groups and folders have none and need the nesting."""
    world = build("reference", Size(tuples=3_000, questions=400))
    tuples = {(item.object, item.relation, item.user) for item in world.tuples()}

    def is_direct(question: Question) -> bool:
        return (question.object, question.relation, question.user) in tuples

    assert all(is_direct(each) == (each.kind == "direct") for each in world.questions)
    no_groups = [item for item in world.tuples() if not item.user.endswith("#member")]
    no_folders = [item for item in world.tuples() if item.relation != "parent" or not item.object.startswith("folder:")]
    flat, shallow = (Naive(world.model, chosen, CONDITIONS) for chosen in (no_groups, no_folders))
    assert not any(flat.check(each) for each in world.questions if each.kind == "group")
    assert not any(shallow.check(each) for each in world.questions if each.kind == "folder")


@pytest.mark.parametrize(
    ("name", "size", "figure", "wanted"),
    [
        ("deep", Size(depth=1, questions=20), "depth", 1),
        ("deep", Size(depth=100, questions=20), "depth", 100),
        ("wide", Size(width=10, questions=20), "group size", 10),
        ("reference", Size(tuples=10_000, questions=20), "tuples", 10_000),
    ],
)
def test_a_world_has_the_size_that_was_asked_for(name: str, size: Size, figure: str, wanted: int) -> None:
    """The figures of growth are what they say, within a hundredth."""
    assert build(name, size).sizes[figure] == pytest.approx(wanted, rel=0.01)
