"""Connections that are late, too large, unclear or many, over real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from authz.app import Serving, serving
from tests.support.raw_http import PATIENCE, SHORT, Answer, Peer, ask, chunked, get, http_settings, peer_of, post
from tests.support.server import RunningServer

pytestmark = pytest.mark.anyio

NOT_HTTP = (400, "validation_error")
TOO_LARGE = (431, "resource_exhausted")
LATE = (408, "deadline_exceeded")
GARBAGE = b"\0\1\2 garbage\r\n\r\n"
LIMIT = 616_448


@asynccontextmanager
async def served(folder: Path, **given: Any) -> AsyncIterator[Serving]:
    """A service with bounds of its own."""
    async with serving(http_settings(folder, **given)) as service:
        yield service


@pytest.fixture
async def peer(server: RunningServer) -> AsyncIterator[Peer]:
    """A connection to a server with the default bounds."""
    async with peer_of(server.http) as found:
        yield found


def _post(*lines: bytes, body: bytes = b"{}") -> bytes:
    return b"".join(line + b"\r\n" for line in (b"POST /stores HTTP/1.1", b"Host: localhost", *lines, b"")) + body


@pytest.mark.parametrize(
    "request_",
    [
        _post(b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        _post(b"Content-Length: 2", b"Content-Length: 2"),
        _post(b"Content-Length: 2", b"Content-Length: 3"),
        *(_post(b"Content-Length: " + value) for value in (b"-1", b"+2", b"2, 2", b"0x2", b"9" * 30, b"", b"\xb2")),
        *(
            _post(b"Transfer-Encoding: " + value, body=b"0\r\n\r\n")
            for value in (b"gzip, chunked", b"xchunked", b"chunked, identity", b"identity", b"chunked\x0b")
        ),
        _post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        _post(b"Transfer-Encoding: chunked", body=b"-1\r\n\r\n"),
        _post(b"Transfer-Encoding: chunked", body=b"FFFFFFFFFFFFFFFFF\r\n"),
        _post(b"Transfer-Encoding: chunked", body=b"2\r\n{}XX0\r\n\r\n"),
        _post(b"Transfer-Encoding: chunked", body=b"2\n{}\n0\n\n"),
        b"POST /stores HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /stores HTTP/1.1\nHost: localhost\n\n",
        get(headers=b"X: a\nY: b\r\n"),
        get(headers=b"X: a\rb\r\n"),
        get(headers=b"X: a\0b\r\n"),
        get(headers=b"X: a\r\n b\r\n"),
        get(headers=b"X : a\r\n"),
        get(headers=b": a\r\n"),
        get(headers=b"Host: localhost\r\n"),
        b"GET /stores HTTP/1.1\r\n\r\n",
        get("/sto\0res"),
        get("/sto res"),
        get("/stores/\xff"),
        get("/stores?\xff"),
        b"GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /stores HTTP/1.2\r\nHost: localhost\r\n\r\n",
        b"GET /stores HTTP/2.0\r\nHost: localhost\r\n\r\n",
        b"GET /stores HTTP/0.9\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        get(verb="CONNECT"),
        get(verb="get"),
        get(verb="FOO"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        GARBAGE,
    ],
)
async def test_what_two_readers_could_read_in_two_ways(peer: Peer, request_: bytes) -> None:
    """It is refused, and nothing more of the connection is read."""
    assert (await peer.call(request_, get())).refusal == NOT_HTTP
    assert await peer.is_closed()


async def test_what_is_unusual_and_clear(peer: Peer) -> None:
    """Empty lines before a request, the absolute form, a body that no route wants, headers of odd bytes."""
    assert (await peer.call(b"\r\n\r\n" + get())).status == 200
    assert (await peer.call(get("http://elsewhere.example/stores"))).status == 200
    assert (await peer.call(b"GET /stores HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")).status == 200
    assert (await peer.call(get(headers=b"X-Odd: \xff\xfe\r\nEmpty:\r\n"))).status == 200
    assert (await peer.call(get("*", verb="OPTIONS"))).refusal == (404, "undefined_endpoint")
    answer = await peer.call(b"GET /stores HTTP/1.0\r\n\r\n")
    assert (answer.status, answer.header("connection")) == (200, "close")
    assert await peer.is_closed()


async def test_white_space_around_a_value(peer: Peer) -> None:
    """It is no part of the value."""
    answer = await peer.call(get(headers=b"X-Request-Id: \t a b \t \r\n"))
    assert (answer.status, answer.header("x-request-id")) == (200, "a b")


@pytest.mark.parametrize("offered", [b"h2c", b"websocket", b"TLS/1.0, anything"])
async def test_another_protocol_is_offered(peer: Peer, offered: bytes) -> None:
    """The offer is not taken up; the request counts with its whole body, and so do those behind it."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + offered + b"\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"
    whole = post(headers=offer)
    peer.send(whole, get(headers=offer), chunked(b'{"name"', b':"shop"}', headers=offer), get())
    assert [(await peer.answer()).status for _ in range(4)] == [201, 200, 201, 200]
    for byte in range(0, len(whole), 7):
        peer.send(whole[byte : byte + 7])
        await asyncio.sleep(0)
    assert (await peer.answer()).status == 201


