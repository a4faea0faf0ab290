"""The HTTP edge under attack: who must prove who he is, what is recorded, what is told, and what is left afterwards."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
import structlog

from authz._proto.authz.v1 import audit_pb2
from authz.app import serving
from authz.http.routes import routes_of
from authz.rpc.methods import METHODS
from tests.security.conftest import Secured, audit_stub, running
from tests.support.issuer import LocalIssuer
from tests.support.raw_http import Answer, ask, chunked, get, http_settings, peer_of, post
from tests.support.server import start_server
from tests.wire.support import UNKNOWN_ID, Client, connect

pytestmark = pytest.mark.anyio

MISSING, WRONG = (401, "bearer_token_missing"), (401, "unauthenticated")
ROUTES = [(route.verb, route.template) for route in routes_of(METHODS)]
NOTICEABLE = 48 * 1024 * 1024
MANY = 2000


@pytest.fixture
async def http(tmp_path: Path, issuer: LocalIssuer) -> AsyncIterator[Secured]:
    """A service with authentication that speaks HTTP."""
    async with running(tmp_path, issuer, http_addr="127.0.0.1:0", limits={"failures": "100000/second"}) as found:
        yield found


def bearer(token: str) -> bytes:
    """The header that proves."""
    return f"Authorization: Bearer {token}\r\n".encode()


async def recorded(secured: Secured, request_id: str) -> list[dict[str, Any]]:
    """The records of a request, once there is one."""
    wanted = audit_pb2.QueryRecordsRequest(request_id=request_id, kind="call")
    for _ in range(40):
        await asyncio.sleep(0.1)
        found = [json.loads(each.record) async for each in audit_stub(secured.as_admin()).QueryRecords(wanted)]
        if found:
            return found
    return []


async def test_every_route_asks_who_calls(http: Secured) -> None:
    """No route answers without proof, nor does an unknown one, and nothing of the body is looked at before."""
    address = http.service.http_address
    asked = [(verb, path.replace("{store_id}", UNKNOWN_ID)) for verb, path in ROUTES]
    asked += [("GET", "/"), ("GET", "/nothing"), ("GET", "/metrics"), ("DELETE", "/healthz"), ("OPTIONS", "/stores")]
    async with peer_of(address) as peer:
        for verb, path in asked:
            headers = b"Content-Type: text/plain\r\nContent-Length: 3\r\n"
            request = get(path.replace("{", "").replace("}", ""), headers=headers, verb=verb) + b"{{{"
            answer = await peer.call(request)
            assert answer.refusal == MISSING, (verb, path)
            assert answer.header("www-authenticate") == "Bearer"
        assert (await peer.call(post(headers=bearer("wrong")))).status == 401
        assert (await peer.call(post(headers=bearer(http.admin_key)))).status == 201
    for page in ("/healthz", "/readyz", "/openapi.json"):
        assert (await ask(address, get(page))).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        b"Authorization: \r\n",
        b"Authorization: Bearer\r\n",
        b"Authorization: Bearer \r\n",
        b"Authorization: Basic eDp5\r\n",
        b"Authorization: Bearer a b\r\n",
        b"Authorization: Bearer \xff\xfe\r\n",
        b"Authorization: Bearer " + b"a" * 12_000 + b"\r\n",
        b"Proxy-Authorization: Bearer KEY\r\n",
        b"Authorization: Bearer KEY\r\nAuthorization: Bearer KEY\r\n",
        b"Authorization: Bearer KEY, Bearer KEY\r\n",
        b"X-Forwarded-User: key/root\r\nX-Forwarded-For: 127.0.0.1\r\n",
        b"Cookie: authorization=Bearer KEY\r\n",
    ],
)
async def test_proofs_of_odd_form(http: Secured, headers: bytes) -> None:
    """They prove nothing."""
    given = headers.replace(b"KEY", http.admin_key.encode())
    assert (await ask(http.service.http_address, get(headers=given))).status == 401
    query = f"/stores?access_token={http.admin_key}&authorization=Bearer+{http.admin_key}"
    assert (await ask(http.service.http_address, get(query))).status == 401


async def test_a_proof_behind_the_body(http: Secured) -> None:
    """A trailer proves nothing."""
    end = b"0\r\n" + bearer(http.admin_key) + b"\r\n"
    assert (await ask(http.service.http_address, chunked(b'{"name":"shop"}', end=end))).refusal == MISSING


@pytest.mark.parametrize(
    ("request_", "is_admin", "code"),
    [
        (get("/nothing", headers=b"X-Request-Id: odd-1\r\n"), True, "UNIMPLEMENTED"),
        (get("/nothing", headers=b"X-Request-Id: odd-1\r\n"), False, "UNAUTHENTICATED"),
        (get("/stores", headers=b"X-Request-Id: odd-1\r\n", verb="PUT"), True, "UNIMPLEMENTED"),
        (get("/stores/%00", headers=b"X-Request-Id: odd-1\r\n"), True, "INVALID_ARGUMENT"),
        (post(body=b"{", headers=b"X-Request-Id: odd-1\r\n"), True, "INVALID_ARGUMENT"),
        (post(body=b"{", headers=b"X-Request-Id: odd-1\r\n"), False, "UNAUTHENTICATED"),
        (post(body=b'{"name":"a","name":"b"}', headers=b"X-Request-Id: odd-1\r\n"), True, "INVALID_ARGUMENT"),
        (post(body=b"", headers=b"X-Request-Id: odd-1\r\n", length=999_999), True, "INVALID_ARGUMENT"),
        (get("/stores?page_size=x", headers=b"X-Request-Id: odd-1\r\n"), True, "INVALID_ARGUMENT"),
    ],
)
async def test_what_is_refused_is_recorded(http: Secured, request_: bytes, is_admin: bool, code: str) -> None:
    """Once, with the code that the caller got, and nothing of what was asked in odd form."""
    proof = bearer(http.admin_key) if is_admin else b""
    head, _, rest = request_.partition(b"\r\n")
    answer = await ask(http.service.http_address, head + b"\r\n" + proof + rest)
    assert answer.header("x-request-id") == "odd-1"
    (record,) = await recorded(http, "odd-1")
    assert (record["code"], record["principal"]) == (code, "key/root" if is_admin else "anonymous")
    assert "nothing" not in json.dumps(record)


async def test_a_call_is_recorded_as_over_grpc(http: Secured) -> None:
    """The record of a call says the same whichever way it came in."""
    store = await http.as_admin().world()
    key = {"user": "user:anne", "relation": "viewer", "object": "document:1"}
    headers = bearer(http.admin_key) + b"X-Request-Id: plain-1\r\n"
    request = post(f"/stores/{store}/check", json.dumps({"tuple_key": key}).encode(), headers)
    assert (await ask(http.service.http_address, request)).json == {"allowed": False, "resolution": ""}
    (record,) = await recorded(http, "plain-1")
    assert record["call"] == "/openfga.v1.OpenFGAService/Check"
    assert (record["decision"], record["store"], record["peer"]) == ("denied", store, "127.0.0.1")


@pytest.mark.parametrize(
    ("given", "is_echoed"),
    [
        (b"abc-1.2_3", True),
        (b"a" * 128, True),
        (b"a" * 129, False),
        (b"a b;c", True),
        (b"%0d%0aset-cookie:x", True),
        (b'<script>"\\', True),
        (b"\xe2\x80\xa8", False),
        (b"a\tb", False),
        (b"", False),
    ],
)
async def test_request_ids(http: Secured, given: bytes, is_echoed: bool) -> None:
    """A sane one comes back, also in a refusal; any other is replaced, and none makes a header of its own."""
    for path in ("/healthz", "/stores", "/nothing"):
        answer = await ask(http.service.http_address, get(path, headers=b"X-Request-Id: " + given + b"\r\n"))
        name = answer.header("x-request-id")
        assert name
        assert (name.encode() == given) is is_echoed
        assert answer.header("set-cookie") is None


HOSTILE = [
    b"\0\0\0\r\n\r\n",
    get("/%ff%fe/\x01"),
    get("/secret-path?secret-query=1"),
    get("/stores", headers=b"X-Secret: secret-header\r\nAuthorization: Bearer secret-token\r\n"),
    post(body=b'{"name":"secret-body'),
    post(body=b'{"name":["secret-body"]}'),
    post("/stores/secret-store/check", body=b'{"tuple_key":{"user":"secret-body"}}'),
    post(body=b'{"x":' + b"[" * 100_000),
    post(body=b'{"x":1' + b"0" * 5000 + b"}"),
    get(headers=b"X-Request-Id: secret\x7fid\r\n"),
    get(headers=b"traceparent: secret-trace\r\ntracestate: =,=\r\n"),
    get(headers=b"Content-Encoding: gzip\r\nAccept: secret/accept\r\n"),
]


async def test_what_is_told(http: Secured, capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever is sent, no answer and no line of the log shows a secret, a traceback or a name of ours."""
    with structlog.testing.capture_logs() as logs:
        for proof in (b"", bearer(http.admin_key)):
            for request in HOSTILE:
                head, _, rest = request.partition(b"\r\n")
                answer = await ask(http.service.http_address, head + b"\r\n" + proof + rest)
                assert 400 <= answer.status < 500 or answer.status == 200
                assert b"secret-token" not in answer.body
                assert b"Traceback" not in answer.body
                assert b"google" not in answer.body
    told = json.dumps(logs, default=str) + "".join(capfd.readouterr())
    for word in ("secret-", "Traceback", http.admin_key, "uvicorn", "ASGI"):
        assert word not in told


