"""What remembering decisions gains while tuples are written: `python -m benchmarks.decisions`.

The reference workload is asked in process, at a steady number of checks between two writes, with questions drawn as
services ask them: a few again and again, most now and then. The same questions and writes run with the memory on and
off; every answer is compared. Both clocks count processor time.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from bisect import bisect
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate
from random import Random
from typing import NamedTuple

from authz.engine.budget import Budget
from authz.engine.check import Check
from authz.index.memory import TupleIndex
from authz.model.compile import CompiledModel, compile_model
from authz.store.api import Change, Operation
from authz.tuples import RelationshipTuple
from benchmarks.workloads.reference import build
from benchmarks.workloads.size import Size
from benchmarks.workloads.world import Question, World
from schema_dsl import dsl_to_json

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SKEWS = {"even": 0.0, "skewed": 1.0}
"""Exponents of Zipf's law by which questions are drawn."""
WRITTEN = {"documents": False, "groups": True}


class Outcome(NamedTuple):
    """Microseconds per check, on average, and the share of checks that were remembered."""

    micros: float
    hits: float


class Run:
    """One index with the tuples of a world, asked and written to in turn."""

    def __init__(self, world: World, model: CompiledModel, decisions: int) -> None:
        self._model = model
        self._index = TupleIndex(1, decisions=decisions)
        self._index.load(world.tuples())
        self._written: list[RelationshipTuple] = []

    def ask(self, questions: Sequence[Question], written: RelationshipTuple) -> float:
        """Write a tuple and ask; returns the seconds that the answers took."""
        self._write(written)
        # Names arrive as new strings with every request.
        asked = [("".join([*each.object]), "".join([*each.relation]), "".join([*each.user])) for each in questions]
        began = time.process_time()
        answers = [Check(self._index, self._model, Budget(_never), each, {}).decide() for each in asked]
        taken = time.process_time() - began
        if answers != [each.allowed for each in questions]:
            raise SystemExit("an answer is wrong")
        return taken

    def share_of_hits(self, checks: int) -> float:
        """How many of the checks were answered from memory."""
        return self._index.decisions.tally.hits / checks

    def _write(self, tuple_: RelationshipTuple) -> None:
        is_there = tuple_ in self._written
        (self._written.remove if is_there else self._written.append)(tuple_)
        operation = Operation.DELETE if is_there else Operation.WRITE
        self._index.apply([Change(self._index.revision + 1, 0, operation, tuple_, NOW, "")])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions", description=__doc__)
    parser.add_argument("--tuples", type=int, default=300_000, help="size of the world [default: %(default)s]")
    parser.add_argument("--checks", type=int, default=60_000, help="checks per variant [default: %(default)s]")
    parser.add_argument("--rate", type=int, default=10_000, help="checks per second [default: %(default)s]")
    parser.add_argument("--writes", type=int, default=100, help="writes per second [default: %(default)s]")
    given = parser.parse_args(arguments)
    world = build(Size(tuples=given.tuples, questions=20_000))
    every = max(given.rate // given.writes, 1)
    print(f"{given.rate} checks and {given.writes} writes a second, {len(world.questions)} different questions")
    print(f"{'questions':10} {'writes to':10} {'off us':>8} {'on us':>8} {'gain':>6} {'hits':>6}")
    for skew, exponent in SKEWS.items():
        questions = drawn(world.questions, given.checks, exponent)
        for written, is_group in WRITTEN.items():
            writes = [each.tuple for each in world.toggles if each.tuple.object.startswith("group:") is is_group][:200]
            off, on = _measure(world, questions, writes, every)
            gain = off.micros / on.micros
            print(f"{skew:10} {written:10} {off.micros:8.2f} {on.micros:8.2f} {gain:5.2f}x {on.hits:6.0%}")


def drawn(pool: Sequence[Question], count: int, exponent: float) -> list[Question]:
    """Questions by Zipf's law: the n-th one is asked in proportion to n to the power of `-exponent`."""
    random = Random(f"decisions {exponent}")
    bounds = list(accumulate((place + 1) ** -exponent for place in range(len(pool))))
    return [pool[min(bisect(bounds, random.random() * bounds[-1]), len(pool) - 1)] for _ in range(count)]


def _measure(
    world: World, questions: Sequence[Question], writes: Sequence[RelationshipTuple], every: int
) -> list[Outcome]:
    """Both variants in turn, a stretch between two writes each, so that what disturbs one disturbs the other."""
    model = compile_model("MODEL", dsl_to_json(world.model))
    runs = [Run(world, model, decisions) for decisions in (0, 100_000)]
    gc.collect()
    gc.freeze()
    taken: list[list[float]] = [[] for _ in runs]
    for number, start in enumerate(range(0, len(questions), every)):
        for place, run in enumerate(runs):
            taken[place].append(run.ask(questions[start : start + every], writes[number % len(writes)]))
    gc.unfreeze()
    return [
        Outcome(statistics.median(each) / every * 1e6, run.share_of_hits(len(questions)))
        for run, each in zip(runs, taken, strict=True)
    ]


def _never() -> None:
    """No check here is long."""


if __name__ == "__main__":
    main()