async def test_a_body_behind_an_offer_is_no_request(peer: Peer) -> None:
    """What stands in a body is never answered as a request of its own."""
    offer = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    assert (await peer.call(post(body=get("/healthz"), headers=offer))).refusal == NOT_HTTP
    assert (await peer.call(get())).status == 200


async def test_trailers_are_no_headers(peer: Peer) -> None:
    """What stands behind the body names no request, proves nothing and asks for nothing."""
    end = b"0\r\nX-Request-Id: behind\r\nAuthorization: Bearer x\r\nContent-Type: text/plain\r\n\r\n"
    answer = await peer.call(chunked(b'{"name":"shop"}', headers=b"X-Request-Id: before\r\n", end=end))
    assert (answer.status, answer.header("x-request-id")) == (201, "before")


@pytest.mark.parametrize(
    "request_",
    [
        get(headers=b"X: " + b"a" * 20_000 + b"\r\n"),
        get(headers=b"X: " + b"a" * 20_000)[:-2],
        get("/stores?" + "a" * 20_000),
        get(headers=b"a:\r\n" * 4000),
        get(headers=b"X: " + b"a" * 600_000),
        chunked(b"{}", end=b"0\r\nX: " + b"a" * 600_000),
        chunked(b"{}", end=b"0\r\n" + b"a: b\r\n" * 50_000),
        chunked(b"{}", end=b"5;" + b"a=b;" * 200_000),
    ],
)
async def test_a_head_without_end(peer: Peer, request_: bytes) -> None:
    """Heads, trailers and what stands beside chunks have a bound together."""
    whole = len(request_) < 100_000 and not request_.endswith(b"\r\n")
    peer.send(request_, b"\r\n\r\n" if whole else b"")
    assert (await peer.answer()).refusal == TOO_LARGE


@pytest.mark.parametrize("expects", [False, True])
async def test_a_body_that_is_too_large(peer: Peer, expects: bool) -> None:
    """It is refused before it comes when its length is told; a client that sends it all the same can read the
    answer, and go on; one that asked first is told not to, and its connection ends."""
    headers = b"Expect: 100-continue\r\n" if expects else b""
    peer.send(post(headers=headers, body=b"", length=LIMIT + 1))
    answer = await peer.answer()
    assert answer.refusal == (400, "exceeded_entity_limit")
    if expects:
        assert await peer.is_closed()
        return
    peer.send(b" " * (LIMIT + 1))
    assert (await peer.call(get())).status == 200


async def test_chunks_that_are_too_much(peer: Peer) -> None:
    """Chunks are counted as they come."""
    answer = await peer.call(chunked(*[b" " * 100_000] * 7))
    assert answer.refusal == (400, "exceeded_entity_limit")
    assert (await peer.call(get())).status == 200


