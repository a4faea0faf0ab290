"""A real server in a process of its own. Loaded as a plugin by `tests/conftest.py`; used by tests that speak gRPC.

Tests that need one of their own, to kill or restart it, use `running_server` or `start_server`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from authz.settings import PREFIX
from tests.support.budget import index_budget

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

START_SECONDS = 60.0
"""How long a server may take until it is ready, on a machine that does other things too."""
STOP_SECONDS = 30.0
_POLL_SECONDS = 0.01
_SHOWN_LOG = 4000

_READY = re.compile(r"^ready grpc=(\S+) http=(\S+)", re.MULTILINE)
_OFF = "off"
_REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers gRPC at `address` and HTTP at `http`, if it does; its standard error is in `log`."""

    address: str
    process: subprocess.Popen[bytes]
    log: Path
    http: str = ""

    def stop(self) -> int:
        """Ask it to drain and to end; returns its exit code, -9 when it had to be killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def start_server(folder: Path, settings: Mapping[str, object] | None = None) -> RunningServer:
    """Start a server on a free port of loopback, over SQLite in `folder`; other `settings` win over these.

    Raises:
        AssertionError: it ended, or was not ready in time; with the end of its log.

    """
    defaults = {
        "grpc_addr": "127.0.0.1:0",
        "http_addr": "127.0.0.1:0",
        "datastore_uri": f"sqlite:///{folder}/authz.db",
        "log_format": "json",
        "raise_bugs": True,
    }
    budget = index_budget()
    if budget is not None:
        defaults["index_budget"] = budget
    log = folder / "server.log"
    chosen = {f"{PREFIX}{name.upper()}": str(value) for name, value in {**defaults, **(settings or {})}.items()}
    # The developer's own settings must not reach the server under test.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "authz", "serve"],
            cwd=_REPOSITORY,
            env=environment | chosen,
            stdin=subprocess.DEVNULL,
            stderr=stream,
        )
    grpc, http = _addresses_when_ready(process, log)
    return RunningServer(grpc, process, log, http)


@contextmanager
def running_server(folder: Path, settings: Mapping[str, object] | None = None) -> Iterator[RunningServer]:
    """A server while the block runs; it must end with exit code 0 when asked to."""
    server = start_server(folder, settings)
    try:
        yield server
    finally:
        code = server.stop()
    assert code == 0, f"the server ended with {code}: {_end_of(server.log)}"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for all tests of a process; each test makes stores of its own.

    Its deadlines are long, so that a busy machine changes no answer.
    """
    patient = {"request_timeout": 30.0, "list_objects_deadline": 30.0, "list_users_deadline": 30.0}
    with running_server(tmp_path_factory.mktemp("server"), patient) as running:
        yield running


def _addresses_when_ready(process: subprocess.Popen[bytes], log: Path) -> tuple[str, str]:
    """Of gRPC, and of HTTP: empty when that is not served."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        ready = _READY.search(log.read_text(errors="replace"))
        if ready:
            return ready[1], "" if ready[2] == _OFF else ready[2]
        if process.poll() is not None:
            raise AssertionError(f"the server ended with {process.returncode}: {_end_of(log)}")
        time.sleep(_POLL_SECONDS)
    process.kill()
    process.wait()
    raise AssertionError(f"the server was not ready within {START_SECONDS} s: {_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-_SHOWN_LOG:]