async def test_many_wrong_proofs(tmp_path: Path, issuer: LocalIssuer) -> None:
    """After some failures in a row their address waits, and is told for how long."""
    limits = {"failures": "5/minute"}
    async with (
        running(tmp_path, issuer, http_addr="127.0.0.1:0", limits=limits) as found,
        peer_of(found.service.http_address) as peer,
    ):
        answers = [await peer.call(get(headers=bearer("wrong"))) for _ in range(10)]
    assert [answer.status for answer in answers] == [401] * 6 + [429] * 4
    assert int(answers[-1].header("retry-after") or "") >= 1


async def many_objects(client: Client) -> str:
    """A store in which anne may view many documents of long names."""
    store_id = await client.world()
    name = "x" * 200
    for start in range(0, MANY, 100):
        await client.put(store_id, *(f"document:{name}{start + n}#viewer@user:anne" for n in range(100)))
    return store_id


@pytest.mark.parametrize("path", ["streamed-list-objects", "list-objects"])
async def test_answers_that_nobody_reads(tmp_path: Path, path: str) -> None:
    """Their connections are cut after a while, they keep little memory meanwhile, and others are answered."""
    settings = http_settings(tmp_path, web={"stall_timeout": 0.5}, list_objects_max_results=0)
    async with serving(settings) as service, grpc.aio.insecure_channel(service.grpc_address) as channel:
        store = await many_objects(connect(service, channel))
        body = json.dumps({"type": "document", "relation": "viewer", "user": "user:anne"}).encode()
        request = post(f"/stores/{store}/{path}", body)
        assert len((await ask(service.http_address, request)).body) > 400_000
        before = psutil.Process().memory_info().rss
        async with AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(peer_of(service.http_address)) for _ in range(20)]
            for peer in peers:
                peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
                peer.send(request * 10)
            began = time.monotonic()
            while len(_open(service)) > 1 and time.monotonic() < began + 20:
                await asyncio.sleep(0.1)
                assert (await ask(service.http_address, get(f"/stores/{store}"))).status == 200
            assert len(_open(service)) <= 1
            assert psutil.Process().memory_info().rss - before < NOTICEABLE