async def test_chunks_of_one_byte(peer: Peer) -> None:
    """They cost a little each, and no more each the more of them there are."""
    took = []
    for count in (20_000, 200_000):
        began = time.perf_counter()
        assert (await peer.call(chunked(*[b" "] * count))).refusal == NOT_HTTP
        took.append(time.perf_counter() - began)
    assert took[1] < 40 * took[0] + 1


async def test_whether_to_go_on(peer: Peer) -> None:
    """A client that asks is told to go on, once."""
    whole = post(headers=b"Expect: 100-continue\r\n")
    peer.send(whole[:-10])
    assert (await peer.answer()).status == 100
    assert (await peer.call(whole[-10:])).status == 201


async def test_requests_sent_ahead(peer: Peer) -> None:
    """They are answered in their order."""
    peer.send(*(get(headers=b"X-Request-Id: n%d\r\n" % number) for number in range(50)))
    names = [(await peer.answer()).header("x-request-id") for _ in range(50)]
    assert names == [f"n{number}" for number in range(50)]


async def test_too_many_requests_sent_ahead(peer: Peer) -> None:
    """Some are answered, and the connection ends: what waits has a bound."""
    peer.send(get() * 2000)
    assert 1 <= (await peer.rest()).count(b"HTTP/1.1 200") < 100


@pytest.mark.parametrize("count", [1, 3])
async def test_requests_before_one_that_cannot_be_read(peer: Peer, count: int) -> None:
    """They are answered as if nothing had followed: nobody takes a refusal for the answer to a write."""
    peer.send(post() * count + GARBAGE)
    assert [(await peer.answer()).status for _ in range(count)] == [201] * count
    assert await peer.is_closed()


async def test_requests_before_one_that_breaks_off(tmp_path: Path) -> None:
    """One whose body never comes costs those before it nothing."""
    async with served(tmp_path, web={"arrival_timeout": SHORT}) as service, peer_of(service.http_address) as peer:
        peer.send(post() * 3 + post(length=100))
        answers = [await peer.answer() for _ in range(4)]
        assert [answer.status for answer in answers] == [201, 201, 201, 408]
        assert await peer.is_closed()


@pytest.mark.parametrize(
    ("begin", "drip"),
    [
        (b"", b""),
        (b"\r\n", b"\r\n"),
        (b"G", b""),
        (b"GET /stores HTTP/1.1\r\nX: ", b"a"),
        (post(length=100), b" "),
        (chunked(b"{}", end=b""), b"1\r\n \r\n"),
        (chunked(b"{}", end=b"0\r\nX: "), b"a"),
    ],
)
async def test_a_request_that_is_slow(tmp_path: Path, begin: bytes, drip: bytes) -> None:
    """Time to arrive is limited from the first byte to the last, however much comes in between."""
    async with served(tmp_path, web={"arrival_timeout": SHORT}) as service, peer_of(service.http_address) as peer:
        began = time.monotonic()
        peer.send(begin)
        dripping = asyncio.create_task(_drip(peer, drip))
        if begin.strip():
            assert (await peer.answer()).refusal == LATE
        assert await peer.is_closed()
        dripping.cancel()
        assert time.monotonic() - began > SHORT / 2


async def _drip(peer: Peer, drip: bytes) -> None:
    while True:
        await asyncio.sleep(0.05)
        peer.send(drip)


async def test_a_connection_without_requests(tmp_path: Path) -> None:
    """It ends when it was idle for long, also when bytes come that are no request."""
    limits = {"connection_idle": SHORT}
    async with served(tmp_path, limits=limits) as service, AsyncExitStack() as stack:
        silent, noisy = [await stack.enter_async_context(peer_of(service.http_address)) for _ in range(2)]
        for peer in (silent, noisy):
            assert (await peer.call(get())).status == 200
        dripping = asyncio.create_task(_drip(noisy, b"\r\n"))
        assert await silent.is_closed()
        assert await noisy.is_closed()
        dripping.cancel()


