"""Access tokens: where they come from, when they are replaced, and that nobody else sees them."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from base64 import b64decode
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import grpc
import pytest

from authz.client import AsyncClient, Client, ClientCredentials, errors
from tests.client.support import STORE, Fail, Scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "s3cret+/ %"


class Endpoint:
    """A token endpoint. Gives `t1`, `t2`, … for `lifetime` seconds, or what is next in `answers`."""

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, str], dict[str, list[str]]]] = []
        self.answers: deque[tuple[int, Any]] = deque()
        self.lifetime: Any = 3600
        self.delay = 0.0
        self.url = ""

    def answer(self, headers: dict[str, str], form: dict[str, list[str]]) -> tuple[int, Any]:
        """One request."""
        self.asked.append((headers, form))
        number = len(self.asked)
        time.sleep(self.delay)
        if self.answers:
            return self.answers.popleft()
        return 200, {"access_token": f"t{number}", "token_type": "Bearer", "expires_in": self.lifetime}


@contextmanager
def serving(endpoint: Endpoint) -> Iterator[None]:
    """The endpoint on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """A request for a token."""
            form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
            status, body = endpoint.answer({key.lower(): value for key, value in self.headers.items()}, form)
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            if status == 307:
                self.send_header("location", endpoint.url + "/elsewhere")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_args: Any) -> None:
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        endpoint.url = f"http://127.0.0.1:{server.server_port}/token"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A token endpoint."""
    made = Endpoint()
    with serving(made):
        yield made


class Clock:
    """A monotonic clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def sent(service: Scripted) -> list[str]:
    """The proofs that arrived."""
    return [each.metadata.get("authorization", "") for each in service.asked]


def test_fixed_and_provided_tokens(service: Scripted) -> None:
    """A text is sent as it is; a callable is asked for each call."""
    with Client(service.address, store=STORE, token="fixed") as client:
        client.check("user:anne", "viewer", "document:1")
    tokens = iter(["a", "b"])
    with Client(service.address, store=STORE, token=lambda: next(tokens)) as client:
        client.check("user:anne", "viewer", "document:1")
        client.check("user:anne", "viewer", "document:1")
    assert sent(service) == ["Bearer fixed", "Bearer a", "Bearer b"]


@pytest.mark.parametrize("token", ["hunter2\n", "hunter2 x", "hunter2\u00e9", "hunter2\r\nx: y"])
def test_a_token_that_cannot_travel(service: Scripted, token: str) -> None:
    """It is refused without being shown: gRPC itself would print it."""
    for given in (token, lambda: token):
        with pytest.raises(errors.NoCredentials) as raised:
            Client(service.address, store=STORE, token=given).check("user:anne", "viewer", "document:1")
        assert "hunter2" not in repr(raised.value)
    assert service.count() == 0


def test_a_source_that_fails(service: Scripted) -> None:
    """The call fails, and the text of the source's error stays where it was."""

    def provide() -> str:
        raise RuntimeError("hunter2")

    with Client(service.address, store=STORE, token=provide) as client, pytest.raises(errors.NoCredentials) as raised:
        client.check("user:anne", "viewer", "document:1")
    assert "hunter2" not in repr(raised.value)
    assert raised.value.__suppress_context__
    assert service.count() == 0


@pytest.mark.parametrize("auth", ["basic", "post"])
def test_client_credentials(endpoint: Endpoint, service: Scripted, auth: str) -> None:
    """The grant as the standard has it; one token serves many calls."""
    source = ClientCredentials(
        endpoint.url, "the id", SECRET, scope="authz:check", auth=auth, extra={"audience": "https://authz"}
    )
    with Client(service.address, store=STORE, token=source) as client:
        for _ in range(3):
            client.check("user:anne", "viewer", "document:1")
    assert sent(service) == ["Bearer t1"] * 3
    ((headers, form),) = endpoint.asked
    assert form["grant_type"] == ["client_credentials"]
    assert (form["scope"], form["audience"]) == (["authz:check"], ["https://authz"])
    if auth == "basic":
        assert b64decode(headers["authorization"].removeprefix("Basic ")) == b"the+id:s3cret%2B%2F+%25"
        assert "client_secret" not in form
    else:
        assert (form["client_id"], form["client_secret"]) == (["the id"], [SECRET])
    assert SECRET not in repr(source) + repr(client) + str(vars(client))


