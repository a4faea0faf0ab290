"""What a client process has counted: latencies by operation and kind, errors, wrong answers. Filled by `loops`."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from benchmarks.driver.latencies import Latencies

MAX_EXAMPLES = 5
TIMED_OUT = "DEADLINE_EXCEEDED"


class Window(NamedTuple):
    """When calls count, in nanoseconds of the monotonic clock: those that were to start within. Before is warm-up."""

    start: int
    end: int


class Outcome(NamedTuple):
    """How a call ended: rightly, or with an error's code, or with a wrong answer that is described."""

    error: str = ""
    wrong: str = ""
    stale: str = ""
    """As `wrong`, of an answer whose freshness nobody has promised."""
    ended: int = 0
    """When the call was over, if something else was done since then."""


RIGHT = Outcome()


class Counted(NamedTuple):
    """What one process reports."""

    latencies: dict[str, str]
    """By `operation/kind`, as text."""
    errors: dict[str, int]
    wrong: int
    stale: int
    examples: list[str]
    unsent: int
    """Calls that were due in the window, and not made because those before took too long."""
    finished: dict[str, int]
    """By operation, calls that were answered within the window, whenever they began."""
    cpu_seconds: float
    lag: str
    """How much later than intended calls were made, as a histogram: the driver's own share of the latencies."""


class Tally:
    """Counts calls of one process."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.done = 0
        self.failed = 0
        self.wrong = 0
        self.stale = 0
        self.unsent = 0
        self._latencies: dict[str, Latencies] = {}
        self._errors: Counter[str] = Counter()
        self._finished: Counter[str] = Counter()
        self._examples: list[str] = []
        self._lag = Latencies()

    def settle(self, label: str, begun: int, ended: int, outcome: Outcome) -> None:
        """A call is over. Wrong answers count at any time, all else only within the window.

        `begun` is when it was to begin: a call that had to wait for its turn has waited.
        """
        self.done += 1
        if outcome.wrong or outcome.stale:
            self._note(outcome)
        # What a server does in the window, and spends on it, is what it answers there: behind a queue that grows, calls
        # that were due in it are answered after it or never.
        if not outcome.error and self.window.start <= ended < self.window.end:
            self._finished[label.partition("/")[0]] += 1
        if not self.window.start <= begun < self.window.end:
            return
        if outcome.error:
            self.failed += 1
            self._errors[f"{label.partition('/')[0]}: {outcome.error}"] += 1
        # A refusal is quick, and would flatter the others; who has waited for nothing has waited.
        if outcome.error in ("", TIMED_OUT):
            self._of(label).record(ended - begun)

    def sent(self, intended: int, now: int) -> None:
        """A call is made that was to be made at `intended`."""
        if self.window.start <= intended < self.window.end:
            self._lag.record(now - intended)

    def give_up(self, label: str, intended: int) -> None:
        """A call that was due cannot be made any more; it has waited until the end of the window at least."""
        if intended >= self.window.start:
            self.unsent += 1
            self._of(label).record(self.window.end - intended)

    def counted(self, cpu_seconds: float) -> Counted:
        """The report."""
        latencies = {label: found.encoded for label, found in self._latencies.items()}
        return Counted(
            latencies,
            dict(self._errors),
            self.wrong,
            self.stale,
            self._examples,
            self.unsent,
            dict(self._finished),
            cpu_seconds,
            self._lag.encoded,
        )

    def _of(self, label: str) -> Latencies:
        found = self._latencies.get(label)
        if found is None:
            found = self._latencies[label] = Latencies()
        return found

    def _note(self, outcome: Outcome) -> None:
        self.wrong += bool(outcome.wrong)
        self.stale += bool(outcome.stale)
        if len(self._examples) < MAX_EXAMPLES:
            self._examples.append(outcome.wrong or outcome.stale)
