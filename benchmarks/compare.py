"""Two runs side by side: every figure, its ratio, and whether the difference is more than noise. Called by `cli`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.extras import BenchmarkError
from benchmarks.noise import FLOOR, Compared, Verdict, compared
from benchmarks.results import COUNTS, HIGHER_IS_BETTER, UNITS, Results, Row, read

_PACE = ("pace", "client processes")
_SETTLED = ("cpu", "cores", "kernel", "python")
"""Facts of a machine that must agree for a comparison to mean anything."""


class Side(NamedTuple):
    """One side of a comparison: a run, and one of its variants if one is named."""

    results: Results
    variant: str

    @property
    def rows(self) -> list[Row]:
        """What was measured."""
        return [row for row in self.results.rows if not self.variant or row.variant == self.variant]


class Line(NamedTuple):
    """One figure on both sides."""

    row: str
    figure: str
    compared: Compared

    @property
    def judgement(self) -> str:
        """In words: within noise, better or worse."""
        verdict = self.compared.verdict
        if verdict not in (Verdict.LOWER, Verdict.HIGHER):
            return str(verdict.value)
        is_better = (verdict is Verdict.HIGHER) is (self.figure in HIGHER_IS_BETTER)
        return "better" if is_better else "worse"


def side(text: str) -> Side:
    """Read `FILE` or `FILE#VARIANT`.

    Raises:
        BenchmarkError: there is no such file or variant.

    """
    name, _, variant = text.partition("#")
    results = read(Path(name))
    if variant and not any(row.variant == variant for row in results.rows):
        known = ", ".join(f"`{each}`" for each in dict.fromkeys(row.variant for row in results.rows))
        raise BenchmarkError(f"`{name}` has no variant `{variant}`: it has {known}")
    return Side(results, variant)


def compare(before: Side, after: Side, *, floor: float = FLOOR) -> list[Line]:
    """All figures that both sides have.

    Raises:
        BenchmarkError: they have none in common.

    """
    lines = list(_lines(before, after, floor))
    if not lines:
        raise BenchmarkError("the two runs have no measurement in common: same workload, size, load and variant")
    return lines


def _lines(before: Side, after: Side, floor: float) -> Iterator[Line]:
    are_named = bool(before.variant or after.variant)
    if are_named:
        before, after = _only_variant(before, after), _only_variant(after, before)
    others = {_key(row, are_named=are_named): row for row in after.rows}
    for row in before.rows:
        other = others.get(_key(row, are_named=are_named))
        if other is None:
            continue
        name = f"{row.workload} · {row.load}" + ("" if are_named else f" · {row.variant}")
        if row.growth:
            name += f" · {row.growth} {row.sizes.get(row.growth, 0):,}"
        for figure in UNITS:
            first, second = row.of(figure), other.of(figure)
            if first and second and figure not in COUNTS:
                yield Line(name, figure, compared(first, second, floor=floor))


def _only_variant(one: Side, other: Side) -> Side:
    """A side with its variant: the one that is named, or the only one, or the namesake of the other side's."""
    names = list(dict.fromkeys(row.variant for row in one.rows))
    if len(names) < 2:
        return one
    if other.variant not in names:
        known = ", ".join(f"`{name}`" for name in names)
        raise BenchmarkError(f"one run has several variants, name one of them with `#`: {known}")
    return one._replace(variant=other.variant)


def _key(row: Row, *, are_named: bool) -> tuple[str, ...]:
    return row.key if are_named else (*row.key, row.variant)


def warnings(before: Side, after: Side) -> list[str]:
    """Why a comparison may mislead."""
    found = [
        f"the runs differ in {fact}: `{before.results.machine.get(fact)}` and `{after.results.machine.get(fact)}`"
        for fact in _SETTLED
        if before.results.machine.get(fact) != after.results.machine.get(fact)
    ]
    ours, theirs = before.results.settings, after.results.settings
    found.extend(
        f"the runs differ in {setting}: `{ours.get(setting)}` and `{theirs.get(setting)}`"
        for setting in _PACE
        if ours.get(setting) != theirs.get(setting)
    )
    for name, each in (("first", before), ("second", after)):
        found.extend(f"the {name} run failed: {problem}" for problem in each.results.problems[:3])
        found.extend(
            f"the {name} run was asked more than it can answer: {row.workload}, {row.load}, {row.variant}"
            for row in each.rows
            if any(row.of("unsent"))
        )
    return found


def table(lines: Sequence[Line]) -> str:
    """As text."""
    header = ("measurement", "figure", "first", "second", "ratio", "99 % interval", "judgement")
    cells = [header, *(_cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def _cells(line: Line) -> tuple[str, ...]:
    found, unit = line.compared, UNITS[line.figure]
    return (
        line.row,
        line.figure,
        f"{number(found.before)} {unit}",
        f"{number(found.after)} {unit}",
        f"{found.ratio:.2f}",
        f"{found.low:.2f} to {found.high:.2f}" if found.verdict is not Verdict.UNKNOWN else "",
        line.judgement,
    )


def number(value: float) -> str:
    """A figure with three digits that say something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def summary(lines: Sequence[Line]) -> str:
    """How many figures are how."""
    judged = [line.judgement for line in lines]
    return ", ".join(f"{judged.count(each)} {each}" for each in dict.fromkeys(sorted(judged)))
