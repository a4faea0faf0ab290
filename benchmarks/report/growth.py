"""How cost grows: rows of one workload at several sizes, or with several workers, as lines. Used by `write`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.report.plots import Plot, draw_lines
from benchmarks.report.tables import grid, is_measured, middle, number
from benchmarks.results import UNITS, Results, Row

_FIGURES = ("server cpu", "p50", "throughput", "server memory")
_WORKERS = "workers"


class Curve(NamedTuple):
    """One figure over what grows, a line for each load and variant."""

    workload: str
    growth: str
    figure: str
    lines: dict[str, list[tuple[float, float]]]

    @property
    def slug(self) -> str:
        """For a file's name."""
        return "-".join(each.replace(" ", "-") for each in ("growth", self.workload, self.growth, self.figure))


class _Point(NamedTuple):
    """A row, how far it has grown, and the line on which it lies besides its load."""

    row: Row
    growth: str
    x: float
    line: str


def curves(results: Results) -> Iterator[Curve]:
    """All curves with at least two points."""
    grown = [_Point(row, row.growth, row.sizes.get(row.growth, 0), row.variant) for row in results.rows if row.growth]
    points = [*grown, *_by_workers(results)]
    for workload, growth in dict.fromkeys((point.row.workload, point.growth) for point in points):
        chosen = [point for point in points if (point.row.workload, point.growth) == (workload, growth)]
        for figure in _FIGURES:
            lines = _lines(chosen, figure)
            if lines:
                yield Curve(workload, growth, figure, lines)


def _by_workers(results: Results) -> Iterator[_Point]:
    """Variants that are the same but for their workers lie on one line."""
    for row in results.rows:
        variant = results.variants.get(row.variant, {})
        if row.growth or not variant or variant.get("peer") or variant.get("target"):
            continue
        settings = dict(variant.get("settings", []))
        workers = int(settings.pop(_WORKERS, 1))
        others = (variant["database"], *(f"{name}={value}" for name, value in settings.items()))
        yield _Point(row, _WORKERS, workers, " ".join(others))


def _lines(points: Sequence[_Point], figure: str) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        value = middle(point.row, figure)
        # Memory after a start is a figure too; all others are of calls.
        if value is not None and (is_measured(point.row) or figure == "server memory"):
            found.setdefault(f"{point.row.load}, {point.line}", []).append((point.x, value))
    return {name: sorted(each) for name, each in found.items() if len({x for x, _ in each}) > 1}


def section(results: Results, folder: Path, prefix: str) -> Iterator[str]:
    """The Markdown of all curves; plots go to the folder."""
    for curve in curves(results):
        name = f"{prefix}{curve.slug}.svg"
        unit = UNITS[curve.figure]
        title = f"{curve.workload}: {curve.figure} by {curve.growth}"
        is_log = curve.growth != _WORKERS
        draw_lines(Plot(title, curve.growth, f"{curve.figure} ({unit})", curve.lines, is_log), folder / name)
        yield f"### {title}\n\n![{title}]({name})\n\n{_table(curve)}\n"


def _table(curve: Curve) -> str:
    steps = sorted({x for points in curve.lines.values() for x, _ in points})
    header = [f"{curve.figure} ({UNITS[curve.figure]})", *(f"{curve.growth} {step:,.0f}" for step in steps)]
    rows = ([name, *(number(dict(points).get(step)) for step in steps)] for name, points in curve.lines.items())
    return grid(header, rows)