def test_renewal_before_the_end(endpoint: Endpoint) -> None:
    """A token is replaced while it is still good; when that fails the old one serves until it ends."""
    clock = Clock()
    source = ClientCredentials(endpoint.url, "id", SECRET, clock=clock)
    endpoint.lifetime = 100
    assert source.token(5) == "t1"
    clock.now += 79
    assert source.ready() == "t1"
    clock.now += 2
    endpoint.answers.append((500, {}))
    assert source.token(5) == "t1"
    assert source.ready() == "t1", "a failure holds for a moment"
    clock.now += 2
    assert source.ready() == ""
    assert source.token(5) == "t3"
    clock.now += 101
    endpoint.answers.append((503, {}))
    with pytest.raises(errors.NoCredentials):
        source.token(5)
    with pytest.raises(errors.NoCredentials):
        source.token(5)
    assert len(endpoint.asked) == 4
    clock.now += 2
    assert source.token(5) == "t5"


def test_one_fetch_for_many_threads(endpoint: Endpoint) -> None:
    """Threads that need a token at once wait for one fetch; while one is renewed nobody waits at all."""
    clock = Clock()
    source = ClientCredentials(endpoint.url, "id", SECRET, clock=clock)
    endpoint.lifetime, endpoint.delay = 100, 0.2
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: source.token(5), range(16))) == {"t1"}
        assert len(endpoint.asked) == 1
        clock.now += 90
        began = time.perf_counter()
        waits = list(pool.map(lambda _: (source.token(5), time.perf_counter() - began), range(16)))
    assert len(endpoint.asked) == 2
    assert sum(wait > 0.15 for _, wait in waits) <= 2


@pytest.mark.anyio
async def test_one_fetch_for_many_tasks(endpoint: Endpoint, service: Scripted) -> None:
    """Tasks wait for one fetch, and the event loop goes on meanwhile."""
    endpoint.delay = 0.3
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    ticking = asyncio.create_task(tick())
    source = ClientCredentials(endpoint.url, "id", SECRET)
    async with AsyncClient(service.address, store=STORE, token=source) as client:
        found = await asyncio.gather(*[client.check("user:anne", "viewer", "document:1") for _ in range(20)])
    ticking.cancel()
    assert all(found)
    assert len(endpoint.asked) == 1
    assert ticks > 10


@pytest.mark.anyio
async def test_coroutines_give_tokens(service: Scripted) -> None:
    """The asynchronous client takes a coroutine function; the other one refuses it."""

    async def provide() -> str:
        return "late"

    async with AsyncClient(service.address, store=STORE, token=provide) as client:
        await client.check("user:anne", "viewer", "document:1")
    assert sent(service) == ["Bearer late"]
    with Client(service.address, store=STORE, token=provide) as other, pytest.raises(errors.NoCredentials):  # type: ignore[arg-type]
        other.check("user:anne", "viewer", "document:1")


