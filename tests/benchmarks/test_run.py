"""The program as an engineer calls it: tiny runs against real servers, and messages for what makes no sense."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.cli import BROKEN, DONE, FAILED, INTERRUPTED, USAGE, main
from benchmarks.driver.items import Script, script
from benchmarks.driver.job import Load
from benchmarks.plan import SUITES, Pace, Scene, Wish, measurements, minutes, scenes
from benchmarks.progress import Progress
from benchmarks.results import read
from benchmarks.session import measure
from benchmarks.target.variant import Variant, Wire, parse_variant
from benchmarks.workloads.size import Size
from tests.support.server import running_server

WRITING = Load("open", 2, rate=60, writes=30)
LISTING = Load("closed", mix=(("batch", 0.5), ("list", 0.5)))
TINY = Scene("reference", Size(tuples=400, questions=60), (Load("closed", 2, 2), LISTING, WRITING))
TINIEST = TINY._replace(loads=TINY.loads[:1])
PACE = Pace(seconds=0.6, warm_up=0.2, repeats=1)


def _measure(tmp_path: Path, *variants: Variant, scene: Scene = TINIEST) -> int:
    out = tmp_path / "out.json"
    return measure([scene], variants, PACE, processes=1, out=out, scratch=tmp_path, command=["--out", "x", "--quick"])


@pytest.mark.ops
@pytest.mark.parametrize("wire", ["grpc", "http"])
def test_a_run_measures_a_real_server(tmp_path: Path, wire: Wire) -> None:
    """Checks, batches, lists and writes are answered rightly by a server that the run starts, and all is measured."""
    assert _measure(tmp_path, Variant("own", auth="jwt", wire=wire), scene=TINY) == DONE
    results = read(tmp_path / "out.json")
    assert results.problems == []
    assert results.command == ["--quick"]
    rows = {(row.load, row.variant): row.repeats[0] for row in results.rows}
    assert len(rows) == 4
    for load in TINY.loads:
        figures = rows[load.shown, "own"]
        assert figures["calls"] > 10
        assert figures["wrong"] == figures["errors"] == figures["stale"] == 0
        assert 0 < figures["p50"] <= figures["p99"] <= figures["max"]
        assert figures["server cpu"] > 0 < figures["client cpu"]
        assert figures["server memory"] > 20
    assert rows[WRITING.shown, "own"]["write p50"] > 0 < rows[WRITING.shown, "own"]["probe p50"]
    start = rows["start", "own"]
    assert start["start to ready"] > 0 < start["ready to answer"] <= start["ready to loaded"]
    assert main(["report", str(tmp_path / "out.json"), "--out", str(tmp_path / "report")]) == DONE
    assert main(["compare", f"{tmp_path}/out.json#own", f"{tmp_path}/out.json"]) == DONE


@pytest.mark.ops
def test_a_run_attaches_to_a_server_that_runs(tmp_path: Path) -> None:
    """Nothing is started; the world is written through the interface, and its store is gone afterwards."""
    from authz._proto.openfga.v1 import openfga_service_pb2 as pb
    from tests.support.client import Client

    with running_server(tmp_path) as server:
        assert _measure(tmp_path, Variant("it", target=server.address)) == DONE
        client = Client(server.address)
        names = [store.name for store in client.stub.ListStores(pb.ListStoresRequest(), timeout=10.0).stores]
        client.close()
    assert names == ["test"]
    (start,) = (row for row in read(tmp_path / "out.json").rows if row.load == "start")
    assert start.note.startswith("loaded by attached, write api")


@pytest.mark.ops
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """Its server, clients and databases are gone, and what was measured until then is in the file."""
    scratch, out = tmp_path / "scratch", tmp_path / "out.json"
    scratch.mkdir()
    command = ["run", "--quick", "--tuples", "400", "--workload", "reference", "--questions", "60", "--seconds", "0.3"]
    command += ["--warm-up", "0", "--repeats", "50", "--scratch", str(scratch), "--out", str(out)]
    with (tmp_path / "said").open("w+", encoding="utf-8") as said:
        process = subprocess.Popen([sys.executable, "-m", "benchmarks", *command], stderr=said, stdout=said)
        try:
            family = _when_measuring(process, tmp_path / "said")
            process.send_signal(number)
            assert process.wait(60.0) == INTERRUPTED
        finally:
            process.kill()
            process.wait()
    psutil.wait_procs(family, timeout=10.0)
    assert [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE] == []
    assert list(scratch.iterdir()) == []
    assert (tmp_path / "said").read_text(encoding="utf-8").endswith("error: interrupted\n")
    results = read(out)
    assert results.problems == ["interrupted"]
    assert any(row.of("throughput") for row in results.rows)


def _when_measuring(process: subprocess.Popen[bytes], said: Path) -> list[psutil.Process]:
    """The processes below, once the first window is over."""
    deadline = time.monotonic() + 60.0
    while "/s, p50" not in (text := said.read_text(encoding="utf-8")):
        assert process.poll() is None, text
        assert time.monotonic() < deadline, text
        time.sleep(0.05)
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.ops
def test_a_wrong_answer_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One answer that differs from the truth is enough for exit code 1."""

    def turned(*given: object) -> Script:
        made = script(*given)  # type: ignore[arg-type]
        items = [
            item._replace(expected=not item.expected) if item.operation == "check" else item for item in made.items
        ]
        return made._replace(items=items)

    monkeypatch.setattr("benchmarks.running.script", turned)
    assert _measure(tmp_path, Variant("own", auth="key")) == FAILED
    problems = read(tmp_path / "out.json").problems
    assert any("wrong answers" in problem and "document:" in problem for problem in problems)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["run", "--suite", "none"], USAGE, "there is no suite `none`"),
        (["run", "--workload", "none"], USAGE, "there is no workload `none`"),
        (["run", "--tuples", "1000"], USAGE, "sizes of a `--workload`"),
        (["run", "--repeats", "0"], USAGE, "--repeats"),
        (["run", "--processes", "8", "--connections", "2"], USAGE, "fewer connections than client processes"),
        (["run", "--suite", "growth", "--repeats", "50", "--seconds", "600"], USAGE, "minutes: the most is 240"),
        (["run", "--set", "audit"], USAGE, "NAME=VALUE"),
        (["run", "--scratch", "absent"], USAGE, "no folder `absent`"),
        (["run", "--variant", "a:workers=2", "--variant", "a:workers=1"], USAGE, "two variants are named `a`"),
        (["run", "--peer", "none"], USAGE, "there is no peer `none`"),
        (["run", "--out", "/"], USAGE, "cannot write to `/`"),
        (["run", "--out", "/dev/null/out.json"], USAGE, "cannot write to `/dev/null/out.json`"),
        (["compare", "a", "b", "--figure", "none"], USAGE, "there is no figure `none`"),
        (["peers", "--peer", "none"], BROKEN, "there is no peer `none`"),
        (["run", "--variant", "workers=2"], BROKEN, "a variant is `NAME:key=value,…`"),
        (["run", "--database", "mysql"], BROKEN, "there is no database `mysql`"),
        (["run", "--auth", "password"], BROKEN, "there is no authentication `password`"),
        (["run", "--target", "localhost"], BROKEN, "a target is HOST:PORT"),
        (["report", "absent.json"], BROKEN, "cannot read `absent.json`"),
        (["compare", "absent.json", "absent.json"], BROKEN, "cannot read `absent.json`"),
        (["compare"], USAGE, "first"),
    ],
)
def test_what_makes_no_sense_is_said(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on standard error, no traceback."""
    assert main(arguments) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said.lower() in error.lower()
    assert error.count("\n") == 1


def test_a_setting_that_the_server_does_not_know_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt setting would else be measured as if it held; nothing is loaded before it is noticed."""
    assert (
        main(["run", "--quick", "--set", "no-such=1", "--set", "audit.sinks=[]", "--out", str(tmp_path / "out")])
        == BROKEN
    )
    assert capsys.readouterr().err == "error: the server has no setting `no-such`\n"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever has not installed what benchmarks need learns how to."""
    monkeypatch.setitem(__import__("sys").modules, "hdrh.histogram", None)
    assert main(["run", "--quick"]) == BROKEN
    assert "needs the package `hdrhistogram`: install the dependency group `bench`" in capsys.readouterr().err


def test_variants_differ_in_what_they_name() -> None:
    """Everything else is as in the base."""
    base = Variant("base", settings=(("workers", "1"), ("transport", "grpcio")))
    found = parse_variant("two:workers=2,database=postgresql,index_budget=1g", base)
    assert found.name == "two"
    assert found.database == "postgresql"
    assert found.workers == 2
    assert dict(found.settings) == {"workers": "2", "transport": "grpcio", "index-budget": "1g"}


def test_quick_is_quick() -> None:
    """The windows of `--quick` take less than half a minute, those of every suite have all their worlds."""
    pace = Pace(1.5, 0.5, 2)
    assert minutes(scenes("quick", Wish()), 1, pace) < 0.5
    for suite in SUITES:
        chosen = scenes(suite, Wish(max_tuples=10_000))
        assert measurements(chosen, 1, pace) >= len(chosen) > 0


def test_one_load_is_mostly_writes() -> None:
    """The reference workload is also measured with more writes than other calls beside them."""
    (scene,) = scenes("reference", Wish(writes=70))
    assert any(load.rate == 70 and load.writes == 140 for load in scene.loads)


def test_progress_is_told_in_lines_where_no_line_can_change(capsys: pytest.CaptureFixture[str]) -> None:
    """A log is not flooded: what changes often is told now and then."""
    with Progress() as progress:
        progress.line("begins")
        for count in range(100):
            progress.now(f"{count} calls")
    assert capsys.readouterr().err.splitlines() == ["[0:00] begins"]
