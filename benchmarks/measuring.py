"""Measure one window: a load on a server through client processes, or questions to a peer. Called by `running`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

from benchmarks.driver.fleet import Fleet, Measured, Seen
from benchmarks.driver.job import Job, Load
from benchmarks.driver.latencies import Latencies
from benchmarks.peers.peer import Failed, Peer
from benchmarks.plan import Pace
from benchmarks.results import Figures
from benchmarks.target.opened import Opened
from benchmarks.target.usage import Family
from benchmarks.workloads.world import Question, World

PEER_CHUNK = 20
"""Questions that a peer is given at a time; the latency of each is their mean."""
_MIB = 2**20


class Window(NamedTuple):
    """What one window gave."""

    figures: Figures
    latencies: dict[str, Latencies]
    examples: list[str]


class Cpu:
    """Processor time of a family at the two ends of a window."""

    def __init__(self, family: Family | None) -> None:
        self._family = family
        self._at: dict[str, float] = {}

    def note(self, end: str) -> None:
        """It is `start` or `end`."""
        if self._family is not None:
            self._at[end] = self._family.cpu_seconds()

    def per_call(self, name: str, calls: int) -> Figures:
        """Microseconds for each call that was answered meanwhile; nothing when it cannot be seen."""
        if len(self._at) < 2 or not calls:
            return {}
        return {name: (self._at["end"] - self._at["start"]) / calls * 1e6}


def measure_server(
    opened: Opened, fleet: Fleet, script: Path, load: Load, pace: Pace, *, seed: str, tell: Callable[[Seen], None]
) -> Window:
    """One window of a load on a server."""
    variant = opened.variant
    job = Job(opened.address, script, load, 0, len(fleet), seed, opened.token)
    job = job._replace(wire=variant.wire, fresh=not variant.target)
    server, database = Cpu(opened.server), Cpu(opened.database)

    def at(end: str) -> None:
        server.note(end)
        database.note(end)

    found = fleet.measure(job, warm_up=pace.warm_up, seconds=pace.seconds, at=at, tell=tell)
    calls = sum(found.finished.values())
    figures = {
        **_figures(found, load),
        **server.per_call("server cpu", calls),
        **database.per_call("database cpu", calls),
    }
    if calls:
        figures["client cpu"] = found.cpu_seconds / calls * 1e6
    if opened.server is not None:
        figures["server memory"] = opened.server.memory().own / _MIB
    problems = [*found.examples, *(f"{count} x {error}" for error, count in sorted(found.errors.items()))]
    return Window(figures, found.latencies, problems)


def _figures(found: Measured, load: Load) -> Figures:
    asked = Latencies(each.encoded for operation, _ in load.mix for each in (found.of(operation),))
    answered = sum(found.finished.get(operation, 0) for operation, _ in load.mix)
    figures = {"throughput": answered / found.seconds, **asked.summary()}
    for operation in ("write", "probe"):
        latencies = found.of(operation)
        if latencies.count:
            figures |= {f"{operation} p50": latencies.at(50.0), f"{operation} p99": latencies.at(99.0)}
    if found.lag.count:
        figures["lag p99"] = found.lag.at(99.0)
    counts = {
        "calls": sum(each.count for each in found.latencies.values()) - found.unsent,
        "errors": sum(found.errors.values()),
        "wrong": found.wrong,
        "stale": found.stale,
        "unsent": found.unsent,
    }
    return figures | {name: float(count) for name, count in counts.items()}


def measure_peer(peer: Peer, world: World, pace: Pace) -> Window:
    """One window of checks to a peer, one after another.

    Raises:
        Failed: the peer gives no answer.

    """
    questions = cycle(world.questions)
    _ask_for(peer, questions, pace.warm_up)
    asking, answering, begun = time.process_time(), peer.cpu_seconds(), time.monotonic()
    chunks = list(_ask_for(peer, questions, pace.seconds))
    asked, answered, seconds = time.process_time() - asking, peer.cpu_seconds(), time.monotonic() - begun
    latencies: dict[str, Latencies] = {"check/all": Latencies()}
    for chunk in chunks:
        for _ in range(PEER_CHUNK):
            latencies["check/all"].record(chunk.nanoseconds // PEER_CHUNK)
    calls, wrong = len(chunks) * PEER_CHUNK, sum(len(chunk.wrong) for chunk in chunks)
    figures = {"throughput": calls / seconds, **latencies["check/all"].summary()}
    figures |= {"calls": float(calls), "errors": 0.0, "wrong": float(wrong), "stale": 0.0, "unsent": 0.0}
    if calls:
        figures |= _shares(peer, asked, None if answering is None or answered is None else answered - answering, calls)
    shown = [f"`{each.object}#{each.relation}@{each.user}` is {not each.allowed}" for c in chunks for each in c.wrong]
    return Window(figures, latencies, shown[:5])


class _Chunk(NamedTuple):
    nanoseconds: int
    wrong: list[Question]


def _ask_for(peer: Peer, questions: Iterator[Question], seconds: float) -> list[_Chunk]:
    """Chunks of questions until the time is over."""
    until, found = time.monotonic() + seconds, []
    while time.monotonic() < until:
        chunk = list(islice(questions, PEER_CHUNK))
        begun = time.perf_counter_ns()
        answers = peer.ask(chunk)
        taken = time.perf_counter_ns() - begun
        if len(answers) != len(chunk):
            raise Failed(f"{len(answers)} answers to {len(chunk)} questions")
        wrong = [each for each, answer in zip(chunk, answers, strict=True) if answer is not each.allowed]
        found.append(_Chunk(taken, wrong))
    return found


def _shares(peer: Peer, asking: float, answering: float | None, calls: int) -> Figures:
    """Microseconds for each call. This process asks; where a peer lives in it, its time is that of both."""
    if not peer.is_apart:
        return {"server cpu": (asking + (answering or 0.0)) / calls * 1e6}
    found = {"client cpu": asking / calls * 1e6}
    return found if answering is None else {**found, "server cpu": answering / calls * 1e6}
