"""The operator's pages over real sockets: health, metrics, and peers that mean no good."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import threading
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

import pytest

from authz.clock import SystemClock
from authz.errors import Unavailable
from authz.settings.telemetry import TelemetrySettings
from authz.telemetry import Telemetry, open_telemetry
from authz.telemetry.listener import MAX_CONNECTIONS, Answer, Listener
from tests.telemetry.support import METHODS, SERVICE, completed

pytestmark = pytest.mark.anyio

GET = "GET {} HTTP/1.1\r\nHost: {}\r\n{}\r\n"


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[Telemetry]:
    """Telemetry with pages on a free port."""
    given = TelemetrySettings(metrics_addr="127.0.0.1:0", **settings)
    async with open_telemetry(given, methods=METHODS, clock=SystemClock(), version="1.2.3") as telemetry:
        yield telemetry


@contextmanager
def listener(deadline: float = 5.0) -> Iterator[str]:
    """A listener with one page."""

    async def page(_accept: str) -> Answer:
        return Answer(200, "text/plain", b"x" * 2_000_000)

    async def broken(_accept: str) -> Answer:
        raise RuntimeError("page")

    served = Listener("127.0.0.1:0", {"/page": page, "/broken": broken}, deadline=deadline)
    try:
        yield served.open()
    finally:
        served.close()


def connect(address: str) -> socket.socket:
    """A connection."""
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=5)


def ask(address: str, request: str) -> tuple[int, dict[str, str], bytes]:
    """Send one request as it is; status, headers and body of the answer (status 0: none)."""
    with connect(address) as connection:
        connection.sendall(request.encode())
        raw = b""
        while part := connection.recv(65536):
            raw += part
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split(" ")[1]) if lines[0] else 0, headers, body


async def get(address: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """GET a page, off the event loop."""
    more = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    return await asyncio.to_thread(ask, address, GET.format(path, address, more))


async def test_metrics_are_served() -> None:
    """
    As Prometheus asks for them; the address is told with its port.
    """
    async with opened() as telemetry:
        watch = telemetry.watch(SERVICE, "Check")
        watch.end(watch.begin(()), completed())
        status, headers, body = await get(telemetry.address, "/metrics?x=1")
        assert status == 200
        assert headers["content-type"].startswith("text/plain")
        assert b'authz_calls_total{code="OK",method="Check"} 1.0' in body
        assert b"authz_event_loop_lag_seconds_bucket" in body
        _, headers, body = await get(telemetry.address, "/metrics", Accept="application/openmetrics-text;version=1.0.0")
        assert headers["content-type"].startswith("application/openmetrics-text")
        assert body.endswith(b"# EOF\n")


async def test_readiness_tells_which_part_is_not_ready() -> None:
    """
    Not ready until all parts are, and again when it drains; it names each part; liveness does not depend on it.
    """
    asked, why = 0, ""
    is_away = False

    async def ping() -> None:
        nonlocal asked
        asked += 1
        if is_away:
            raise Unavailable("the datastore does not answer")

    async with opened() as telemetry:
        readiness = telemetry.readiness
        readiness.probe("datastore", ping)
        readiness.check("audit", lambda: "")
        status, _, body = await get(telemetry.address, "/readyz")
        assert (status, json.loads(body)["checks"]["serving"]) == (503, "starting")
        readiness.check("serving", lambda: why)
        status, headers, body = await get(telemetry.address, "/readyz")
        assert (status, headers["content-type"]) == (200, "application/json")
        assert json.loads(body) == {"ready": True, "checks": {"serving": "ok", "audit": "ok", "datastore": "ok"}}
        assert asked == 1
        readiness.check("audit", lambda: "no room")
        readiness.check("broken", lambda: str(1 / 0))
        is_away = True
        await asyncio.sleep(1.05)
        answers = await asyncio.gather(*(get(telemetry.address, "/readyz") for _ in range(5)))
        assert asked == 2
        for status, _, body in answers:
            checks = {"serving": "ok", "audit": "no room", "broken": "cannot be asked"}
            assert status == 503
            assert json.loads(body)["checks"] == {**checks, "datastore": "the datastore does not answer"}
        why = "draining"
        assert json.loads((await get(telemetry.address, "/readyz"))[2])["checks"]["serving"] == "draining"
        assert (await get(telemetry.address, "/livez"))[0] == 200


async def test_a_probe_that_hangs_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The page answers in time, and the probe is given up.
    """
    monkeypatch.setattr("authz.telemetry.readiness.PATIENCE_SECONDS", 0.1)
    given_up = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    async with opened() as telemetry:
        telemetry.readiness.probe("datastore", hang)
        status, _, body = await get(telemetry.address, "/readyz")
        assert (status, json.loads(body)["checks"]["datastore"]) == (503, "no answer within 0.1 s")
        await asyncio.wait_for(given_up.wait(), 2)


