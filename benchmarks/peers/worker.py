"""A peer in a process of its own, told what to do over a pipe. Started by `process`, one for each peer.

Of their own, because one's collector or runtime would run on another's clock, and because a peer may bring its process
down.
"""

from __future__ import annotations

import gc
import signal
import sys
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from multiprocessing.connection import Connection
from types import FrameType
from typing import NamedTuple, NoReturn

from benchmarks.peers.peer import Absent, Failed, Peer, Unsupported, open_peer
from benchmarks.workloads.world import ListQuestion, Question, World

LISTS = "list"
"""Under which name list questions are reported."""

Build = Callable[[], World]
"""Makes a world; handed to another process."""


class Sample(NamedTuple):
    """Seconds that questions took together, by the clock on the wall, here, and in processes that answer."""

    asked: int
    wrong: int
    wall: float
    asking: float
    answering: float | None


class Loaded(NamedTuple):
    """The peer holds the world."""

    note: str
    is_server: bool
    is_apart: bool
    tuples: int
    wall: float


class Refused(NamedTuple):
    """The peer does not take part, or gave up: it is absent, lacks something, or failed."""

    why: str


class Ask(NamedTuple):
    """Ask the checks of a range, kind by kind. Answered by a dict of `Sample` by kind."""

    start: int
    stop: int


class List(NamedTuple):
    """Ask the list questions of a range, from the first again after the last. Answered as `Ask`."""

    start: int
    stop: int


Told = Loaded | Refused | dict[str, Sample]


def work(pipe: Connection, name: str, build: Build) -> None:
    """Open the peer, load the world, and answer until the pipe ends."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and ends its workers in order
    try:
        peer = open_peer(name)
    except (Absent, Failed, ValueError) as error:
        pipe.send(Refused(str(error)))
        return
    try:
        _serve(pipe, peer, build())
    except (Unsupported, Failed) as error:
        pipe.send(Refused(str(error)))
    except BrokenPipeError:  # whoever asked has ended
        return
    finally:
        peer.close()


def _serve(pipe: Connection, peer: Peer, world: World) -> None:
    started = time.perf_counter()
    peer.load(world)
    pipe.send(Loaded(peer.note, peer.is_server, peer.is_apart, world.sizes["tuples"], time.perf_counter() - started))
    gc.collect()
    gc.freeze()
    while (order := _received(pipe)) is not None:
        match order:
            case Ask(start, stop):
                pipe.send(ask(peer, world.questions[start:stop]))
            case List(start, stop):
                pipe.send(_listed(peer, world.listings, range(start, stop)))


def _received(pipe: Connection) -> Ask | List | None:
    try:
        order: Ask | List = pipe.recv()
    except EOFError:  # nobody asks any more
        return None
    return order


def _listed(peer: Peer, questions: Sequence[ListQuestion], wanted: range) -> dict[str, Sample]:
    chosen = [questions[number % len(questions)] for number in wanted] if questions else []
    return {LISTS: list_(peer, chosen)} if chosen else {}


def ask(peer: Peer, questions: Sequence[Question]) -> dict[str, Sample]:
    """Ask checks, those of one kind after those of another; compares every answer with the truth."""
    by_kind = groupby(sorted(questions, key=_kind), key=_kind)
    return {kind: _measured(peer, list(group)) for kind, group in by_kind}


def _measured(peer: Peer, questions: list[Question]) -> Sample:
    start = _Clocks.now(peer)
    answers = peer.ask(questions)
    wrong = sum(question.allowed != answer for question, answer in zip(questions, answers, strict=True))
    return _Clocks.now(peer).since(start, len(questions), wrong)


def list_(peer: Peer, questions: list[ListQuestion]) -> Sample:
    """Ask list questions; one with an object too many or too few is wrong."""
    start = _Clocks.now(peer)
    answers = [peer.list_objects(question) for question in questions]
    taken = _Clocks.now(peer)
    wrong = sum(question.objects != answer for question, answer in zip(questions, answers, strict=True))
    return taken.since(start, len(questions), wrong)


class _Clocks(NamedTuple):
    wall: float
    asking: float
    answering: float | None

    @classmethod
    def now(cls, peer: Peer) -> _Clocks:
        return cls(time.perf_counter(), time.process_time(), peer.cpu_seconds())

    def since(self, start: _Clocks, count: int, wrong: int) -> Sample:
        known = self.answering is not None and start.answering is not None
        answering = self.answering - start.answering if known else None  # type: ignore[operator]
        return Sample(count, wrong, self.wall - start.wall, self.asking - start.asking, answering)


def _kind(question: Question) -> str:
    return question.kind


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(1)
