"""The micro-benchmarks as one table of processor time: `python -m benchmarks micro`. Mounted by `cli`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple

import orjson
import typer

from benchmarks.extras import BenchmarkError, need

_FOLDER = Path(__file__).parent
_OPTIONS = (
    "--benchmark-only",
    "--benchmark-quiet",
    "--benchmark-min-time=0.0002",
    "--benchmark-warmup=on",
    "--benchmark-warmup-iterations=50",
    "-q",
    "-p no:cacheprovider",
    "-Wignore::pytest_benchmark.logger.PytestBenchmarkWarning",  # nothing to save: it is told in our words
)


class Cost(NamedTuple):
    """One micro-benchmark: microseconds of processor time."""

    name: str
    median: float
    spread: float
    """Between the quarters of the rounds."""
    rounds: int


def micro(
    *,
    only: Annotated[str, typer.Option("-k", metavar="EXPRESSION", help="Only those that match, as in pytest.")] = "",
    seconds: Annotated[float, typer.Option(min=0.001, max=60, help="About how long for each.")] = 0.2,
    chain: Annotated[bool, typer.Option(help="Also what each step of the chain costs a check.")] = True,
) -> int:
    """Measure single parts, and show their processor time.

    Ends with 1 when a part does not do what it should, or the chain is over its budget.
    """
    failed, costs = measure(only, seconds)
    print(table(costs))
    if not chain:
        return failed
    from benchmarks.chain import main as measure_chain

    return measure_chain(["--calls", "500", "--repeats", "9"]) or failed


def measure(only: str, seconds: float) -> tuple[int, list[Cost]]:
    """Run them; whether any failed (0 or 1), and what they cost.

    Raises:
        BenchmarkError: pytest or its plugin is not installed, nothing is chosen, or they were interrupted.

    """
    need("pytest_benchmark", "pytest-benchmark")
    pytest = need("pytest", "pytest")
    with TemporaryDirectory(prefix="authz-micro-") as folder:
        figures = Path(folder, "figures.json")
        chosen = [*_OPTIONS, f"--benchmark-max-time={seconds}", f"--benchmark-json={figures}", "-k", only, str(_FOLDER)]
        code = pytest.main(chosen)
        if code == pytest.ExitCode.INTERRUPTED:
            raise BenchmarkError("the micro-benchmarks were interrupted, or cannot be loaded")
        if code in (pytest.ExitCode.NO_TESTS_COLLECTED, pytest.ExitCode.USAGE_ERROR):
            raise BenchmarkError(f"no micro-benchmark matches `{only}`")
        found = orjson.loads(figures.read_bytes())["benchmarks"] if figures.exists() else []
    return int(code != 0), [_cost(each) for each in found]


def table(costs: Sequence[Cost]) -> str:
    """One line for each."""
    width = max((len(cost.name) for cost in costs), default=0)
    lines = [f"{'micro-benchmark':<{width}}{'median':>14}{'spread':>12}{'rounds':>9}   µs of processor time"]
    lines += [f"{cost.name:<{width}}{cost.median:>14,.2f}{cost.spread:>12,.2f}{cost.rounds:>9,}" for cost in costs]
    return "\n".join([*lines, ""])


def _cost(figures: dict[str, dict[str, float] | str]) -> Cost:
    name, stats = figures["name"], figures["stats"]
    assert isinstance(name, str)
    assert isinstance(stats, dict)
    return Cost(
        name.removeprefix("test_").replace("[]", "[mix]"),
        stats["median"] * 1e6,
        stats["iqr"] * 1e6,
        int(stats["rounds"]),
    )
