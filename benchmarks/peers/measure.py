"""Put the same questions to several peers in turn, and take the medians. Called by `command` and by tests."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from benchmarks.peers.process import PeerProcess
from benchmarks.peers.worker import Ask, Build, List, Sample

PROBES = 20
"""With how many checks it is found out how slow a peer is."""
MIX, AGAIN = "mix", "again"
"""Rows beside the kinds of questions and the lists: all kinds together, and the same once more."""

Tell = Callable[[str], None]
"""Takes a line about what goes on."""


class Plan(NamedTuple):
    """How much is asked. Each repeat has questions of its own: no answer can have been kept from an earlier one."""

    checks: int = 1_000
    repeats: int = 5
    lists: int = 5
    seconds: float = 20.0
    """About how long a peer's turn may take: a slow one is asked fewer checks."""

    @property
    def questions(self) -> int:
        """How many different checks that takes; the first share warms up and is not counted."""
        return self.checks * (self.repeats + 1)


class Cost(NamedTuple):
    """Medians in microseconds for each question."""

    wall: float
    asking: float
    """Processor time of the asking process, which holds the peer unless that is apart."""
    answering: float | None
    """Processor time of a process apart; None when it cannot be seen."""

    def of_peer(self, *, is_apart: bool) -> float | None:
        """Processor time of whatever answers: for an engine in the asking process that is this one."""
        return self.answering if is_apart else self.asking


class Result(NamedTuple):
    """What came of one peer."""

    name: str
    note: str = ""
    is_server: bool = False
    is_apart: bool = False
    tuples_per_second: float = 0.0
    costs: dict[str, Cost] = {}  # noqa: RUF012 - never changed
    """By kind of question, `MIX`, `AGAIN` and `LISTS`."""
    wrong: int = 0
    why_not: str = ""
    """Why there are no figures."""


def compare(build: Build, names: Sequence[str], plan: Plan, tell: Tell) -> list[Result]:
    """Measure peers over one world, each in a process of its own, taking turns.

    Args:
        build: makes the world; it must have as many questions as the plan takes.
        names: the peers.
        plan: how much is asked.
        tell: hears how far it is.

    """
    with ExitStack() as stack:
        measured = []
        for name in names:
            tell(f"{name}: loading")
            process = stack.enter_context(PeerProcess(name, build))
            loaded = process.load()
            tell(f"{name}: loaded in {loaded.wall:.1f} s" if loaded else f"{name}: {process.why_not}")
            measured.append(_Measured(name, process, plan))
        for turn in range(plan.repeats + 1):
            tell("warming up" if turn == 0 else f"repeat {turn} of {plan.repeats}")
            for each in measured:
                each.take_turn(turn)
        return [each.result() for each in measured]


class _Measured:
    """One peer's process, and what came of its turns."""

    def __init__(self, name: str, process: PeerProcess, plan: Plan) -> None:
        self._name = name
        self._process = process
        self._plan = plan
        self._checks = plan.checks
        self._turns: list[dict[str, Sample]] = []
        self._wrong = 0

    def take_turn(self, turn: int) -> None:
        """Ask this turn's questions, then the same again, then lists. Turn 0 warms up."""
        plan = self._plan
        start, listed = turn * plan.checks, turn * plan.lists
        if turn == 0:
            self._ask(Ask(start, start + PROBES))  # the first ones may wait for what is loaded late
            self._checks = self._affordable(self._ask(Ask(start, start + PROBES)))
        first = self._ask(Ask(start, start + self._checks))
        again = self._ask(Ask(start, start + self._checks))
        lists = self._ask(List(listed, listed + plan.lists))
        if turn > 0 and not self._process.why_not:
            whole = {MIX: _sum(list(first.values())), AGAIN: _sum(list(again.values()))}
            self._turns.append(first | whole | lists)

    def result(self) -> Result:
        """The medians, or why there are none."""
        loaded, why_not = self._process.loaded, self._process.why_not
        if loaded is None or why_not:
            return Result(self._name, why_not=why_not)
        kinds = dict.fromkeys(kind for turn in self._turns for kind in turn)
        fewer = (
            "" if self._checks == self._plan.checks else f" ({self._checks} checks in each repeat, for want of time)"
        )
        return Result(
            self._name,
            loaded.note + fewer,
            loaded.is_server,
            loaded.is_apart,
            loaded.tuples / loaded.wall,
            {kind: _cost([turn[kind] for turn in self._turns if kind in turn]) for kind in kinds},
            self._wrong,
        )

    def _ask(self, order: Ask | List) -> dict[str, Sample]:
        told = self._process.order(order)
        self._wrong += sum(sample.wrong for sample in told.values())
        return told

    def _affordable(self, probed: dict[str, Sample]) -> int:
        """How many checks fit into the seconds of a turn, in which each is asked twice."""
        if not probed:
            return self._plan.checks
        whole = _sum(list(probed.values()))
        return max(PROBES, min(self._plan.checks, int(self._plan.seconds / 2 * whole.asked / whole.wall)))


def _sum(samples: Sequence[Sample]) -> Sample:
    answering = [sample.answering for sample in samples]
    known = [each for each in answering if each is not None]
    return Sample(
        sum(sample.asked for sample in samples),
        sum(sample.wrong for sample in samples),
        sum(sample.wall for sample in samples),
        sum(sample.asking for sample in samples),
        sum(known) if len(known) == len(answering) else None,
    )


def _cost(samples: Sequence[Sample]) -> Cost:
    answering = [sample.answering / sample.asked for sample in samples if sample.answering is not None]
    return Cost(
        statistics.median(sample.wall / sample.asked for sample in samples) * 1e6,
        statistics.median(sample.asking / sample.asked for sample in samples) * 1e6,
        statistics.median(answering) * 1e6 if answering else None,
    )