def _open(service: Any) -> list[Any]:
    port = int(service.http_address.rpartition(":")[2])
    return [
        each
        for each in psutil.Process().net_connections("tcp")
        if each.laddr.port == port and each.status == "ESTABLISHED"
    ]


@pytest.mark.ops
async def test_nothing_is_left(tmp_path: Path) -> None:
    """After floods of every kind the process has as many files open as before, and hardly more memory; it ends when
    asked to, in time, while clients hold idle, slow and busy connections."""
    server = start_server(tmp_path, {"web": json.dumps({"arrival_timeout": 1.0}), "shutdown_grace": 1.0})
    process = psutil.Process(server.process.pid)
    try:
        await _flood(server.http, 1)
        files, memory = process.num_fds(), process.memory_info().rss
        await _flood(server.http, 5)
        async with asyncio.timeout(20):
            while process.num_fds() > files + 2:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.1)
        assert process.memory_info().rss - memory < NOTICEABLE
        async with AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(peer_of(server.http)) for _ in range(30)]
            for peer, begun in zip(
                peers, (b"", get(), get()[:20], post(length=100), chunked(b"{}", end=b"")) * 6, strict=True
            ):
                peer.send(begun)
            await asyncio.sleep(0.2)
            began = time.monotonic()
            assert await asyncio.to_thread(server.stop) == 0
            assert time.monotonic() - began < 15
    finally:
        server.process.kill()
    assert "Traceback" not in server.log.read_text()


async def _flood(address: str, rounds: int) -> None:
    kinds = (b"", get(), get()[:30], post(length=600_000) + b" " * 300_000, chunked(*[b"x"] * 1000, end=b""), b"\0" * 9)
    for _ in range(rounds):
        async with AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(peer_of(address)) for _ in range(120)]
            for place, peer in enumerate(peers):
                peer.send(kinds[place % len(kinds)])
            await asyncio.sleep(0.3)


@pytest.mark.ops
async def test_workers_share_the_port(tmp_path: Path) -> None:
    """Every worker answers at the same address, and all end when asked to."""
    server = start_server(tmp_path, {"workers": 2})
    try:

        async def one(number: int) -> Answer:
            headers = f"X-Request-Id: n{number}\r\n".encode()
            return await ask(server.http, get(headers=headers))

        answers = await asyncio.gather(*(one(number) for number in range(60)))
        assert {answer.status for answer in answers} == {200}
        workers = psutil.Process(server.process.pid).children(recursive=True)
        port = int(server.http.rpartition(":")[2])
        listening = [
            worker
            for worker in workers
            if any(each.status == "LISTEN" and each.laddr.port == port for each in worker.net_connections("tcp"))
        ]
        assert len(listening) == 2
        assert await asyncio.to_thread(server.stop) == 0
    finally:
        server.process.kill()
