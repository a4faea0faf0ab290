"""The client processes of a run, and what they have counted together. Used by `run`."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from benchmarks.driver.client import monotonic, serve
from benchmarks.driver.job import Job, Times
from benchmarks.driver.latencies import Latencies
from benchmarks.driver.tally import Counted
from benchmarks.extras import BenchmarkError

START_SECONDS = 60.0
LATE_SECONDS = 45.0
"""How long after its end a measurement may take to come to rest."""
_LEAD_SECONDS = 0.1
_STEP_SECONDS = 0.25


class Seen(NamedTuple):
    """How far all client processes are."""

    calls: int
    errors: int
    wrong: int


class Measured(NamedTuple):
    """What all processes have counted in one window."""

    seconds: float
    latencies: dict[str, Latencies]
    errors: dict[str, int]
    wrong: int
    stale: int
    examples: list[str]
    unsent: int
    finished: dict[str, int]
    """By operation, calls that were answered within the window."""
    cpu_seconds: float
    lag: Latencies

    def of(self, operation: str) -> Latencies:
        """All latencies of an operation, whatever the kind."""
        chosen = [each.encoded for label, each in self.latencies.items() if label.startswith(f"{operation}/")]
        return Latencies(chosen)


class Fleet:
    """Client processes that live as long as the run, so that no measurement waits for their start."""

    def __init__(self, processes: int) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._progress = [spawning.RawArray("q", 3) for _ in range(processes)]
        self._pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []
        for progress in self._progress:
            ours, theirs = spawning.Pipe()
            process = spawning.Process(target=serve, args=(theirs, progress), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *raised: object) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(5.0)
            if process.is_alive():
                process.kill()
                process.join()

    def __len__(self) -> int:
        return len(self._processes)

    def measure(
        self,
        job: Job,
        *,
        warm_up: float,
        seconds: float,
        at: Callable[[str], None] = lambda _: None,
        tell: Callable[[Seen], None] = lambda _: None,
    ) -> Measured:
        """Let all processes carry out a job; `part` and `parts` are filled in. `at` hears of `start` and `end`.

        Raises:
            BenchmarkError: a process fails, or is not done in time.

        """
        parts = len(self._pipes)
        for part in range(parts):
            self._send(part, job._replace(part=part, parts=parts))
        for part in range(parts):
            self._expect(part, START_SECONDS, "ready")
        begin = monotonic() + int(_LEAD_SECONDS * 1e9)
        start = begin + int(warm_up * 1e9)
        times = Times(begin, start, start + int(seconds * 1e9))
        for part in range(parts):
            self._send(part, times)
        self._watch(times.start, tell)
        at("start")
        self._watch(times.end, tell)
        at("end")
        found = [self._expect(part, LATE_SECONDS) for part in range(parts)]
        return _together(found, seconds)

    def _watch(self, until: int, tell: Callable[[Seen], None]) -> None:
        while (left := (until - monotonic()) / 1e9) > 0:
            time.sleep(min(left, _STEP_SECONDS))
            tell(Seen(*(sum(each[place] for each in self._progress) for place in range(3))))

    def _send(self, part: int, what: Job | Times) -> None:
        try:
            self._pipes[part].send(what)
        except OSError:
            raise BenchmarkError(f"client process {part} ended by itself") from None

    def _expect(self, part: int, seconds: float, wanted: str = "") -> Any:
        pipe = self._pipes[part]
        try:
            found = pipe.recv() if pipe.poll(seconds) else None
        except (EOFError, OSError):
            raise BenchmarkError(f"client process {part} ended by itself") from None
        if found is None:
            raise BenchmarkError(f"client process {part} is not done after {seconds:g} s more than it should take")
        if isinstance(found, str) and found != wanted:
            raise BenchmarkError(f"client process {part} failed: {found}")
        return found


def _together(found: Sequence[Counted], seconds: float) -> Measured:
    texts: dict[str, list[str]] = {}
    errors: Counter[str] = Counter()
    finished: Counter[str] = Counter()
    for each in found:
        finished.update(each.finished)
        errors.update(each.errors)
        for label, text in each.latencies.items():
            texts.setdefault(label, []).append(text)
    return Measured(
        seconds,
        {label: Latencies(text) for label, text in sorted(texts.items())},
        dict(errors),
        sum(each.wrong for each in found),
        sum(each.stale for each in found),
        [example for each in found for example in each.examples][:5],
        sum(each.unsent for each in found),
        dict(finished),
        sum(each.cpu_seconds for each in found),
        Latencies(each.lag for each in found),
    )
