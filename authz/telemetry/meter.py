"""Where the numbers come from: every metric of the catalogue is read from sources when somebody asks.

Nothing is computed on the path of a call; parts of the service keep plain integers, and `app` registers here how they
are read. Read by `prometheus` and `otlp`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import structlog

from authz.errors import Bug
from authz.telemetry.buckets import Distribution
from authz.telemetry.catalogue import METRICS, Kind, Metric

Value = float | Distribution
Reading = Value | Mapping[str, Value] | Mapping[tuple[str, str], Value] | None
"""One value, or one by label: by its text when one label is open, by both as a tuple otherwise. None: unknown."""
Source = Callable[[], Reading]

_ATTEMPTS = 3
"""How often a source is read whose tables grew meanwhile."""

_log = structlog.get_logger(__name__)


class Point(NamedTuple):
    """One series at one moment."""

    labels: tuple[str, ...]
    value: Value


class Family(NamedTuple):
    """All series of a metric at one moment."""

    metric: Metric
    points: tuple[Point, ...]


class Meter:
    """The sources of all metrics. Sources are read on other threads, without waiting for anything."""

    def __init__(self) -> None:
        self._sources: dict[str, list[tuple[tuple[str, ...], Source]]] = {}
        self._failures: dict[str, int] = {}
        self.observe_source("authz.telemetry.failures", lambda: self._failures)

    def observe_source(self, name: str, read: Source, *labels: str) -> None:
        """Read a metric by calling `read`, which must be quick and wait for nothing.

        Args:
            name: a metric of the catalogue; it may have several sources.
            read: gives the value; a mapping by label when labels are open.
            labels: values of the metric's first labels, when the source is for these alone.

        Raises:
            Bug: no such metric, or more labels than it has.

        """
        metric = METRICS.get(name)
        if metric is None or len(labels) > len(metric.labels):
            raise Bug(f"no metric `{name}` with {len(labels)} labels")
        self._sources.setdefault(name, []).append((labels, read))

    def collect(self) -> list[Family]:
        """All metrics that have sources, in the order of the catalogue. A source that fails is left out and counted."""
        # the failures of this very reading are told as well: their metric is read last
        families = {
            name: Family(metric, tuple(self._points(metric)))
            for name, metric in sorted(METRICS.items(), key=lambda item: item[0] == "authz.telemetry.failures")
            if name in self._sources
        }
        return [families[name] for name in METRICS if name in families]

    def _points(self, metric: Metric) -> Iterator[Point]:
        for labels, read in self._sources[metric.name]:
            try:
                yield from _read(metric, labels, read)
            except Exception as error:  # noqa: BLE001 - one broken number must not hide all others
                if metric.name not in self._failures:
                    _log.error("metric_not_read", metric=metric.name, exc_info=error)
                self._failures[metric.name] = self._failures.get(metric.name, 0) + 1


def _read(metric: Metric, labels: tuple[str, ...], read: Source) -> list[Point]:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _spread(metric, labels, read())
        except RuntimeError:  # a table that another thread was filling
            if attempt == _ATTEMPTS:
                raise
    return []


def _spread(metric: Metric, labels: tuple[str, ...], reading: Reading) -> list[Point]:
    if reading is None:
        return []
    if not isinstance(reading, Mapping):
        return [_point(metric, labels, reading)]
    points = []
    for key, value in reading.items():
        own: tuple[str, ...] = (key,) if isinstance(key, str) else key
        points.append(_point(metric, (*labels, *own), value))
    return points


def _point(metric: Metric, labels: tuple[str, ...], value: Value) -> Point:
    if len(labels) != len(metric.labels):
        raise Bug(f"metric `{metric.name}` has {len(metric.labels)} labels, its source gave {len(labels)}")
    is_distribution = isinstance(value, Distribution)
    if is_distribution is not (metric.kind is Kind.HISTOGRAM):
        raise Bug(f"metric `{metric.name}` is a {metric.kind}")
    if isinstance(value, Distribution) and len(value.counts) != len(metric.bounds) + 1:
        raise Bug(f"metric `{metric.name}` has {len(metric.bounds)} bounds")
    return Point(tuple(str(label) for label in labels), value)