async def test_liveness_fails_when_the_event_loop_is_stuck() -> None:
    """
    The page still answers while the service does not, and says so; metrics are served all the same.
    """
    found: list[tuple[int, dict[str, str], bytes]] = []

    def look(address: str) -> None:
        time.sleep(0.4)
        found.append(ask(address, GET.format("/livez", address, "")))
        found.append(ask(address, GET.format("/metrics", address, "")))

    async with opened(max_loop_lag=0.2) as telemetry:
        await asyncio.sleep(0.02)
        assert (await get(telemetry.address, "/livez"))[0] == 200
        thread = threading.Thread(target=look, args=(telemetry.address,))
        thread.start()
        thread.join()  # blocks the event loop
        assert [status for status, _, _ in found] == [503, 200]
        assert json.loads(found[0][2])["live"] is False
        await asyncio.sleep(0.15)
        assert (await get(telemetry.address, "/livez"))[0] == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("POST /page HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nabcde", 405),
        ("HEAD /page HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        ("GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        ("GET /../page HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        ("GET /page HTTP/2.0\r\n\r\n", 400),
        ("GET /page\r\n\r\n", 400),
        ("GET /pa ge HTTP/1.1\r\n\r\n", 400),
        ("GET /päge HTTP/1.1\r\n\r\n", 400),
        ("\x16\x03\x01\x02\r\n\r\n", 400),
        ("GET /page HTTP/1.1\r\n" + "".join(f"a{n}: b\r\n" for n in range(200)) + "\r\n", 400),
        ("GET /page HTTP/1.1\r\nA: " + "b" * 20_000 + "\r\n\r\n", 400),
        ("GET /page HTTP/1.1\r\nHost: attacker.example\r\n\r\n", 403),
        ("GET /page HTTP/1.1\r\nHost: 127.0.0.1.attacker.example:80\r\n\r\n", 403),
        ("GET /page HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200),
        ("GET /page HTTP/1.0\r\n\r\n", 200),
        ("GET /broken HTTP/1.1\r\n\r\n", 500),
    ],
)
async def test_whatever_is_sent_gets_an_answer(request_: str, status: int) -> None:
    """
    Only GET of what exists, by a name of this machine; the rest is refused, briefly and without details.
    """
    with listener() as address:
        found, headers, body = ask(address, request_)
        assert found == status
        assert headers["connection"] == "close"
        assert len(body) == int(headers["content-length"])
        assert (status == 200) or len(body) < 100


async def test_slow_peers_do_not_hold_it() -> None:
    """
    Those who send nothing, trickle, or do not read are cut at the deadline, and make room for others before.
    """
    with listener(deadline=0.5) as address:
        slow = [connect(address) for _ in range(MAX_CONNECTIONS * 2)]
        try:
            for number, connection in enumerate(slow[-MAX_CONNECTIONS:]):
                connection.sendall(b"GET /page HTTP/1.1\r\n" + (b"\r\n" if number % 2 else b"A: "))
            started = time.monotonic()
            assert ask(address, GET.format("/page", address, ""))[0] == 200
            assert time.monotonic() - started < 0.4
            await asyncio.sleep(0.6)
            slow[-1].settimeout(1)
            assert _is_cut(slow[-1])
            assert _is_cut(slow[-2])
        finally:
            for connection in slow:
                connection.close()
        assert ask(address, GET.format("/page", address, ""))[0] == 200


async def test_an_address_that_is_taken_is_named() -> None:
    """
    The start fails with a clear error.
    """
    with listener() as address, pytest.raises(Unavailable, match="cannot listen"):
        Listener(address, {}).open()


async def test_no_thread_is_left() -> None:
    """
    The end lets go of everything.
    """
    threads = {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio")}
    async with opened() as telemetry:
        address = telemetry.address
    assert {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio")} <= threads
    with pytest.raises(ConnectionRefusedError):
        connect(address)


def _is_cut(connection: socket.socket) -> bool:
    """Whether the peer ended it, however much it sent before."""
    try:
        while connection.recv(1 << 20):
            pass
    except ConnectionResetError:
        pass
    return True


def test_connections_that_come_while_it_ends_are_closed() -> None:
    """Whoever connects at that moment is hung up on; no socket is left to the collector."""
    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always")
        for _ in range(10):
            with listener() as address:
                pushing = [threading.Thread(target=_connect_on, args=(address,)) for _ in range(2)]
                for each in pushing:
                    each.start()
                time.sleep(0.01)
            for each in pushing:
                each.join()
        gc.collect()
    assert not [str(each.message) for each in left if "transport" in str(each.message)]


def _connect_on(address: str) -> None:
    """Open one connection after the other until nobody answers."""
    with ExitStack() as connections, suppress(OSError):
        for _ in range(400):
            connections.enter_context(connect(address))