async def test_an_old_connection(tmp_path: Path) -> None:
    """Its next answer asks the client to come again over another, and no answer is lost."""
    limits = {"connection_age": 1.5}
    async with served(tmp_path, limits=limits) as service, peer_of(service.http_address) as peer:
        assert (await peer.call(get())).header("connection") is None
        await asyncio.sleep(1.5)
        answer = await peer.call(get())
        assert (answer.status, answer.header("connection")) == (200, "close")
        assert await peer.is_closed()


async def test_more_connections_than_allowed(tmp_path: Path) -> None:
    """Those beyond are closed; those that are there go on; when some have gone there is room again."""
    async with served(tmp_path, limits={"max_connections": 5}) as service:
        async with AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(peer_of(service.http_address)) for _ in range(20)]
            closed = [await peer.is_closed(0.1 if place < 5 else PATIENCE) for place, peer in enumerate(peers)]
            assert closed == [False] * 5 + [True] * 15
            assert [(await peer.call(get())).status for peer in peers[:5]] == [200] * 5
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    assert (await ask(service.http_address, get())).status == 200
                    break
                except (ConnectionError, asyncio.IncompleteReadError):
                    await asyncio.sleep(0.05)


async def test_more_calls_of_an_address_than_allowed(tmp_path: Path) -> None:
    """Requests that are on their way count as calls; those beyond are told to come again, and others get room."""
    async with served(tmp_path, limits={"max_calls_per_peer": 3}) as service, AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(peer_of(service.http_address)) for _ in range(3)]
        for peer in peers:
            peer.send(post(length=100))
        assert (await _once_refused(service.http_address)).refusal == (429, "resource_exhausted")
        assert (await ask(service.http_address, get("/healthz"))).status == 200
        peers[0].send(b" " * 85)
        assert (await peers[0].answer()).status == 201
        assert (await ask(service.http_address, get())).status == 200


async def _once_refused(address: str) -> Answer:
    """The answer to a request when the server has noticed all that was sent before."""
    async with asyncio.timeout(PATIENCE):
        while (answer := await ask(address, get())).status == 200:  # noqa: ASYNC110 - it is asked over a socket
            await asyncio.sleep(0.02)
    return answer


async def test_too_much_that_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All requests that are not whole have a bound together: large ones are refused while small ones go on, and when
    those that take the room have gone there is room again."""
    monkeypatch.setattr("authz.http.connection.MOST_ARRIVING", 1_000_000)
    async with served(tmp_path) as service:
        begun = post(body=b" " * 400_000, length=500_000)
        async with AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(peer_of(service.http_address)) for _ in range(2)]
            for peer in peers:
                peer.send(begun)
            await asyncio.sleep(0.2)
            refused = await stack.enter_async_context(peer_of(service.http_address))
            refused.send(begun)
            assert (await refused.answer()).refusal == (429, "resource_exhausted")
            assert (await ask(service.http_address, post())).status == 201
            assert (await peers[0].call(b" " * 100_000)).refusal == NOT_HTTP  # no JSON
        await asyncio.sleep(0.1)
        assert (await ask(service.http_address, post(body=b" " * 500_000))).refusal == NOT_HTTP


async def test_a_client_that_goes(server: RunningServer) -> None:
    """A connection that is reset, in a head, a body or an answer, leaves nothing behind."""
    for part in (b"GET /sto", post(length=100), post(), get() * 20):
        for _ in range(20):
            async with peer_of(server.http) as peer:
                peer.send(part)
                await asyncio.sleep(0)
    assert (await ask(server.http, get("/healthz"))).status == 200


async def test_half_a_connection(peer: Peer) -> None:
    """Who sends no more is taken to be gone: nothing of him stays open."""
    peer.send(get())
    peer.writer.write_eof()
    await peer.rest()
    assert await peer.is_closed()
