"""A clock that stands still until it is moved. Used by the tests in this folder."""

from __future__ import annotations

from datetime import UTC, datetime


class StillClock:
    """`time` is what `monotonic` says; `wall` is what `now` says. Tests move them."""

    def __init__(self, time: float = 1000.0) -> None:
        self.time = time
        self.wall = datetime(2030, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        """The time of day."""
        return self.wall

    def monotonic(self) -> float:
        """Seconds since an arbitrary start."""
        return self.time
