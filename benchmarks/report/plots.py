"""Plots of a run as SVG; the same figures give the same bytes. Used by `write`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.extras import need

Points = Sequence[tuple[float, float]]


class Plot(NamedTuple):
    """Lines over an axis."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Points]
    is_log_x: bool = False
    is_log_y: bool = False


def draw_lines(plot: Plot, path: Path) -> None:
    """Write a plot of lines, each with its points."""
    figure, axes = _figure(plot)
    for name, points in plot.lines.items():
        axes.plot([x for x, _ in points], [y for _, y in points], marker="o", markersize=3, linewidth=1.4, label=name)
    if plot.is_log_x:
        axes.set_xscale("log")
    if plot.is_log_y:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    _finish(figure, axes, path, has_legend=bool(plot.lines))


def draw_latencies(title: str, curves: Mapping[str, Points], path: Path) -> None:
    """Write latencies over percentiles; the axis widens towards the last ones, where the differences are."""
    figure, axes = _figure(Plot(title, "percentile", "latency (µs)", {}))
    for name, points in curves.items():
        axes.plot([_nines(x) for x, _ in points], [y for _, y in points], linewidth=1.4, label=name)
    shown = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99)
    axes.set_xticks([_nines(each) for each in shown], [f"{each:g}" for each in shown])
    axes.set_yscale("log")
    _finish(figure, axes, path, has_legend=bool(curves))


def _nines(percentile: float) -> float:
    """1 for 90, 2 for 99, 3 for 99.9."""
    from math import log10

    return -log10(1 - percentile / 100)


def draw_throughput(title: str, rows: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Write bars of calls per second: a group for each load, a bar for each variant."""
    figure, axes = _figure(Plot(title, "calls/s", "", {}))
    names = list(dict.fromkeys(name for each in rows.values() for name in each))
    height = 0.8 / max(len(names), 1)
    for place, name in enumerate(names):
        values = [each.get(name, 0.0) for each in rows.values()]
        axes.barh([row + place * height for row in range(len(rows))], values, height=height, label=name)
    middle = 0.4 - height / 2
    axes.set_yticks([row + middle for row in range(len(rows))], list(rows))
    axes.invert_yaxis()
    _finish(figure, axes, path, has_legend=len(names) > 1)


def _figure(plot: Plot) -> tuple[Any, Any]:
    matplotlib = need("matplotlib", "matplotlib")
    matplotlib.use("svg")
    # Ids from the content and text as text: the same figures give the same bytes, and a diff can be read.
    matplotlib.rcParams.update({"svg.hashsalt": "authz", "svg.fonttype": "none", "font.size": 9})
    figure = need("matplotlib.figure", "matplotlib").Figure(figsize=(7.2, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.set_title(plot.title)
    axes.set_xlabel(plot.x)
    axes.set_ylabel(plot.y)
    axes.grid(visible=True, linewidth=0.4, alpha=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _finish(figure: Any, axes: Any, path: Path, *, has_legend: bool) -> None:
    if has_legend:
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
