"""What the micro-benchmarks share: one world, built once, and a clock of processor time."""

from __future__ import annotations

import gc
import time

import pytest

from authz.index.memory import TupleIndex
from authz.model.compile import CompiledModel, compile_model
from benchmarks.micro.subjects import MODEL_ID, SMALL_TUPLES, Subject, index_of, subject_of
from benchmarks.workloads.registry import build
from benchmarks.workloads.size import Size
from benchmarks.workloads.world import World
from schema_dsl import dsl_to_json


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Count processor time: a busy machine must not show."""
    for item in items:
        item.add_marker(pytest.mark.benchmark(timer=time.process_time))


@pytest.fixture(scope="session")
def world() -> World:
    """The reference workload, as large as it is meant to be."""
    return build("reference", Size(questions=5_000))


@pytest.fixture(scope="session")
def small_world() -> World:
    """The same, small."""
    return build("reference", Size(tuples=SMALL_TUPLES, questions=500))


@pytest.fixture(scope="session")
def model(world: World) -> CompiledModel:
    """Its model."""
    return compile_model(MODEL_ID, dsl_to_json(world.model))


@pytest.fixture(scope="session")
def index(world: World) -> TupleIndex:
    """Its tuples, in an index that remembers no decision."""
    return index_of(world.tuples(), decisions=0)


@pytest.fixture(scope="session")
def subject(world: World, model: CompiledModel, index: TupleIndex) -> Subject:
    """The world, ready to be asked about; what was made is kept from the collector, as a service does."""
    gc.collect()
    gc.freeze()
    return Subject(model, index, list(world.questions))


@pytest.fixture(scope="session")
def remembering(world: World, model: CompiledModel) -> Subject:
    """The same over an index that remembers decisions."""
    return Subject(model, index_of(world.tuples()), list(world.questions))


@pytest.fixture(scope="session", params=["drive", "github", "deep", "conditions", "contextual"])
def other(request: pytest.FixtureRequest) -> Subject:
    """The other workloads, each with its mix of questions."""
    return subject_of(build(request.param, Size(tuples=SMALL_TUPLES // 3, questions=500)))
