"""Checks by the engine over tuples in memory, each question put in turn; every answer was compared beforehand."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from authz.tuples import RelationshipTuple
from benchmarks.micro.subjects import Subject, subject_of
from benchmarks.workloads.world import Question, World

_OPERATORS = """
model
  schema 1.1
type user
type document
  relations
    define viewer: [user]
    define cleared: [user]
    define blocked: [user]
    define both: viewer and cleared
    define rest: viewer but not blocked
"""
_USERS = 200


def _operators() -> Subject:
    def tuples() -> list[RelationshipTuple]:
        found = []
        for number in range(_USERS):
            object_, user = f"document:{number % 20}", f"user:{number}"
            found.append(RelationshipTuple(object_, "viewer", user))
            if number % 2:
                found.append(RelationshipTuple(object_, "cleared", user))
            if number % 3 == 0:
                found.append(RelationshipTuple(object_, "blocked", user))
        return found

    questions = [
        question
        for number in range(_USERS)
        for question in (
            Question("intersection", f"document:{number % 20}", "both", f"user:{number}", number % 2 == 1),
            Question("exclusion", f"document:{number % 20}", "rest", f"user:{number}", number % 3 != 0),
        )
    ]
    return subject_of(World("operators", 1, {}, _OPERATORS, tuples, questions))


@pytest.mark.parametrize("kind", ["direct", "miss", "group", "folder", ""])
def test_check(benchmark: BenchmarkFixture, subject: Subject, kind: str) -> None:
    """The reference workload by kind of question, and its mix; no decision is remembered."""
    benchmark(subject.asking(kind))


@pytest.mark.parametrize("kind", ["direct", "miss", "group", "folder", ""])
def test_check_again(benchmark: BenchmarkFixture, remembering: Subject, kind: str) -> None:
    """The same where decisions are remembered, and every question was asked before."""
    benchmark(remembering.asking(kind))


@pytest.mark.parametrize("kind", ["intersection", "exclusion"])
def test_check_operator(benchmark: BenchmarkFixture, kind: str) -> None:
    """Operators over tuples that name users directly."""
    benchmark(_operators().asking(kind))


def test_check_workload(benchmark: BenchmarkFixture, other: Subject) -> None:
    """The mix of each other workload."""
    benchmark(other.asking())
