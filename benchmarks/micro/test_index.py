"""The index: moved forward by writes, and loaded."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from authz.clock import SystemClock
from authz.index.memory import TupleIndex
from authz.store.api import Change, Operation
from authz.tuples import RelationshipTuple
from benchmarks.micro.subjects import index_of
from benchmarks.workloads.world import World

_LOADED = 10_000


def _writing(index: TupleIndex, count: int) -> Callable[[], int]:
    """A function that applies one revision of so many tuples with each call: written, and deleted by the next."""
    now = SystemClock().now()
    tuples = [RelationshipTuple(f"document:{number}", "viewer", f"user:new-{number % 50}") for number in range(count)]

    def apply() -> int:
        operation = Operation.WRITE if index.revision % 2 else Operation.DELETE
        revision = index.revision + 1
        index.apply([Change(revision, place, operation, each, now, "bench") for place, each in enumerate(tuples)])
        return index.revision

    return apply


@pytest.mark.parametrize("count", [1, 100])
def test_apply(benchmark: BenchmarkFixture, small_world: World, count: int) -> None:
    """A write of 1 or 100 tuples, taken in while nobody holds a snapshot."""
    assert benchmark(_writing(index_of(small_world.tuples()), count)) > 1


def test_apply_beside_snapshot(benchmark: BenchmarkFixture, small_world: World) -> None:
    """A write of 100 tuples while a snapshot is read elsewhere."""
    index = index_of(small_world.tuples())
    with index.snapshot():
        assert benchmark(_writing(index, 100)) > 1


def test_load(benchmark: BenchmarkFixture, small_world: World) -> None:
    """Ten thousand tuples into an empty index."""
    tuples = list(small_world.tuples())[:_LOADED]
    assert benchmark(index_of, tuples).tuples == _LOADED
