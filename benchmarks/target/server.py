"""A real `authz serve` in processes of its own, as an operator would start it. Used by `opened`.

Everything stays as it is by default, audit trail included, but for three things: rates and thresholds of limits and
detection are so high that nothing is refused, lists are neither cut at a number nor short of time, and records of the
server's log begin at `warning`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from authz.settings import PREFIX
from benchmarks.extras import BenchmarkError
from benchmarks.target.credentials import Credentials

START_SECONDS = 600.0
STOP_SECONDS = 60.0
_POLL_SECONDS = 0.002
_SHOWN_LOG = 2_000
_READY = re.compile(r"^ready grpc=(\S+) http=(\S+)", re.MULTILINE)
_UNKNOWN = re.compile(r"^warning: no setting belongs to the variable (\S+)", re.MULTILINE)
_UNLIMITED = dict.fromkeys(("check", "list", "read", "write", "model", "admin"), "999999999/second")
_LEVEL = ("authz_index_stores", "authz_index_partial")
_FLOORS = ("burst_rate", "sustained_rate", "denials", "denied_objects", "objects")
_DEFAULTS = MappingProxyType(
    {
        "grpc_addr": "127.0.0.1:0",
        "http_addr": "127.0.0.1:0",
        "log_format": "json",
        "log_level": "warning",
        "limits_tiers": json.dumps({"standard": _UNLIMITED, "store": _UNLIMITED}),
        "limits_peer": "999999999/second",
        "list_objects_max_results": "0",
        "list_objects_deadline": "60",
        "request_timeout": "60",
        **{f"detection_{name}": "1000000000" for name in _FLOORS},
    }
)


class Server:
    """One server, started by `start`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, begun: float, metrics: str, workers: int) -> None:
        self._process = process
        self._log = log
        self._begun = begun
        self._metrics = metrics
        self._workers = workers
        self.address = self.http_address = ""
        self.ready_seconds = 0.0
        """From the start of the process to its ready line."""

    @property
    def process_id(self) -> int:
        """The process that supervises, or serves alone."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Return when it says that it can answer.

        Raises:
            BenchmarkError: it ends, is not ready in time, or does not know a setting.

        """
        deadline = self._begun + START_SECONDS
        while time.monotonic() < deadline:
            text = self._log.read_text(errors="replace")
            ready = _READY.search(text)
            if ready:
                self.address, self.http_address = ready[1], ready[2]
                self.ready_seconds = time.monotonic() - self._begun
                self._complain_of_unknown(text)
                return
            if self._process.poll() is not None:
                raise BenchmarkError(f"the server ended with {self._process.returncode}: {text[-_SHOWN_LOG:].strip()}")
            time.sleep(_POLL_SECONDS)
        raise BenchmarkError(f"the server was not ready within {START_SECONDS:g} s: {self._end_of_log()}")

    def _complain_of_unknown(self, text: str) -> None:
        unknown = _UNKNOWN.findall(text)
        if unknown:
            names = ", ".join(f"`{name.removeprefix(PREFIX).lower()}`" for name in unknown)
            raise BenchmarkError(f"the server has no setting {names}")

    @property
    def seconds_ready(self) -> float:
        """Since it said that it can answer."""
        return time.monotonic() - self._begun - self.ready_seconds

    def is_level(self) -> bool:
        """Whether every process of it has loaded a store, and none reads one on demand."""
        try:
            with urllib.request.urlopen(f"http://{self._metrics}/metrics", timeout=10) as page:
                text = page.read().decode()
        except OSError:
            return False  # busy, or still on its way
        stores, partial = (re.findall(rf"^{name}(?:{{.*?}})? (\S+)$", text, re.MULTILINE) for name in _LEVEL)
        asked = [float(value) for value in stores if float(value) > 0]
        return len(asked) == self._workers and not any(map(float, partial))

    def stop(self) -> None:
        """Ask it to drain and end; after a minute it is killed.

        Raises:
            BenchmarkError: it did not end as it should.

        """
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if code != 0:
            raise BenchmarkError(f"the server ended with {code}: {self._end_of_log()}")

    def _end_of_log(self) -> str:
        return self._log.read_text(errors="replace")[-_SHOWN_LOG:].strip()


def start(folder: Path, uri: str, settings: Mapping[str, str], credentials: Credentials) -> Server:
    """Start a server over a database; `settings` win over what a benchmark sets."""
    log = folder / f"server-{time.monotonic_ns()}.log"
    given = {name.replace("-", "_").replace(".", "_"): value for name, value in settings.items()}
    own = {"datastore_uri": uri, "telemetry_metrics_addr": f"127.0.0.1:{_free_port()}"}
    chosen = {**_DEFAULTS, **own, **credentials.settings, **given}
    # The engineer's own settings must not reach what is measured.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment.update({f"{PREFIX}{name.upper()}": value for name, value in chosen.items()})
    begun = time.monotonic()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "authz", "serve"],
            cwd=Path(__file__).resolve().parents[2],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stream,
        )
    return Server(process, log, begun, chosen["telemetry_metrics_addr"], int(chosen.get("workers", "1")))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
