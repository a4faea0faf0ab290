"""Two runs side by side: what is noise is called noise, and what is not is not."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random

import pytest

from benchmarks.compare import compare, side, summary, table, warnings
from benchmarks.extras import BenchmarkError
from benchmarks.noise import Verdict, compared
from benchmarks.results import Results, Row, read, save


def _noisy(random: Random, middle: float, spread: float, count: int) -> list[float]:
    return [middle * math.exp(random.gauss(0, spread)) for _ in range(count)]


@pytest.mark.parametrize("count", [3, 5, 7])
@pytest.mark.parametrize("spread", [0.02, 0.1, 0.4])
def test_the_same_program_twice_is_within_noise(count: int, spread: float) -> None:
    """Nearly always, whatever the noise; even when the machine is a few percent slower the second time."""
    random, false = Random(7), 0
    for _ in range(60):
        drift = math.exp(random.gauss(0, 0.02))
        first, second = _noisy(random, 100, spread, count), _noisy(random, 100 * drift, spread, count)
        false += compared(first, second).verdict is not Verdict.NOISE
    assert false <= 3


@pytest.mark.parametrize(("ratio", "verdict"), [(1.5, Verdict.HIGHER), (1 / 1.5, Verdict.LOWER)])
def test_a_true_difference_is_found(ratio: float, verdict: Verdict) -> None:
    """Half as much again shows through the noise of a quiet machine."""
    random, found = Random(3), 0
    for _ in range(40):
        first, second = _noisy(random, 100, 0.04, 5), _noisy(random, 100 * ratio, 0.04, 5)
        result = compared(first, second)
        found += result.verdict is verdict
        assert result.low <= result.ratio <= result.high
    assert found >= 38


def test_small_differences_are_noise_however_steady() -> None:
    """Two runs at different times differ by a little more than their repeats do."""
    assert compared([100.0] * 5, [103.0] * 5).verdict is Verdict.NOISE
    assert compared([100.0] * 5, [103.0] * 5, floor=0.01).verdict is Verdict.HIGHER


def test_one_repeat_says_nothing() -> None:
    """Without repeats nobody knows how large the noise is; without figures there is nothing to compare."""
    assert compared([100.0], [300.0]).verdict is Verdict.UNKNOWN
    assert compared([0.0, 0.0], [0.0, 0.0]).verdict is Verdict.NOISE
    with pytest.raises(ValueError, match="no repeats"):
        compared([], [1.0])


def _results(scale: float = 1.0, *, variants: tuple[str, ...] = ("one",), problems: tuple[str, ...] = ()) -> Results:
    rows = [
        Row(
            "reference",
            {"tuples": 1_000},
            "",
            "check closed 1x1",
            variant,
            [
                {"p50": scale * place * each, "throughput": 1e4 / scale / place / each, "errors": 0.0}
                for each in (99, 100, 101)
            ],
            {},
            [],
        )
        for place, variant in enumerate(variants, 1)
    ]
    machine = {"cpu": "test", "cores": 2, "kernel": "Linux", "python": "CPython"}
    return Results([], machine, {}, {}, rows, list(problems))


def test_files_are_compared(tmp_path: Path) -> None:
    """Every figure has its ratio and a judgement: more throughput is better, more time is worse."""
    save(_results(), tmp_path / "a.json")
    save(_results(2.0), tmp_path / "b.json")
    lines = compare(side(str(tmp_path / "a.json")), side(str(tmp_path / "b.json")))
    assert {line.figure: (round(line.compared.ratio, 2), line.judgement) for line in lines} == {
        "throughput": (0.5, "worse"),
        "p50": (2.0, "worse"),
    }
    assert "worse" in table(lines)
    assert summary(lines) == "2 worse"
    back = compare(side(str(tmp_path / "b.json")), side(str(tmp_path / "a.json")))
    assert {line.judgement for line in back} == {"better"}


def test_variants_of_one_run_are_compared(tmp_path: Path) -> None:
    """`FILE#VARIANT` names one side each, within one file too."""
    path = tmp_path / "a.json"
    save(_results(variants=("one", "two")), path)
    lines = compare(side(f"{path}#one"), side(f"{path}#two"))
    assert [round(line.compared.ratio, 1) for line in lines] == [0.5, 2.0]
    with pytest.raises(BenchmarkError, match="has no variant `three`"):
        side(f"{path}#three")


def test_a_side_of_several_variants_is_never_guessed(tmp_path: Path) -> None:
    """Beside a variant that is named, the other side has its namesake, or a single one, or must name one."""
    many, one = tmp_path / "many.json", tmp_path / "one.json"
    save(_results(variants=("one", "two")), many)
    save(_results(variants=("other",)), one)
    assert [line.compared.ratio for line in compare(side(f"{many}#one"), side(str(many)))] == [1.0, 1.0]
    assert [round(line.compared.ratio, 1) for line in compare(side(f"{many}#two"), side(str(one)))] == [2.0, 0.5]
    with pytest.raises(BenchmarkError, match="name one of them with `#`: `one`, `two`"):
        compare(side(str(many)), side(f"{one}#other"))


@pytest.mark.parametrize(("first", "second"), [(6, 7), (10, 12), (30, 50)])
def test_more_repeats_never_widen_an_interval_abruptly(first: int, second: int) -> None:
    """Between the points of the table the wider one holds."""
    figures = [100.0, 90.0, 110.0] * 20
    wide = compared(figures[: first - 1], figures[: second - 1])
    found = compared(figures[:first], figures[:second])
    assert math.log(found.high / found.low) > 0.4 * math.log(wide.high / wide.low)


def test_a_load_beyond_capacity_is_said(tmp_path: Path) -> None:
    """Latencies of calls that were never made are only what they have waited until then."""
    results = _results()
    rows = [row._replace(repeats=[each | {"unsent": 9.0} for each in row.repeats]) for row in results.rows]
    save(results._replace(rows=rows, settings={"client processes": 2}), tmp_path / "a.json")
    save(results, tmp_path / "b.json")
    found = warnings(side(str(tmp_path / "a.json")), side(str(tmp_path / "b.json")))
    assert found == [
        "the runs differ in client processes: `2` and `None`",
        "the first run was asked more than it can answer: reference, check closed 1x1, one",
    ]


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    """Other machines, failed runs, other measurements, files that are none."""
    save(_results(problems=("wrong answers: …",)), tmp_path / "a.json")
    other = _results()
    save(other._replace(machine={**other.machine, "cpu": "another"}, rows=[]), tmp_path / "b.json")
    first, second = side(str(tmp_path / "a.json")), side(str(tmp_path / "b.json"))
    assert warnings(first, second) == [
        "the runs differ in cpu: `test` and `another`",
        "the first run failed: wrong answers: …",
    ]
    with pytest.raises(BenchmarkError, match="no measurement in common"):
        compare(first, second)
    whole = (tmp_path / "a.json").read_text(encoding="utf-8")
    damaged = [whole.replace(*each) for each in (('"tuples"', '"other"'), ('"repeats": [', '"repeats": [1,'))]
    damaged += [
        whole.replace(*each) for each in (('"rows": [', '"rows": [null,'), ('"variants": {', '"variants": {"a": 1'))
    ]
    for content in ("{", "[]", '{"format": 1}', *damaged):
        assert content != whole
        (tmp_path / "c.json").write_text(content, encoding="utf-8")
        with pytest.raises(BenchmarkError, match=r"c\.json"):
            read(tmp_path / "c.json")
    with pytest.raises(BenchmarkError, match="cannot read"):
        read(tmp_path / "absent.json")


def test_a_result_file_keeps_everything(tmp_path: Path) -> None:
    """What is saved is read again."""
    results = _results(variants=("one", "two"))
    save(results, tmp_path / "deep" / "a.json")
    assert read(tmp_path / "deep" / "a.json") == results
