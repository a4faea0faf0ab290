"""What `make run` starts: the sample, served once loaded, with a check that works when pasted."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.support import ROOT, environment, run_cli

if TYPE_CHECKING:
    from pathlib import Path


def start(folder: Path) -> subprocess.Popen[str]:
    """The sample on a free port, with a datastore in a folder."""
    flags = ["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"]
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tools" / "run_sample.py"), *flags],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=environment(AUTHZ_DATASTORE_URI=f"sqlite:///{folder}/sample.db"),
        text=True,
        cwd=ROOT,
    )


def read_until_hint(process: subprocess.Popen[str]) -> list[str]:
    """What it prints until it says how to end it; the commands to paste come last."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line.rstrip())
        if line.startswith("Ctrl-C"):
            return lines
    raise AssertionError(f"the sample ended: {lines}")


@pytest.mark.ops
def test_the_sample_is_loaded_once_and_its_checks_can_be_pasted(tmp_path: Path) -> None:
    """Two starts serve the same store; the checks printed are allowed and denied; Ctrl-C ends it well."""
    stores = []
    for _ in range(2):
        process = start(tmp_path)
        try:
            lines = read_until_hint(process)
            checks = [shlex.split(line, comments=True) for line in lines if " query check " in line]
            codes = [run_cli(*check[1:]).code for check in checks]
            address = next(match[1] for line in lines if (match := re.match(r"ready grpc=(\S+)", line)))
            store = checks[0][checks[0].index("--store") + 1]
            listed = run_cli("store", "list", "--addr", address, "--json").json["stores"]
            count = len(run_cli("tuple", "read", "--all", "--addr", address, "--store", store, "--json").json["tuples"])
            models = len(run_cli("model", "list", "--addr", address, "--store", store, "--json").json["models"])
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
            assert process.stderr is not None
            process.stderr.close()
        assert codes == [0, 1]
        assert ([one["id"] for one in listed], count, models) == ([store], 14, 1)
        stores.append(store)
    assert stores[0] == stores[1]


def test_a_datastore_that_cannot_be_used() -> None:
    """A bad datastore is an error in one line, not a traceback."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "run_sample.py"), "--datastore-uri", "nonsense"],
        env=environment(),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
