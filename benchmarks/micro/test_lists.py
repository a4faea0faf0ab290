"""Lists of objects and of users, and expansion."""

from __future__ import annotations

from itertools import cycle

from pytest_benchmark.fixture import BenchmarkFixture

from authz.engine.expand import Expand
from authz.engine.list_objects import list_objects
from authz.engine.list_users import list_users
from authz.tuples import UserKind
from benchmarks.micro.subjects import Subject, unlimited
from benchmarks.workloads.world import World


def test_list_objects(benchmark: BenchmarkFixture, subject: Subject, world: World) -> None:
    """The documents of users who see the most."""
    following = cycle(world.listings).__next__

    def list_next() -> tuple[int, int]:
        question = following()
        found: list[str] = []
        listing = list_objects(
            subject.tuples,
            subject.model,
            unlimited(),
            lambda name: found.append(name) is None,  # type: ignore[func-returns-value]
            type_=question.object_type,
            relation=question.relation,
            user=question.user,
            context={},
        )
        assert listing is not None
        listing.run()
        return len(found), len(question.objects)

    found, expected = benchmark(list_next)
    assert found == expected


def test_list_users(benchmark: BenchmarkFixture, subject: Subject) -> None:
    """The users of a document, through its groups and folders."""
    following = cycle([question.object for question in subject.questions[:100]]).__next__

    def list_next() -> int:
        found: list[str] = []
        listing = list_users(
            subject.tuples,
            subject.model,
            unlimited(),
            lambda name: found.append(name) is None,  # type: ignore[func-returns-value]
            object_=following(),
            relation="viewer",
            kind=UserKind("user"),
            context={},
        )
        assert listing is not None
        listing.run()
        return len(found)

    assert benchmark(list_next) > 0


def test_expand(benchmark: BenchmarkFixture, subject: Subject) -> None:
    """One level of a relation of a document."""
    following = cycle([question.object for question in subject.questions[:100]]).__next__

    def expand_next() -> object:
        return Expand(subject.tuples, subject.model, unlimited(), object_=following(), relation="viewer").run()

    assert benchmark(expand_next) is not None
