"""What is served beside the calls."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import structlog

from authz.app import serving
from authz.http.pages import Shown
from authz.http.server import HttpServer, HttpTransport
from authz.rpc.methods import METHODS
from tests.rpc.support import edge
from tests.support.raw_http import ask, get, http_settings, post
from tests.support.server import RunningServer

pytestmark = pytest.mark.anyio


async def test_health(server: RunningServer) -> None:
    """A process that takes calls says so, and one that can answer them says that."""
    assert (await ask(server.http, get("/healthz"))).json == {"status": "SERVING"}
    answer = await ask(server.http, get("/readyz?x=y"))
    assert answer.status == 200
    assert answer.json["ready"] is True
    assert set(answer.json["checks"].values()) == {"ok"}


async def test_metrics(server: RunningServer) -> None:
    """They are shown while nobody must prove who he is, and tell of calls over HTTP by their own names."""
    await ask(server.http, post())
    answer = await ask(server.http, get("/metrics"))
    assert answer.status == 200
    assert b"CreateStore" in answer.body
    assert b"# TYPE" in answer.body


@pytest.mark.parametrize(("metrics", "status"), [("on", 200), ("auto", 200), ("off", 404)])
async def test_metrics_by_choice(tmp_path: Path, metrics: str, status: int) -> None:
    """They are shown as the settings say."""
    async with serving(http_settings(tmp_path, web={"metrics": metrics})) as service:
        assert (await ask(service.http_address, get("/metrics"))).status == status


async def test_the_interface(server: RunningServer) -> None:
    """The document names every service that has routes."""
    answer = await ask(server.http, get("/openapi.json"))
    assert answer.header("content-type") == "application/json"
    assert answer.json["openapi"].startswith("3.1")
    tags = {tag for path in answer.json["paths"].values() for each in path.values() for tag in each["tags"]}
    assert tags - {"health"} <= {method.service for method in METHODS}


async def test_where_the_interface_is(tmp_path: Path) -> None:
    """The document tells the URL of the settings, never one that a request names."""
    async with serving(http_settings(tmp_path, web={"public_url": "https://authz.example/"})) as service:
        forged = get("/openapi.json", headers=b"X-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\n")
        answer = await ask(service.http_address, forged)
        assert answer.json["servers"] == [{"url": "https://authz.example"}]


async def test_pages_of_a_service_that_ends(tmp_path: Path) -> None:
    """Connections that are open while it ends are closed, and new ones find nobody."""
    async with serving(http_settings(tmp_path)) as service:
        address = service.http_address
        assert (await ask(address, get("/healthz"))).status == 200
    with pytest.raises((OSError, asyncio.IncompleteReadError)):
        await ask(address, get("/healthz"))


async def test_a_page_that_fails() -> None:
    """Its caller gets a refusal like any other, the log says why, and the server goes on."""

    async def fail(_accept: str) -> Shown:
        raise ValueError("secret")

    server = HttpServer(edge(), (), {"/fails": fail}, HttpTransport())
    port = server.listen("127.0.0.1:0")
    await server.start()
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            answer = await ask(f"127.0.0.1:{port}", get("/fails"))
            assert answer.refusal == (500, "internal_error")
            assert b"secret" not in answer.body
    assert [each["event"] for each in logs] == ["http_not_answered"] * 2
    await server.drain(1.0)
