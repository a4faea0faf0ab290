"""The result file of a run: what was measured, on which machine, with all figures of all repeats. Read by `compare` and
`report`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import orjson
from pydantic import TypeAdapter, ValidationError

from benchmarks.extras import BenchmarkError
from benchmarks.target.variant import Variant

FORMAT = 1
Figures = dict[str, float]
"""The figures of one repeat by name; `UNITS` says what they are."""

UNITS = {
    "throughput": "calls/s",
    "p50": "µs",
    "p90": "µs",
    "p99": "µs",
    "p99.9": "µs",
    "max": "µs",
    "server cpu": "µs/call",
    "database cpu": "µs/call",
    "client cpu": "µs/call",
    "server memory": "MiB",
    "write p50": "µs",
    "write p99": "µs",
    "probe p50": "µs",
    "probe p99": "µs",
    "lag p99": "µs",
    "start to ready": "s",
    "ready to answer": "s",
    "ready to loaded": "s",
    "calls": "",
    "errors": "",
    "wrong": "",
    "stale": "",
    "unsent": "",
}
HIGHER_IS_BETTER = frozenset({"throughput"})
COUNTS = frozenset({"calls", "errors", "wrong", "stale", "unsent"})


class Row(NamedTuple):
    """One load on one world, by one variant: every repeat's figures, and the latencies of all repeats together."""

    workload: str
    sizes: dict[str, int]
    growth: str
    load: str
    variant: str
    repeats: list[Figures]
    latencies: dict[str, str]
    """Histograms by `operation/kind`, encoded."""
    examples: list[str]
    """Wrong answers and errors, described."""
    note: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes rows of two runs the same measurement, besides the variant."""
        sizes = ", ".join(f"{name} {count}" for name, count in self.sizes.items())
        return (self.workload, sizes, self.load)

    def of(self, figure: str) -> list[float]:
        """A figure over the repeats."""
        return [repeat[figure] for repeat in self.repeats if figure in repeat]


class Results(NamedTuple):
    """One run."""

    command: list[str]
    machine: dict[str, Any]
    settings: dict[str, Any]
    variants: dict[str, dict[str, Any]]
    rows: list[Row]
    problems: list[str]
    """Why the run failed; none when it did not."""

    @property
    def is_right(self) -> bool:
        """Whether no answer was wrong, and nothing else went wrong."""
        return not self.problems


_RESULTS = TypeAdapter(Results)
_VARIANTS = TypeAdapter(dict[str, Variant])


def save(results: Results, path: Path) -> None:
    """Write a result file. Written anew after every scene, so that a run that is killed has what it has measured.

    Raises:
        BenchmarkError: it cannot be written.

    """
    whole = results._asdict() | {"format": FORMAT, "rows": [row._asdict() for row in results.rows]}
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(orjson.dumps(whole, option=orjson.OPT_INDENT_2))
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise BenchmarkError(f"cannot write `{path}`: {error.strerror}") from None


def read(path: Path) -> Results:
    """Read a result file.

    Raises:
        BenchmarkError: it cannot be read, or is none.

    """
    try:
        whole = orjson.loads(path.read_bytes())
    except OSError as error:
        raise BenchmarkError(f"cannot read `{path}`: {error.strerror}") from None
    except orjson.JSONDecodeError:
        raise BenchmarkError(f"`{path}` is no result file: it is not JSON") from None
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        raise BenchmarkError(f"`{path}` is no result file of this version")
    try:
        found = _RESULTS.validate_python({name: value for name, value in whole.items() if name != "format"})
        _VARIANTS.validate_python(found.variants)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BenchmarkError(f"`{path}` is damaged: {where}: {first['msg'].lower()}") from None
    if not all("tuples" in row.sizes for row in found.rows):
        raise BenchmarkError(f"`{path}` is damaged: a row without its number of tuples")
    return found
