"""Write the report of one or more runs: Markdown, with plots beside it. Called by `cli`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.driver.latencies import Latencies
from benchmarks.extras import BenchmarkError
from benchmarks.report.growth import section as growth_section
from benchmarks.report.plots import draw_latencies, draw_throughput
from benchmarks.report.tables import (
    is_measured,
    kinds_table,
    machine_table,
    main_table,
    middle,
    sizes_of,
    start_table,
    variant_table,
    write_table,
)
from benchmarks.results import Results, Row

NAME = "report.md"


def write_report(runs: Sequence[Results], folder: Path) -> Path:
    """Write the report into a folder; returns the Markdown file.

    Raises:
        BenchmarkError: the folder cannot be written, or there is nothing to report.

    """
    if not any(results.rows for results in runs):
        raise BenchmarkError("there is nothing to report: no rows in the result files")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        parts = ["# Benchmarks\n", *(part for number, run in enumerate(runs) for part in _run(run, folder, number))]
        path = folder / NAME
        path.write_text("\n".join(parts), encoding="utf-8")
    except OSError as error:
        raise BenchmarkError(f"cannot write to `{folder}`: {error.strerror}") from None
    return path


def _run(results: Results, folder: Path, number: int) -> Iterator[str]:
    prefix = f"run{number + 1}-" if number else ""
    yield f"## Run {number + 1}, {results.machine.get('time', '')}\n"
    yield from (f"**This run failed:** {problem}\n" for problem in results.problems)
    yield machine_table(results) + "\n"
    yield variant_table(results) + "\n"
    for name, rows in _scenes(results.rows).items():
        yield from _scene(name, rows, folder, prefix)
    for title, table in (
        ("Writes, and checks right after them", write_table(results.rows)),
        ("Cold starts", start_table(results.rows)),
        ("By kind of question", kinds_table(results.rows)),
    ):
        if table:
            yield f"### {title}\n\n{table}\n"
    yield from growth_section(results, folder, prefix)
    yield (
        "Figures are medians of the repeats. Latencies count from the time at which a call was to be made; every"
        " answer was compared with the truth. Processor time is that of all processes of the server, user and system,"
        " for each call that was answered within the window. `unsent` are calls that were due, and not made before the"
        " window ended since too many were waiting: the load was more than can be answered, and latencies are at least"
        " what is shown. `lag` is how late calls of the open loop were made, which their latencies include. `probe` is"
        " a check right after a write was acknowledged.\n"
    )


def _scenes(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by world."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if is_measured(row):
            found.setdefault(f"{row.workload}: {sizes_of(row)}", []).append(row)
    return found


def _scene(name: str, rows: Sequence[Row], folder: Path, prefix: str) -> Iterator[str]:
    yield f"### {name}\n\n{main_table(rows)}\n"
    if rows[0].growth:
        return  # its curve says it
    slug = prefix + rows[0].workload
    throughput: dict[str, dict[str, float]] = {}
    for row in rows:
        throughput.setdefault(row.load, {})[row.variant] = middle(row, "throughput") or 0.0
    draw_throughput(f"{rows[0].workload}: throughput", throughput, folder / f"{slug}-throughput.svg")
    yield f"![throughput]({slug}-throughput.svg)\n"
    for load in throughput:
        chosen = {row.variant: _latencies(row).curve() for row in rows if row.load == load and row.latencies}
        if chosen:
            file = f"{slug}-{re.sub('[^a-z0-9]+', '-', load)}.svg"
            draw_latencies(f"{rows[0].workload}: {load}", chosen, folder / file)
            yield f"![latencies, {load}]({file})\n"


def _latencies(row: Row) -> Latencies:
    """What was asked, without the writes and probes beside it."""
    asked = [text for label, text in row.latencies.items() if not label.startswith(("write/", "probe/"))]
    return Latencies(asked)