def test_a_refused_token_is_replaced_once(endpoint: Endpoint, service: Scripted) -> None:
    """A token that was revoked is replaced, and the call made again, a write too: nothing was applied."""
    clock = Clock()
    source = ClientCredentials(endpoint.url, "id", SECRET, clock=clock)
    refusal = Fail(grpc.StatusCode.UNAUTHENTICATED, "auth_failed_invalid_bearer_token")
    with Client(service.address, store=STORE, token=source) as client:
        client.check("user:anne", "viewer", "document:1")
        clock.now += 10
        service.will("Write", refusal)
        client.write([])
        service.will("Check", refusal, refusal)
        with pytest.raises(errors.Unauthenticated):
            client.check("user:anne", "viewer", "document:1")
    assert sent(service) == ["Bearer t1", "Bearer t1", "Bearer t2", "Bearer t2", "Bearer t2"]
    assert len(endpoint.asked) == 2, "a service that refuses everything must not flood the endpoint"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"error": "invalid_client", "error_description": SECRET}),
        (400, b"not json " + SECRET.encode()),
        (200, b"<html>"),
        (200, []),
        (200, {"access_token": "x"}),
        (200, {"access_token": "", "token_type": "bearer"}),
        (200, {"access_token": 7, "token_type": "bearer"}),
        (200, {"access_token": "hunter2\n", "token_type": "bearer"}),
        (200, b" " * 300_000),
        (307, {}),
    ],
)
def test_endpoints_that_give_no_token(endpoint: Endpoint, status: int, body: Any) -> None:
    """Whatever comes instead of a token is a clear error without secrets; nothing is sent elsewhere."""
    endpoint.answers.append((status, body))
    source = ClientCredentials(endpoint.url, "id", SECRET)
    with pytest.raises(errors.NoCredentials) as raised:
        source.token(5)
    shown = repr(raised.value)
    assert SECRET not in shown
    assert "hunter2" not in shown
    assert len(endpoint.asked) == 1
    if status == 401:
        assert "invalid_client" in shown


def test_an_endpoint_that_hangs(endpoint: Endpoint, service: Scripted) -> None:
    """The deadline of a call holds for its token too."""
    endpoint.delay = 1.5
    source = ClientCredentials(endpoint.url, "id", SECRET)
    began = time.monotonic()
    with Client(service.address, store=STORE, token=source) as client, pytest.raises(errors.NoCredentials):
        client.check("user:anne", "viewer", "document:1", timeout=0.3)
    assert time.monotonic() - began < 1.2


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.com/token",
        "ftp://localhost/",
        "https://",
        "https://u:p@host/",
        "http://127.0.0.1.example.com/",
    ],
)
def test_where_secrets_do_not_go(url: str) -> None:
    """Secrets travel by TLS, or within this machine."""
    with pytest.raises(ValueError, match=r"endpoint|clear text"):
        ClientCredentials(url, "id", SECRET)


@pytest.mark.parametrize(
    ("lifetime", "held"), [(60, True), ("60", True), (None, True), ("soon", True), (0, False), (-5, False)]
)
def test_lifetimes(endpoint: Endpoint, lifetime: Any, held: bool) -> None:
    """A lifetime may be written as text or be absent; a token without one left is used once."""
    endpoint.lifetime = lifetime
    source = ClientCredentials(endpoint.url, "id", lambda: SECRET, clock=Clock())
    assert source.token(5) == "t1"
    assert source.token(5) == ("t1" if held else "t2")


@contextmanager
def dripping(start: bytes, rest: bytes) -> Iterator[str]:
    """The URL of an endpoint that answers with a start, and then a byte now and then."""

    def answer(listener: socket.socket) -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(start)
                for byte in rest * 20:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/token"
        thread.join()


@pytest.mark.parametrize(
    ("start", "rest"),
    [
        (b"", b"HTTP/1.1 200 OK"),
        (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", b"    "),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"0000"),
        (b"HTTP/1.1 400 Bad Request\r\ncontent-length: 1000\r\n\r\n", b"    "),
    ],
)
def test_an_endpoint_that_answers_byte_by_byte(start: bytes, rest: bytes) -> None:
    """The time of the call holds for all of the answer, whichever part of it is slow."""
    with dripping(start, rest) as url:
        began = time.monotonic()
        with pytest.raises(errors.NoCredentials, match="TimeoutError"):
            ClientCredentials(url, "shop", SECRET).token(0.1)
        assert time.monotonic() - began < 0.3
