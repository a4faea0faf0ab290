"""Run the program as an operator does, in process or beside it, and a server to talk to. Used by the tests here."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from authz.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "orders"
START_SECONDS = 60


class Result(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Stdout, which is JSON and nothing else."""
        return json.loads(self.out)


def run_cli(*arguments: object) -> Result:
    """Run a command in this process."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    result = Result(code, out.getvalue(), err.getvalue())
    assert "Traceback" not in result.err
    return result


def environment(**more: str) -> dict[str, str]:
    """The environment of a process that imports this repository, without settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTHZ_")}
    return kept | {"PYTHONPATH": str(ROOT), **more}


def start_cli(*arguments: object, **more: str) -> subprocess.Popen[str]:
    """Start a command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "authz", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(**more),
        text=True,
        cwd=ROOT,
    )


class RunningServer:
    """`authz serve` in a process of its own."""

    def __init__(self, uri: str, address: str = "127.0.0.1:0", *flags: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "authz", "serve", *_serve_flags(uri, address), *flags],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment(),
            text=True,
            cwd=ROOT,
        )
        self.address = wait_until_ready(self.process)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self._gone()

    def stop(self) -> int:
        """End it as an operator would; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self._gone()

    def _gone(self) -> int:
        code = self.process.wait(START_SECONDS)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


def _serve_flags(uri: str, address: str) -> Sequence[str]:
    return ("--grpc-addr", address, "--http-addr", "127.0.0.1:0", "--datastore-uri", uri, "--log-level", "error")


def wait_until_ready(process: subprocess.Popen[str]) -> str:
    """The gRPC address that a server prints when it can answer."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        ready = re.match(r"ready grpc=(\S+)", line)
        if ready:
            return ready[1]
    raise AssertionError(f"the server ended: {''.join(seen)}")


def free_address() -> str:
    """A loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
