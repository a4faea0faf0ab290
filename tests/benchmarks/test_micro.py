"""Micro-benchmarks: what they measure does what it should."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.micro.command import Cost, table

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_subject_runs_once() -> None:
    """
    Each micro-benchmark's subject gives the right result; nothing is timed here.
    """
    pytest.importorskip("pytest_benchmark")
    command = [
        "-m",
        "pytest",
        "benchmarks/micro",
        "--benchmark-disable",
        "-q",
        "-p",
        "no:xdist",
        "-p",
        "no:cacheprovider",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "passed" in done.stdout


def test_the_table_has_a_line_for_each() -> None:
    """
    Name, median, spread, rounds.
    """
    lines = table([Cost("check[direct]", 2.345, 0.5, 1234)]).splitlines()
    assert lines[0].split()[:4] == ["micro-benchmark", "median", "spread", "rounds"]
    assert lines[1].split() == ["check[direct]", "2.35", "0.50", "1,234"]
