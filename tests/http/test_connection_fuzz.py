"""Any bytes at all: the server answers in the form of HTTP or closes, never fails, and goes on."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from tests.support.raw_http import chunked, get, peer_of, post
from tests.support.server import RunningServer, running_server

AT_ONCE = 24
WHOLE = [
    get(),
    get("/healthz"),
    get("/stores/%00?page_size=%zz", headers=b"Connection: close\r\n"),
    get(headers=b"Connection: Upgrade\r\nUpgrade: h2c\r\n", verb="POST"),
    post(),
    post(headers=b"Expect: 100-continue\r\n"),
    post(headers=b"Connection: Upgrade\r\nUpgrade: h2c\r\n"),
    chunked(b'{"name"', b':"shop"}'),
    chunked(b"{}", end=b"0\r\nX: y\r\n\r\n"),
    b"GET /stores HTTP/1.0\r\n\r\n",
]
PIECES = [
    b"\r\n",
    b"\n",
    b"\0",
    b" ",
    b":",
    b"%",
    b"0\r\n\r\n",
    b"\xff",
    b"HTTP/1.1",
    b"Host: x\r\n",
    b"chunked",
    b"-1",
]
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [A-Za-z -]+\r\n")


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that does not wait long for the rest of a request."""
    web = json.dumps({"arrival_timeout": 0.3, "stall_timeout": 0.3})
    limits = json.dumps({"connection_idle": 0.3})
    settings = {"web": web, "limits": limits, "raise_bugs": False}
    with running_server(tmp_path_factory.mktemp("impatient"), settings) as running:
        yield running
    assert "Traceback" not in running.log.read_text()
    assert "http_not_answered" not in running.log.read_text()


@st.composite
def floods(draw: st.DrawFn) -> list[bytes]:
    """What one connection sends, in parts: requests with bytes added, removed and changed."""
    raw = b"".join(draw(st.lists(st.sampled_from(WHOLE), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(raw)))
        until = place + draw(st.integers(0, 3))
        raw = raw[:place] + draw(st.sampled_from(PIECES) | st.binary(max_size=3)) + raw[until:]
    cut = draw(st.integers(0, len(raw)))
    return [raw[:cut], raw[cut:]]


@given(st.lists(floods(), min_size=AT_ONCE, max_size=AT_ONCE))
@settings(max_examples=12)
def test_any_bytes(impatient: RunningServer, sent: list[list[bytes]]) -> None:
    """Every answer is one of ours, and none says that the server failed."""

    async def one(parts: list[bytes]) -> bytes:
        async with peer_of(impatient.http) as peer:
            for part in parts:
                peer.send(part)
                await asyncio.sleep(0.01)
            return await peer.rest()

    async def together() -> list[bytes]:
        return await asyncio.gather(*(one(parts) for parts in sent))

    for answer in asyncio.run(together()):
        assert not answer or answer.startswith(b"HTTP/1.1 ")
        assert not [status for status in STATUS.findall(answer) if status[:1] == b"5"], answer
