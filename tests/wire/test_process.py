"""The program as a process: ready line, refusals, drain."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from grpc_health.v1 import health_pb2, health_pb2_grpc

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz._proto.openfga.v1.openfga_service_pb2_grpc import OpenFGAServiceStub
from schema_dsl import dsl_to_json
from tests.wire.support import MODEL, tuple_key

_SERVE = """
import sys
from pathlib import Path
from authz.app import run
from authz.settings import InvalidSettings, load_settings
try:
    given = dict(pair.split("=", 1) for pair in sys.argv[1:])
    config = given.pop("config", None)
    settings = load_settings(given, config and Path(config))
except InvalidSettings as error:
    sys.exit(f"error: {error}")
sys.exit(run(settings))
"""
pytestmark = pytest.mark.ops


class Program:
    """A running service with what it has written to standard error."""

    def __init__(self, *flags: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AUTHZ_")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=Path(__file__).resolve().parents[2],
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line.rstrip())
                self._news.notify_all()

    def wait_for(self, pattern: str, seconds: float = 60) -> re.Match[str]:
        """The first line that matches."""
        deadline = time.monotonic() + seconds
        with self._news:
            while time.monotonic() < deadline:
                for line in self.lines:
                    found = re.search(pattern, line)
                    if found:
                        return found
                if not self.reader.is_alive():
                    break
                self._news.wait(0.1)
        raise AssertionError(f"no line matches {pattern}: {self.lines}")

    def address(self) -> str:
        """Where it serves, once it is ready."""
        return self.wait_for(r"^ready grpc=(\S+) http=\S+$").group(1)

    def end(self, seconds: float = 20) -> int:
        """The exit code."""
        code = self.process.wait(seconds)
        self.reader.join(5)
        return code


@contextmanager
def program(*flags: str) -> Iterator[Program]:
    """Start; make sure that it is gone afterwards."""
    started = Program(*flags)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
            started.process.wait()
        started.reader.join(30)  # workers end by themselves, and hold the stream until then
        for stream in (started.process.stdout, started.process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    """A free port and a fresh database."""
    return ["grpc_addr=127.0.0.1:0", f"datastore_uri=sqlite:///{tmp_path}/authz.db", "log_format=json"]


def test_it_tells_when_it_is_ready_and_drains_at_sigterm(flags: list[str]) -> None:
    """
    The ready line names the real port, calls are answered, health says SERVING, and SIGTERM ends it with 0.
    """
    with program(*flags) as served:
        with grpc.insecure_channel(served.address()) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            for service in ("", "openfga.v1.OpenFGAService"):
                answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
            call = channel.unary_unary("/openfga.v1.OpenFGAService/ListStores")
            assert pb.ListStoresResponse.FromString(call(b"", timeout=5)) == pb.ListStoresResponse()
        served.process.send_signal(signal.SIGTERM)
        assert served.end() == 0
        assert any('"event":"rpc"' in line and '"grpc_method":"ListStores"' in line for line in served.lines)
        assert not any("Traceback" in line for line in served.lines)


def test_it_drains_under_load(flags: list[str]) -> None:
    """
    SIGTERM in the middle of many calls: each is answered or refused as UNAVAILABLE or CANCELLED, and the exit is 0.
    """
    codes: dict[grpc.StatusCode, str] = {}
    stop = threading.Event()
    with program(*flags) as served:
        address = served.address()

        def load() -> None:
            with grpc.insecure_channel(address) as channel:
                call = channel.unary_unary("/openfga.v1.OpenFGAService/ListStores")
                while not stop.is_set():
                    try:
                        call(b"", timeout=5)
                        codes[grpc.StatusCode.OK] = ""
                    except grpc.RpcError as error:
                        codes[error.code()] = str(error)
                        return

        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        served.process.send_signal(signal.SIGTERM)
        assert served.end() == 0
        stop.set()
        for thread in threads:
            thread.join(10)
        assert not any("Traceback" in line for line in served.lines)
    assert codes.keys() <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}, codes
    assert grpc.StatusCode.OK in codes


def test_a_watched_health_turns_before_the_end_and_a_second_signal_forces(flags: list[str]) -> None:
    """
    While a stream keeps the drain waiting, health says NOT_SERVING; a second SIGTERM does not wait for the grace.
    """
    with program(*flags, "shutdown_grace=60") as served, grpc.insecure_channel(served.address()) as channel:
        watched = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=""))
        assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
        served.process.send_signal(signal.SIGTERM)
        assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert served.process.poll() is None
        served.process.send_signal(signal.SIGTERM)
        assert served.end(10) == 1


def test_a_closed_terminal_drains(flags: list[str]) -> None:
    """
    SIGHUP, once or twice, ends the program as SIGTERM does: what waits to be recorded is written.
    """
    with program(*flags) as served:
        served.address()
        served.process.send_signal(signal.SIGHUP)
        served.process.send_signal(signal.SIGHUP)
        assert served.end(20) == 0
        assert any('"event":"stopped"' in line for line in served.lines)


def test_acknowledged_writes_survive_a_kill(flags: list[str]) -> None:
    """
    After kill -9 in the middle of writes, the next start serves every write that was acknowledged.
    """
    acknowledged: list[str] = []
    with program(*flags) as served, grpc.insecure_channel(served.address()) as channel:
        stub = OpenFGAServiceStub(channel)
        store_id = stub.CreateStore(pb.CreateStoreRequest(name="kept"), timeout=5).id
        body = {"store_id": store_id, **dsl_to_json(MODEL)}
        stub.WriteAuthorizationModel(ParseDict(body, pb.WriteAuthorizationModelRequest()), timeout=5)
        killer = threading.Timer(1.0, served.process.kill)
        killer.start()
        with contextlib.suppress(grpc.RpcError):
            for number in range(100_000):
                tuples = pb.WriteRequestWrites(tuple_keys=[tuple_key(f"document:{number}#viewer@user:anne")])
                stub.Write(pb.WriteRequest(store_id=store_id, writes=tuples), timeout=5)
                acknowledged.append(f"document:{number}")
        killer.join()
        served.end()
    assert acknowledged
    with program(*flags) as served, grpc.insecure_channel(served.address()) as channel:
        request = pb.StreamedListObjectsRequest(store_id=store_id, type="document", relation="viewer", user="user:anne")
        stream = OpenFGAServiceStub(channel).StreamedListObjects(request, timeout=10)
        assert set(acknowledged) <= {answer.object for answer in stream}


@pytest.mark.parametrize(
    ("changed", "code", "text"),
    [
        (["grpc_addr=0.0.0.0:0"], 2, "refusing to listen on `0.0.0.0:0`"),
        (["datastore_uri=oracle://x"], 2, "oracle"),
        (["datastore_uri=sqlite:////nowhere/at/all/authz.db"], 2, "error: "),
        (["grpc_addr=192.0.2.1:1", "insecure=true"], 3, "cannot listen on `192.0.2.1:1`"),
    ],
)
def test_it_says_why_it_does_not_start(flags: list[str], changed: list[str], code: int, text: str) -> None:
    """
    Dangerous, unknown and impossible settings end the program with a reason and without a traceback.
    """
    with program(*flags, *changed) as served:
        assert code == served.end()
        assert any(text in line for line in served.lines), served.lines
        assert not any("Traceback" in line for line in served.lines), served.lines


@pytest.mark.postgres
def test_a_server_database_is_not_migrated_by_itself(postgres_database: str) -> None:
    """
    On a server database that misses migrations the program ends with the command that helps.
    """
    with program("grpc_addr=127.0.0.1:0", f"datastore_uri={postgres_database}") as served:
        assert served.end() == 3
        assert any("authz migrate" in line for line in served.lines), served.lines


def test_insecure_listens_beyond_loopback(flags: list[str]) -> None:
    """
    When the operator insists, it listens anywhere.
    """
    with program(*flags, "grpc_addr=0.0.0.0:0", "insecure=true") as served:
        assert served.address().startswith("0.0.0.0:")
        served.process.send_signal(signal.SIGINT)
        assert served.end() == 0
