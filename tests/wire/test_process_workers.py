"""The program with several workers: one port, one ready line, one address to scrape, and no worker left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from tests.wire.test_process import Program, program

pytestmark = [pytest.mark.ops, pytest.mark.skipif(os.name != "posix", reason="workers are of Linux")]

LIST = "/openfga.v1.OpenFGAService/ListStores"
PATIENCE = 60.0
"""How long a process may take to start on a machine that does other things too."""
_OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    """Two workers on a free port, over a fresh database."""
    return [
        "grpc_addr=127.0.0.1:0",
        f"datastore_uri=sqlite:///{tmp_path}/authz.db",
        "log_format=json",
        "workers=2",
        "telemetry.metrics_addr=127.0.0.1:0",
    ]


def workers_of(served: Program) -> list[psutil.Process]:
    """The processes of the workers that run."""
    return [each for each in psutil.Process(served.process.pid).children() if each.status() != psutil.STATUS_ZOMBIE]


def eventually(is_so: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def page(served: Program, path: str) -> tuple[int, str]:
    """A page of the operator."""
    address = served.wait_for(r'"metrics_addr":"(127.0.0.1:[1-9][0-9]*)"').group(1)
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@contextmanager
def connections(address: str, count: int = 16) -> Iterator[list[grpc.Channel]]:
    """Channels with a connection each, which the system spreads over the workers."""
    channels = [grpc.insecure_channel(address, options=_OWN_CONNECTION) for _ in range(count)]
    yield channels
    for channel in channels:
        channel.close()


def answers(channel: grpc.Channel) -> bool:
    """Whether a call is answered."""
    try:
        pb.ListStoresResponse.FromString(channel.unary_unary(LIST)(b"", timeout=10, wait_for_ready=True))
    except grpc.RpcError:
        return False
    return True


def counted(served: Program) -> dict[str, float]:
    """How many calls each worker has answered."""
    text = page(served, "/metrics")[1]
    found = re.findall(r'authz_calls_total\{code="OK",method="ListStores",worker="(\d)"\} (\S+)', text)
    return {worker: float(count) for worker, count in found}


def test_all_workers_serve_one_port_and_drain(flags: list[str]) -> None:
    """
    One ready line when all are ready; connections reach every worker; every worker's health says SERVING; SIGTERM ends
    all with 0.
    """
    with program(*flags) as served:
        address = served.address()
        with connections(address) as channels:
            assert all(answers(channel) for channel in channels)
            for channel in channels:
                health = health_pb2_grpc.HealthStub(channel)
                answer = health.Check(health_pb2.HealthCheckRequest(service=""), timeout=10)
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert set(counted(served)) == {"1", "2"}
        assert sum(counted(served).values()) == len(channels)
        served.process.send_signal(signal.SIGTERM)
        assert served.end(30) == 0
        assert sum(line.startswith("ready ") for line in served.lines) == 1
        lines = [json.loads(line) for line in served.lines if line.startswith("{")]
        assert {line["worker"] for line in lines if line["event"] == "rpc"} == {1, 2}
        assert not any("Traceback" in line for line in served.lines)


@pytest.mark.parametrize(
    "changed", [["transport=native"], ["grpc_addr=0.0.0.0:0", "insecure=true"], ["grpc_addr=localhost:0"]]
)
def test_other_listeners_are_shared_as_well(flags: list[str], changed: list[str]) -> None:
    """
    The native transport, and addresses that stand for several, have one port for all workers too.
    """
    if "transport=native" in changed:
        pytest.importorskip("pygrpc_native", reason="the extra `native` is not installed")
    with program(*flags, *changed) as served:
        port = served.address().rpartition(":")[2]
        with connections(f"127.0.0.1:{port}") as channels:
            assert all(answers(channel) for channel in channels)
        assert set(counted(served)) == {"1", "2"}
        assert sum(counted(served).values()) == len(channels)
        served.process.send_signal(signal.SIGTERM)
        assert served.end(30) == 0


def test_a_worker_that_is_killed_is_started_again(flags: list[str]) -> None:
    """
    Its end is told with its exit code, the other one answers meanwhile, readiness says so, and it comes back.
    """
    with program(*flags) as served:
        address = served.address()
        victim = workers_of(served)[0]
        victim.kill()
        served.wait_for(r'"event":"worker_ended".*', PATIENCE)
        assert '"code":-9' in served.wait_for(r".*worker_ended.*").group()
        with connections(address, 8) as channels:
            assert all(answers(channel) for channel in channels)
            status, state = page(served, "/readyz")
            assert (status, json.loads(state)["checks"]["workers"]) == (503, "worker 1: not ready") or status == 200
            served.wait_for(r'"event":"worker_restarted"', PATIENCE)
            assert page(served, "/readyz")[0] == page(served, "/livez")[0] == 200
            assert 'authz_worker_restarts_total{worker="1"} 1.0' in page(served, "/metrics")[1]
        assert len(workers_of(served)) == 2
        assert victim.pid not in {each.pid for each in workers_of(served)}
        served.process.send_signal(signal.SIGTERM)
        assert served.end(30) == 0


def test_a_worker_that_is_asked_to_end_drains_and_comes_back(flags: list[str]) -> None:
    """
    SIGTERM to one worker, the way to renew them one by one, ends that one alone.
    """
    with program(*flags) as served:
        served.address()
        workers_of(served)[1].terminate()
        assert '"code":0' in served.wait_for(r".*worker_ended.*", PATIENCE).group()
        served.wait_for(r'"event":"worker_restarted"', PATIENCE)
        served.process.send_signal(signal.SIGINT)
        assert served.end(30) == 0


def test_no_worker_outlives_its_supervisor(flags: list[str]) -> None:
    """
    When the supervisor is killed, the workers end by themselves, and the port is free for the next service.
    """
    with program(*flags) as served:
        address = served.address()
        workers = workers_of(served)
        assert len(workers) == 2
        served.process.kill()
        served.process.wait()
        _, alive = psutil.wait_procs(workers, timeout=30)
        assert not alive
    with program(*flags, f"grpc_addr={address}") as served:
        assert served.address() == address
        served.process.send_signal(signal.SIGTERM)
        assert served.end(30) == 0


def test_a_worker_that_hangs_is_ended(flags: list[str]) -> None:
    """
    One that does not drain in time is killed, and the exit code says that this was no clean end.
    """
    with program(*flags, "shutdown_grace=0.2") as served:
        served.address()
        workers_of(served)[0].suspend()
        served.process.send_signal(signal.SIGTERM)
        assert served.end(40) == 1
        assert '"worker":1' in served.wait_for(r".*worker_killed.*").group()


def test_a_second_signal_forces(flags: list[str]) -> None:
    """
    While a stream keeps the drain waiting, a second SIGTERM does not wait for the grace, as for one process.
    """
    with program(*flags, "shutdown_grace=60") as served, connections(served.address(), 1) as channels:
        watched = health_pb2_grpc.HealthStub(channels[0]).Watch(health_pb2.HealthCheckRequest(service=""))
        assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
        served.process.send_signal(signal.SIGTERM)
        assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
        served.process.send_signal(signal.SIGTERM)
        assert served.end(30) == 1


@pytest.mark.parametrize("to_group", [signal.SIGINT, signal.SIGHUP])
def test_the_signals_of_a_terminal_drain(flags: list[str], to_group: signal.Signals) -> None:
    """
    Ctrl-C and a closed terminal reach the workers as well as their supervisor: that is one wish to end, not two.
    """
    with program(*flags) as served:
        served.address()
        for worker in workers_of(served):
            worker.send_signal(to_group)
        served.process.send_signal(to_group)
        assert served.end(30) == 0
        assert not any("Traceback" in line or "worker_killed" in line for line in served.lines)


def test_ctrl_c_while_it_starts_ends_it(flags: list[str]) -> None:
    """
    Without a traceback of a worker that has nobody yet to hear a signal.
    """
    with program(*flags) as served:
        eventually(lambda: len(workers_of(served)) == 2, "the workers are started")
        for worker in workers_of(served):
            worker.send_signal(signal.SIGINT)
        served.process.send_signal(signal.SIGINT)
        assert served.end(PATIENCE) == 0
        assert not any("Traceback" in line for line in served.lines), served.lines


@pytest.mark.parametrize(
    ("changed", "code", "text"),
    [
        (["grpc_addr=0.0.0.0:0"], 2, "refusing to listen on `0.0.0.0:0`"),
        (["telemetry.metrics_addr=0.0.0.0:0"], 2, "refusing to serve metrics"),
        (["datastore_uri=sqlite:////nowhere/at/all/authz.db"], 2, "error: setting `datastore_uri`"),
        (["token_key_file=/nowhere/at/all"], 2, "error: setting `token_key_file`"),
        (["datastore_uri=postgresql://127.0.0.1:1/none"], 3, "error: "),
        (["grpc_addr=192.0.2.1:1", "insecure=true"], 3, "cannot listen on `192.0.2.1:1`"),
    ],
)
def test_it_says_once_why_it_does_not_start(flags: list[str], changed: list[str], code: int, text: str) -> None:
    """
    What keeps the first worker from starting ends the service, with the code of one process, and is said once.
    """
    with program(*flags, *changed) as served:
        assert code == served.end(PATIENCE), served.lines
        assert sum(line.startswith("error: ") and text in line for line in served.lines) == 1, served.lines
        assert not any("Traceback" in line for line in served.lines), served.lines


def test_a_second_service_is_refused_the_port(flags: list[str], tmp_path: Path) -> None:
    """
    It would take a part of the first one's calls.
    """
    with program(*flags) as served:
        address = served.address()
        other = [f"grpc_addr={address}", f"datastore_uri=sqlite:///{tmp_path}/other.db"]
        for count in ("workers=1", "workers=2"):
            with program(*other, count) as refused:
                assert refused.end(PATIENCE) == 3
                assert any("cannot listen on" in line for line in refused.lines), refused.lines


def test_a_worker_that_cannot_start_again_is_tried_again(flags: list[str], tmp_path: Path) -> None:
    """
    When a file that it needs has gone meanwhile, the service goes on with the others, and tries until it is back.
    """
    key = tmp_path / "token.key"
    key.write_text("0123456789abcdef0123456789abcdef")
    with program(*flags, f"token_key_file={key}") as served:
        address = served.address()
        key.rename(tmp_path / "away")
        workers_of(served)[0].kill()
        assert "token_key_file" in served.wait_for(r".*worker_not_started.*", PATIENCE).group()
        with connections(address, 4) as channels:
            assert all(answers(channel) for channel in channels)
        (tmp_path / "away").rename(key)
        served.wait_for(r'"event":"worker_restarted"', PATIENCE)
        served.process.send_signal(signal.SIGTERM)
        assert served.end(30) == 0


def test_records_that_are_lost_are_told(flags: list[str], tmp_path: Path) -> None:
    """
    A worker that could not write its last records says so, and so does the service: exit code 3.
    """
    config = tmp_path / "authz.toml"
    config.write_text('shutdown_grace = 0.2\n[audit]\nsinks = ["stdout"]\non_failure = "block"\n')
    with program(*flags, f"config={config}") as served:
        assert served.process.stdout is not None
        address = served.address()
        with connections(address, 4) as channels:
            _fill(served.process.stdout.fileno())
            for channel in channels:
                for _ in range(200):
                    channel.unary_unary(LIST).future(b"", timeout=2)
            time.sleep(1.0)
            served.process.send_signal(signal.SIGTERM)
            assert served.end(60) == 3, served.lines[-5:]
        assert any("audit_records_lost" in line for line in served.lines)


def _fill(descriptor: int) -> None:
    """Nobody reads this pipe: let it be small, so that it is full soon."""
    import fcntl

    fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, 4096)


def test_each_worker_has_a_file_of_records_that_verifies(flags: list[str], tmp_path: Path) -> None:
    """
    One chain, one file and one head a worker; also after a worker was killed, and goes on where it stood.
    """
    from authz.audit.keys import parse_keys
    from authz.audit.verify_files import verify_files

    keys = tmp_path / "audit.keys"
    keys.write_text("k1:" + "ab" * 32)
    file = tmp_path / "audit.jsonl"
    config = tmp_path / "authz.toml"
    config.write_text(f'[audit]\nsinks = ["database", "file"]\nkey_file = "{keys}"\nfile = "{file}"\n')
    with program(*flags, f"config={config}") as served:
        with connections(served.address()) as channels:
            assert all(answers(channel) for channel in channels)
            time.sleep(0.5)
            workers_of(served)[0].kill()
            served.wait_for(r'"event":"worker_restarted"', PATIENCE)
            assert all(answers(channel) for channel in channels)
        served.process.send_signal(signal.SIGTERM)
        assert served.end(30) == 0
    assert not file.exists()
    ring, records = parse_keys(keys.read_bytes()), 0
    for number in (1, 2):
        report = verify_files(tmp_path / f"audit-{number}.jsonl", ring)
        assert report.is_whole, report
        records += report.records
    assert records > 16


def test_the_port_is_not_open_before_it_is_ready(flags: list[str]) -> None:
    """
    Nobody is answered by a service that may still fail to start.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with program(*flags, f"grpc_addr=127.0.0.1:{port}") as served:
        eventually(lambda: len(workers_of(served)) == 2, "the workers are started")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        assert served.address() == f"127.0.0.1:{port}"
