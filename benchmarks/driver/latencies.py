"""Latencies as an HdrHistogram that travels between processes and into result files. Filled by `tally`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.extras import need

LOWEST_NS, HIGHEST_NS, DIGITS = 1, 120_000_000_000, 3
"""From a nanosecond to two minutes, to a thousandth."""
SHOWN = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9}
CURVE = (*(float(each) for each in range(0, 90, 2)), 90.0, 92.0, 94.0, 95.0, 96.0, 97.0, 98.0, 99.0, 99.5, 99.9, 99.99)
"""Percentiles at which a distribution is drawn."""


class Latencies:
    """Counts of durations in nanoseconds."""

    def __init__(self, encoded: Iterable[str] = ()) -> None:
        """Begin with what others have counted and encoded."""
        self._counts: Any = need("hdrh.histogram", "hdrhistogram").HdrHistogram(LOWEST_NS, HIGHEST_NS, DIGITS)
        for each in encoded:
            self._counts.decode_and_add(each)

    def record(self, nanoseconds: int) -> None:
        """Count a duration; beyond two minutes it counts as two minutes."""
        self._counts.record_value(min(max(nanoseconds, LOWEST_NS), HIGHEST_NS))

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self._counts.get_total_count())

    @property
    def encoded(self) -> str:
        """As text."""
        text = self._counts.encode()
        return text.decode("ascii") if isinstance(text, bytes) else str(text)

    def at(self, percentile: float) -> float:
        """The duration in microseconds that so many percent do not exceed; 0 without any."""
        return float(self._counts.get_value_at_percentile(percentile)) / 1e3 if self.count else 0.0

    def summary(self) -> dict[str, float]:
        """The percentiles that are shown, and the greatest, in microseconds."""
        found = {name: self.at(percentile) for name, percentile in SHOWN.items()}
        return {**found, "max": float(self._counts.get_max_value()) / 1e3 if self.count else 0.0}

    def curve(self) -> list[tuple[float, float]]:
        """Percentile and microseconds, for a plot."""
        return [(percentile, self.at(percentile)) for percentile in CURVE]
