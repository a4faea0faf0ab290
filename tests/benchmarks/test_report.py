"""The report: every figure stands in it, and the same figures give the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.driver.latencies import Latencies
from benchmarks.extras import BenchmarkError
from benchmarks.report.tables import console_table
from benchmarks.report.write import write_report
from benchmarks.results import Results, Row

pytest.importorskip("matplotlib", reason="the plots need the dependency group `bench`")


def _row(load: str, variant: str, **changes: object) -> Row:
    latencies = Latencies()
    for value in range(100, 5_000, 7):
        latencies.record(value * 1_000)
    figures = {"throughput": 1234.5, **latencies.summary(), "server cpu": 321.0, "calls": 700.0, "wrong": 0.0}
    encoded = {"check/direct": latencies.encoded, "check/miss": latencies.encoded, "write/tuple": latencies.encoded}
    row = Row("reference", {"tuples": 10_000, "users": 300}, "", load, variant, [figures] * 3, encoded, [])
    return row._replace(**changes)  # type: ignore[arg-type]


def _results() -> Results:
    start = {"start to ready": 1.5, "ready to answer": 0.25, "ready to loaded": 0.5, "server memory": 99.0}
    grown = [_row("check closed 1x1", "one", growth="tuples", sizes={"tuples": count}) for count in (10_000, 100_000)]
    rows = [
        _row("check closed 1x1", "one"),
        _row("check closed 1x1", "two"),
        _row(
            "check open 500/s +100 writes/s",
            "one",
            repeats=[{"throughput": 1.0, "write p50": 777.0, "write p99": 999.0}],
        ),
        _row("start", "one", repeats=[start], latencies={}, note="loaded by insert in 2.0 s"),
        *grown,
    ]
    variants = {
        "one": {"database": "sqlite", "auth": "none", "settings": [["workers", "1"]], "target": "", "peer": ""},
        "two": {"database": "sqlite", "auth": "none", "settings": [["workers", "2"]], "target": "", "peer": ""},
    }
    machine = {"time": "2026-01-01", "cpu": "a fast one", "cores": 2, "packages": {"grpcio": "1"}}
    return Results(["run", "--quick"], machine, {"pace": {"seconds": 1}}, variants, rows, ["wrong answers: one"])


def test_a_report_says_all(tmp_path: Path) -> None:
    """Machine, command, figures, starts, writes, kinds, growth by tuples and workers, and that the run failed."""
    path = write_report([_results()], tmp_path)
    text = path.read_text(encoding="utf-8")
    for wanted in (
        "a fast one",
        "python -m benchmarks run --quick",
        "wrong answers: one",
        "| check closed 1x1 | two | 1,234 |",
        "777",
        "| reference, 10,000 tuples | one | 1.50 | 0.25 | 0.50 | 99.0 |",
        "direct",
        "tuples 100,000",
        "workers 2",
    ):
        assert wanted in text, wanted
    for line in text.splitlines():
        if line.startswith("!["):
            plot = (tmp_path / line.partition("](")[2].rstrip(")")).read_text(encoding="utf-8")
            assert plot.startswith("<?xml")
    assert "check closed 1x1" in (tmp_path / "reference-throughput.svg").read_text(encoding="utf-8")


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    """A report can be kept under version control."""
    for name in ("a", "b"):
        write_report([_results()._replace(rows=_results().rows[:2])], tmp_path / name)
    first, second = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("a", "b"))
    assert first == second


def test_nothing_to_report_is_said(tmp_path: Path) -> None:
    """Neither an empty run nor a folder that is a file gives a report."""
    with pytest.raises(BenchmarkError, match="nothing to report"):
        write_report([_results()._replace(rows=[])], tmp_path)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BenchmarkError, match="cannot write"):
        write_report([_results()], tmp_path / "file")


def test_what_few_runs_have_is_shown_where_it_is(tmp_path: Path) -> None:
    """The database's processor time, how late calls were made, and those that never were."""
    row = _row("check open 500/s", "one")
    more = {"database cpu": 222.0, "lag p99": 333.0, "unsent": 444.0}
    full = row._replace(repeats=[each | more for each in row.repeats])
    for rows, is_there in (([row], False), ([row, full], True)):
        text = write_report([_results()._replace(rows=rows)], tmp_path).read_text(encoding="utf-8")
        assert ("| database cpu (µs/call) | lag p99 (µs) | errors | unsent |" in text) is is_there
        assert ("| 222 | 333 | 0 | 1,332 |" in text) is is_there
        assert ("222" in console_table(rows)) is is_there


def test_a_run_ends_with_a_table() -> None:
    """The main figures in plain text, and the starts below."""
    lines = console_table(_results().rows).splitlines()
    assert len({len(line) for line in lines[:3]}) == 1
    said = (
        "ready after 1.5 s, first answer 0.25 s later, everything loaded 0.5 s later, 99 MiB; loaded by insert in 2.0 s"
    )
    assert said in lines[-1]
