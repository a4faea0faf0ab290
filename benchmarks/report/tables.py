"""Figures as tables: in Markdown for a report, and plain at the end of a run. Used by `write` and `session`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from benchmarks.driver.latencies import Latencies
from benchmarks.results import UNITS, Results, Row

START = "start"
COLUMNS = ("throughput", "p50", "p90", "p99", "p99.9", "max", "server cpu", "client cpu")
_START_COLUMNS = ("start to ready", "ready to answer", "ready to loaded", "server memory")
_WRITE_COLUMNS = ("write p50", "write p99", "probe p50", "probe p99")
_WORDS = 3
"""Columns of words before those of numbers."""
_CHECKED = ("errors", "unsent", "wrong", "stale")
_SOMETIMES = ("database cpu", "lag p99")
"""Columns that a table has only if one of its rows has them."""


def middle(row: Row, figure: str) -> float | None:
    """The median of a figure over the repeats, if it was measured."""
    found = row.of(figure)
    return median(found) if found else None


def total(row: Row, figure: str) -> int:
    """A count over all repeats."""
    return int(sum(row.of(figure)))


def number(value: float | None) -> str:
    """A figure with as many digits as say something."""
    if value is None:
        return ""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def grid(header: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """A table in Markdown; behind the first columns, which hold words, numbers stand at the right."""
    marks = ["---" if column < words else "---:" for column in range(len(header))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [list(header), marks, *map(list, rows)])


def is_measured(row: Row) -> bool:
    """Whether a row holds calls, and not a start."""
    return row.load != START


def sizes_of(row: Row) -> str:
    """The size of a world in words."""
    return ", ".join(f"{count:,} {name}" for name, count in row.sizes.items())


def main_table(rows: Sequence[Row]) -> str:
    """Latency, throughput and cost of one world's rows."""
    columns = _columns(rows)
    header = ["load", "variant", *(_headed(figure) for figure in columns), *_CHECKED]
    return grid(header, (_main_cells(row, columns) for row in rows if is_measured(row)), words=2)


def _columns(rows: Sequence[Row]) -> list[str]:
    return [*COLUMNS, *(figure for figure in _SOMETIMES if any(row.of(figure) for row in rows if is_measured(row)))]


def _main_cells(row: Row, columns: Sequence[str]) -> list[str]:
    figures = [number(middle(row, figure)) for figure in columns]
    return [row.load, row.variant, *figures, *(f"{total(row, name):,}" for name in _CHECKED)]


def _headed(figure: str) -> str:
    return f"{figure} ({UNITS[figure]})" if UNITS[figure] else figure


def start_table(rows: Sequence[Row]) -> str:
    """Cold starts; empty when nothing was started."""
    starts = [row for row in rows if row.load == START]
    header = ["world", "variant", *(_headed(figure) for figure in _START_COLUMNS), "loaded"]
    cells = [
        [
            f"{row.workload}, {row.sizes['tuples']:,} tuples",
            row.variant,
            *(number(middle(row, figure)) for figure in _START_COLUMNS),
            row.note,
        ]
        for row in starts
    ]
    return grid(header, cells, words=2) if cells else ""


def write_table(rows: Sequence[Row]) -> str:
    """Writes and the checks right after them; empty when nothing was written."""
    written = [row for row in rows if row.of("write p50")]
    header = ["load", "variant", *(_headed(figure) for figure in _WRITE_COLUMNS), "wrong", "stale"]
    cells = [
        [
            f"{row.workload}: {row.load}",
            row.variant,
            *(number(middle(row, figure)) for figure in _WRITE_COLUMNS),
            str(total(row, "wrong")),
            str(total(row, "stale")),
        ]
        for row in written
    ]
    return grid(header, cells, words=2) if cells else ""


def kinds_table(rows: Sequence[Row]) -> str:
    """Latencies by kind of question, for rows that ask several kinds; empty when there are none."""
    cells = []
    for row in rows:
        kinds = {label: text for label, text in row.latencies.items() if label.startswith("check/")}
        if len(kinds) < 2 or "+" in row.load:
            continue
        for label, text in kinds.items():
            found = Latencies([text])
            kind = label.partition("/")[2]
            figures = [number(found.at(percentile)) for percentile in (50.0, 90.0, 99.0)]
            cells.append([f"{row.workload}: {row.load}", row.variant, kind, f"{found.count:,}", *figures])
    header = ["load", "variant", "kind", "calls", "p50 (µs)", "p90 (µs)", "p99 (µs)"]
    return grid(header, cells, words=3) if cells else ""


def machine_table(results: Results) -> str:
    """The facts of a run."""
    facts = {name: _fact(value) for name, value in results.machine.items() if name != "packages"}
    facts["packages"] = ", ".join(f"{name} {version}" for name, version in results.machine.get("packages", {}).items())
    facts["command"] = f"`python -m benchmarks {' '.join(results.command)}`"
    facts["pace"] = _fact(results.settings.get("pace", {}))
    facts["client processes"] = _fact(results.settings.get("client processes", 1))
    return grid(["fact", ""], ([name, value] for name, value in facts.items()), words=2)


def _fact(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def variant_table(results: Results) -> str:
    """What each variant is."""
    return grid(
        ["variant", "what it is"], ([name, _described(each)] for name, each in results.variants.items()), words=2
    )


def _described(variant: dict[str, Any]) -> str:
    if variant.get("peer"):
        return f"peer `{variant['peer']}`"
    if variant.get("target"):
        return f"attached to {variant['target']}"
    settings = ", ".join(f"{name}={value}" for name, value in variant.get("settings", []))
    return f"authz serve, {variant['database']}, authentication {variant['auth']}" + (
        f", {settings}" if settings else ""
    )


def console_table(rows: Sequence[Row]) -> str:
    """The main figures in plain text."""
    columns = _columns(rows)
    header = ["workload", "load", "variant", *columns, *_CHECKED]
    cells = [header, *([row.workload, *_main_cells(row, columns)] for row in rows if is_measured(row))]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    lines = [" ".join(_padded(line, widths)).rstrip() for line in cells]
    starts = [_start_line(row) for row in rows if row.load == START]
    legend = "latencies and processor time in µs, throughput in calls/s: medians of the repeats"
    return "\n".join([*lines, legend, *starts])


def _padded(line: Sequence[str], widths: Sequence[int]) -> Iterable[str]:
    """Words to the left, numbers to the right."""
    for column, (cell, width) in enumerate(zip(line, widths, strict=True)):
        yield f" {cell:<{width}}" if column < _WORDS else f" {cell:>{width}}"


def _start_line(row: Row) -> str:
    ready, answer, loaded, memory = (middle(row, figure) for figure in _START_COLUMNS)
    parts = [
        f"ready after {ready:.1f} s" if ready is not None else "",
        f"first answer {answer:.2f} s later" if answer else "",
        f"everything loaded {loaded:.1f} s later" if loaded else "",
    ]
    parts.append(f"{memory:,.0f} MiB" if memory else "")
    said = ", ".join(part for part in parts if part)
    return f"{row.workload}, {row.sizes['tuples']:,} tuples, {row.variant}: {said}; {row.note}"
