"""What a run measures: workloads at sizes, each under some loads. Chosen by `cli`, carried out by `running`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, get_args

from benchmarks.driver.job import Load
from benchmarks.workloads.size import Size

Suite = Literal["quick", "reference", "workloads", "growth"]
SUITES: tuple[Suite, ...] = get_args(Suite)

QUESTIONS = 50_000
"""Different checks of a world, unless told otherwise: so many that none is asked again soon."""
MIXED = (("check", 0.9), ("batch", 0.05), ("list", 0.05))
REFERENCE = "reference"
TUPLES = (10_000, 100_000, 1_000_000, 5_000_000)
DEPTHS = (1, 5, 20, 50, 100)
WIDTHS = (10, 100, 1_000, 10_000, 100_000)


class Scene(NamedTuple):
    """A world, and what it is asked. `growth` names the figure of its size that grows over the scenes of a curve."""

    workload: str
    size: Size
    loads: tuple[Load, ...]
    growth: str = ""


class Pace(NamedTuple):
    """How long each measurement takes, and how often it is made."""

    seconds: float = 5.0
    warm_up: float = 1.0
    repeats: int = 5


class Wish(NamedTuple):
    """What may be said about the loads; None and empty leave it to the suite."""

    connections: int = 4
    streams: int = 8
    rate: float = 500.0
    writes: float = 100.0
    questions: int | None = None
    seed: int = 1
    max_tuples: int = 5_000_000


def check_loads(wish: Wish) -> tuple[Load, ...]:
    """Checks alone: one caller, many callers, and callers that come by themselves."""
    return (
        Load("closed"),
        Load("closed", wish.connections, wish.streams),
        Load("open", wish.connections, rate=wish.rate),
    )


def all_loads(wish: Wish) -> tuple[Load, ...]:
    """Checks, batches, lists, a mix of the three, checks beside writes, and writes beside fewer checks."""
    beside = Load("open", wish.connections, rate=wish.rate, writes=wish.writes)
    heavy = Load("open", wish.connections, rate=wish.writes, writes=2 * wish.writes)
    return (
        *check_loads(wish),
        Load("closed", wish.connections, 1, mix=(("batch", 1.0),)),
        Load("closed", wish.connections, 1, mix=(("list", 1.0),)),
        Load("closed", wish.connections, wish.streams, mix=MIXED),
        Load("closed", wish.connections, wish.streams, writes=wish.writes),
        beside,
        heavy,
    )


def loads_of(workload: str, wish: Wish) -> tuple[Load, ...]:
    """All loads for the one world that has tuples to write beside the checks, and checks alone for the others."""
    return all_loads(wish) if workload == REFERENCE else check_loads(wish)


def scenes(suite: Suite, wish: Wish) -> list[Scene]:
    """The scenes of a suite."""
    size = Size(questions=wish.questions or QUESTIONS, seed=wish.seed)
    if suite == "quick":
        small = size._replace(tuples=3_000, questions=wish.questions or 2_000)
        return [Scene(REFERENCE, small, _quick(wish))]
    if suite == "reference":
        return [Scene(REFERENCE, size, all_loads(wish))]
    return list(_workloads(size, wish) if suite == "workloads" else _growth(size, wish))


def _quick(wish: Wish) -> tuple[Load, ...]:
    few = wish._replace(rate=min(wish.rate, 200.0), writes=min(wish.writes, 20.0), connections=2, streams=4)
    closed, _, _, batches, lists, _, _, beside, _ = all_loads(few)
    return (closed, batches, lists, beside)


def _workloads(size: Size, wish: Wish) -> Iterator[Scene]:
    for name in (REFERENCE, "drive", "github", "deep", "wide", "conditions", "contextual"):
        yield Scene(name, size, loads_of(name, wish))


def _growth(size: Size, wish: Wish) -> Iterator[Scene]:
    loads = (Load("closed"), Load("closed", wish.connections, wish.streams))
    for tuples in _up_to(TUPLES, wish.max_tuples):
        lists = Load("closed", mix=(("list", 1.0),))
        yield Scene(REFERENCE, size._replace(tuples=tuples), (*loads, lists), "tuples")
    for depth in DEPTHS:
        yield Scene("deep", size._replace(depth=depth), loads, "depth")
    for width in _up_to(WIDTHS, wish.max_tuples // 4):
        yield Scene("wide", size._replace(width=width), loads, "group size")


def _up_to(steps: Sequence[int], most: int) -> Iterator[int]:
    return (step for step in steps if step <= most)


def measurements(chosen: Sequence[Scene], variants: int, pace: Pace) -> int:
    """How many windows are measured."""
    return sum(len(scene.loads) for scene in chosen) * variants * pace.repeats


def minutes(chosen: Sequence[Scene], variants: int, pace: Pace) -> float:
    """How long all windows take together, without loading and starting."""
    return measurements(chosen, variants, pace) * (pace.seconds + pace.warm_up + 0.3) / 60
