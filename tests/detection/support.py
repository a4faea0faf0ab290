"""A clock that tests move, calls as the edge tells them, and a detector that is ticked every second."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from authz.call import Call, Completed, Principal, Scope
from authz.detection import Detector, Deviation, Phase
from authz.settings.detection import DetectionSettings, Kind
from authz.tuples import TupleKey

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOUR, DAY = 3600.0, 86_400.0


class FakeClock:
    """Both clocks, moved together unless a test sets the wall clock apart."""

    def __init__(self) -> None:
        self.passed = 1000.0
        self.wall = START

    def now(self) -> datetime:
        """The time of day."""
        return self.wall

    def monotonic(self) -> float:
        """Seconds."""
        return self.passed

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.passed += seconds
        self.wall += timedelta(seconds=seconds)


def completed(
    principal: str = "issuer/caller",
    objects: Sequence[str] = ("doc:1",),
    decisions: Sequence[bool | None] | None = None,
    *,
    code: str = "OK",
    peer: str = "10.0.0.1",
    store_id: str = "01HZZZZZZZZZZZZZZZZZZZZZZZ",
) -> Completed:
    """A call that has ended; allowed unless decisions say otherwise."""
    given = [True] * len(objects) if decisions is None else decisions
    return Completed(
        Call(principal=Principal(principal), peer=peer),
        Scope.CHECK,
        START,
        0.001,
        code,
        "",
        store_id=store_id,
        keys=[TupleKey(name, "viewer", "user:anne") for name in objects],
        decisions=given if code == "OK" else (),
    )


class World:
    """A detector and its clock."""

    def __init__(self, *, workers: int = 1, **settings: object) -> None:
        self.clock = FakeClock()
        self.settings = DetectionSettings.model_validate(settings)
        self.detector = Detector(self.settings, self.clock, workers=workers)
        self.told: list[Deviation] = []

    def second(self, calls: Iterable[Completed] = ()) -> list[Deviation]:
        """One second with these calls, and the tick at its end."""
        for call in calls:
            self.detector.observe(call)
        self.clock.move(1.0)
        found = self.detector.tick()
        self.told += found
        return found

    def run(
        self, seconds: float, rate: float | Callable[[float], float], principal: str = "issuer/caller"
    ) -> list[Deviation]:
        """Seconds of checks at a rate, which may depend on the time since the beginning.

        Silent stretches are skipped, as the detector looks at active principals only; deviations of this run.
        """
        before, owed, at = len(self.told), 0.0, 0.0
        call = completed(principal)
        while at < seconds:
            owed += rate(at) if callable(rate) else rate
            count, owed = int(owed), owed - int(owed)
            self.second([call] * count)
            at += 1.0
        return self.told[before:]

    def coarse(self, seconds: float, rate: float, step: float = 20.0) -> list[Deviation]:
        """Like `run`, in ticks of many seconds, for long stretches."""
        before = len(self.told)
        call = completed()
        for _ in range(int(seconds / step)):
            for _ in range(int(rate * step)):
                self.detector.observe(call)
            self.clock.move(step)
            self.told += self.detector.tick()
        return self.told[before:]

    def silence(self, seconds: float) -> list[Deviation]:
        """Time without calls, in coarse ticks."""
        before = len(self.told)
        while seconds > 0:
            step = min(seconds, 30.0)
            self.clock.move(step)
            self.told += self.detector.tick()
            seconds -= step
        return self.told[before:]


def unusual(deviations: Iterable[Deviation], kind: Kind = Kind.RATE) -> list[Deviation]:
    """Those that begin or worsen, of one kind."""
    return [each for each in deviations if each.kind is kind and each.phase in (Phase.BEGAN, Phase.WORSENED)]
