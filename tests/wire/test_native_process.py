"""The program with the native transport: it says what it leaves open, serves, drains, refuses what it cannot keep."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.transports import needs_native
from tests.wire.test_process import program

pytestmark = [pytest.mark.ops, needs_native]

LIST_STORES = "/openfga.v1.OpenFGAService/ListStores"
ENDS = {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    """A free port, a fresh database, and the native transport."""
    uri = f"datastore_uri=sqlite:///{tmp_path}/authz.db"
    return ["grpc_addr=127.0.0.1:0", uri, "log_format=json", "transport=native"]


def _call_until_refused(address: str, codes: set[grpc.StatusCode], answered: threading.Event) -> None:
    with grpc.insecure_channel(address) as channel:
        call: Any = channel.unary_unary(LIST_STORES)
        while True:
            try:
                call(b"", timeout=5)
            except grpc.RpcError as error:
                codes.add(error.code())
                return
            codes.add(grpc.StatusCode.OK)
            answered.set()


@pytest.mark.parametrize("workers", [1, 2])
def test_it_serves_and_drains_under_load(flags: list[str], workers: int) -> None:
    """
    SIGTERM in the middle of many calls: each is answered or refused, the exit is 0, and the warning stands in the log.
    """
    codes: set[grpc.StatusCode] = set()
    answered = threading.Event()
    with program(*flags, f"workers={workers}") as served:
        address = served.address()
        threads = [threading.Thread(target=_call_until_refused, args=(address, codes, answered)) for _ in range(4)]
        for thread in threads:
            thread.start()
        assert answered.wait(10)
        served.process.send_signal(signal.SIGTERM)
        assert served.end() == 0
        for thread in threads:
            thread.join(10)
        told = [line for line in served.lines if '"event":"native_transport"' in line]
        assert len(told) == workers
        assert "limits.max_connections" in told[0]
        assert not any("Traceback" in line for line in served.lines), served.lines
    assert grpc.StatusCode.OK in codes
    assert codes <= ENDS


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        (["grpc_addr=0.0.0.0:0"], "setting `transport`: refusing to listen on `0.0.0.0:0`"),
        (["reflection=on"], "setting `reflection`: `transport = native` cannot keep it"),
        (["limits.connection_age=60"], "setting `limits.connection_age`: `transport = native` cannot keep it"),
    ],
)
def test_it_refuses_what_it_cannot_keep(flags: list[str], changed: list[str], text: str) -> None:
    """
    A setting that asks for more than native has ends the program with a usage error that names it.
    """
    with program(*flags, *changed) as served:
        assert served.end() == 2
        assert any(text in line for line in served.lines), served.lines
