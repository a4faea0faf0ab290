"""The numbers of several workers as those of one service: each series gets the label `worker`. Used by `pages` of the
workers, which give theirs, and by `app`, which serves them all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from authz.telemetry.buckets import Distribution
from authz.telemetry.catalogue import METRICS
from authz.telemetry.meter import Family, Point

LABEL = "worker"


class Merged:
    """Stands for a meter whose numbers were collected before."""

    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def collect(self) -> Sequence[Family]:
        """See `Meter`."""
        return self._families


def dump_families(families: Iterable[Family]) -> bytes:
    """Numbers for another process."""
    # Not `orjson`, which knows no infinity.
    return json.dumps(
        [[family.metric.name, [_dumped(point) for point in family.points]] for family in families]
    ).encode()


def load_families(raw: bytes) -> list[Family]:
    """Numbers of another process. Raises ValueError for what `dump_families` did not make."""
    return [Family(METRICS[name], tuple(map(_loaded, points))) for name, points in json.loads(raw) if name in METRICS]


def merge(parts: Mapping[str, Iterable[Family]]) -> Merged:
    """The numbers of workers, by the name of each. Those that name a worker themselves stay as they are."""
    found: dict[str, list[Point]] = {}
    for worker, families in parts.items():
        for family in families:
            points = found.setdefault(family.metric.name, [])
            if LABEL in family.metric.labels:
                points += family.points
            else:
                points += [Point((worker, *point.labels), point.value) for point in family.points]
    metrics = (metric for name, metric in METRICS.items() if name in found)
    return Merged(
        [
            Family(
                metric if LABEL in metric.labels else metric._replace(labels=(LABEL, *metric.labels)),
                tuple(found[metric.name]),
            )
            for metric in metrics
        ]
    )


def _dumped(point: Point) -> list[Any]:
    value = point.value
    return [point.labels, [value.counts, value.total] if isinstance(value, Distribution) else value]


def _loaded(raw: Any) -> Point:
    labels, value = raw
    if isinstance(value, list):
        counts, total = value
        return Point(tuple(labels), Distribution(tuple(counts), total))
    return Point(tuple(labels), value)
