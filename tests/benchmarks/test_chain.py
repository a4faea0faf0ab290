"""The benchmark of the chain: it measures the chain that is served, and what it prints adds up."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from authz.rpc.chain import CHAIN
from benchmarks.chain import Sample, Step, measure, report
from benchmarks.edges import Auth, bench


@pytest.mark.anyio
@pytest.mark.parametrize("auth", get_args(Auth))
async def test_every_step_is_measured(tmp_path: Path, auth: Auth) -> None:
    """
    Through the whole chain a check is answered, of a caller with a token or of anybody, and each step has its row.
    """
    async with bench(tmp_path, "sqlite", auth) as subject:
        steps = await measure(subject, CHAIN, calls=5, repeats=1)
        await subject.edge.recorder.flush()
        assert subject.edge.recorder.statistics().written >= 5
    assert [step.name for step in steps[1:]] == [link.name for link in CHAIN]
    assert all(len(step.costs) == 1 and step.median.path > 0 for step in steps)


def test_the_table_adds_up() -> None:
    """
    A row is the difference to the row before; the sum leaves out what is not the chain.
    """
    steps = [
        Step("exchange", [Sample(1.0, 1.0), Sample(1.0, 1.0)]),
        Step("observe", [Sample(3.0, 4.0), Sample(3.0, 4.0)]),
        Step("audit", [Sample(6.0, 14.0), Sample(6.0, 14.0)]),
    ]
    rows = [line.split() for line in report("null", "jwt", steps).splitlines()]
    assert rows[2:6] == [
        ["exchange", "1.00", "1.00"],
        ["observe", "2.00", "3.00"],
        ["audit", "3.00", "10.00"],
        ["chain", "5.00", "13.00", "budget", "60"],
    ]
