"""Which call or page a request means, who may ask from a browser, and what every answer has."""

from __future__ import annotations

from pathlib import Path

import pytest

from authz.app import serving
from tests.support.raw_http import Answer, ask, get, http_settings, peer_of, post
from tests.support.server import RunningServer

pytestmark = pytest.mark.anyio

ORIGIN = b"https://app.example"


def named(*hosts: bytes, verb: bytes = b"GET", path: bytes = b"/stores") -> bytes:
    """A request that names its server in these headers."""
    return b"%s %s HTTP/1.1\r\n%s\r\n" % (verb, path, b"".join(b"Host: %s\r\n" % host for host in hosts))


@pytest.mark.parametrize(
    "host",
    [b"localhost", b"LocalHost:80", b"127.0.0.1", b"127.0.0.1:8080", b"127.9.9.9", b"[::1]", b"[::1]:8080"],
)
async def test_names_of_this_machine(server: RunningServer, host: bytes) -> None:
    """Whoever reaches the port by them is answered."""
    assert (await ask(server.http, named(host))).status == 200


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example",
        b"evil.example:8080",
        b"127.0.0.1.evil.example",
        b"localhost.evil.example",
        b"evil.example@127.0.0.1",
        b"127.0.0.1@evil.example",
        b"127.0.0.1:80:80",
        b"[::1].evil.example",
        b"0.0.0.0",
        b"2130706433",
        b"127.1",
        b"",
        b"\xff",
    ],
)
async def test_names_of_other_machines(server: RunningServer, host: bytes) -> None:
    """While nobody must prove who he is, a page that made its name mean this machine gets nothing, from no path."""
    for path in (b"/stores", b"/healthz", b"/metrics", b"/nothing"):
        answer = await ask(server.http, named(host, path=path))
        assert answer.refusal == (403, "forbidden")
        assert answer.header("access-control-allow-origin") is None


async def test_every_answer_is_guarded(server: RunningServer) -> None:
    """Whatever a browser takes an answer for, it does nothing with it, keeps nothing and learns nothing."""
    requests = (
        get(),
        get("/nothing"),
        get(verb="PUT"),
        get("/healthz"),
        get("/metrics"),
        named(b"evil"),
        post(body=b"x"),
    )
    for request in requests:
        answer = await ask(server.http, request)
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("cache-control") == "no-store"
        assert "default-src 'none'" in (answer.header("content-security-policy") or "")
        assert answer.header("x-request-id")
        assert answer.header("server") is None
        assert answer.header("strict-transport-security") is None


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/stores", 405),
        ("/nothing", 404),
        ("/healthz", 200),
        ("/openapi.json", 200),
        ("/stores/x/check", 405),
        ("//", 404),
    ],
)
async def test_without_its_body(server: RunningServer, path: str, status: int) -> None:
    """HEAD never has a body, whatever the answer, and the connection goes on."""
    async with peer_of(server.http) as peer:
        peer.send(get(path, verb="HEAD"))
        answer = await peer.answer(has_body=False)
        assert answer.status == status
        assert (await peer.call(get())).status == 200


@pytest.mark.parametrize(
    ("verb", "path", "expected"),
    [
        ("GET", "/", (404, None)),
        ("GET", "//", (404, None)),
        ("GET", "/stores/", (404, None)),
        ("GET", "//stores", (404, None)),
        ("GET", "/stores//check", (404, None)),
        ("GET", "/stores/../healthz", (404, None)),
        ("GET", "/healthz/", (404, None)),
        ("GET", "/stores%2F", (404, None)),
        ("GET", "/stores/%ff", (404, None)),
        ("GET", "/stores;a=b", (404, None)),
        ("POST", "/stores/a%2Fcheck", (405, "DELETE, GET, PATCH")),
        ("PUT", "/stores", (405, "GET, POST")),
        ("TRACE", "/stores", (405, "GET, POST")),
        ("OPTIONS", "/stores", (405, "GET, POST")),
        ("PROPFIND", "/stores", (405, "GET, POST")),
        ("GET", "/stores/%2F/check", (405, "POST")),
    ],
)
async def test_what_no_route_means(
    server: RunningServer, verb: str, path: str, expected: tuple[int, str | None]
) -> None:
    """It is told in the form of every refusal, with the methods that the path has, and without the path."""
    answer = await ask(server.http, get(path, verb=verb))
    assert answer.refusal == (expected[0], "undefined_endpoint")
    assert (answer.status, answer.header("allow")) == expected
    assert answer.json["message"] == "there is no such endpoint"


@pytest.mark.parametrize("path", ["/stores/%00", "/stores/%0d%0aX:y", "/stores/%", "/stores/%zz", "/stores/%E2%80%AE"])
async def test_odd_values_in_paths(server: RunningServer, path: str) -> None:
    """They are values like any other: refused by the rules of their field, in words that can be shown."""
    answer = await ask(server.http, get(path))
    assert answer.refusal == (400, "validation_error")
    assert answer.json["message"].isprintable()


def _preflight(origin: bytes, verb: bytes = b"POST", headers: bytes = b"authorization,content-type") -> bytes:
    asked = b"Origin: %s\r\nAccess-Control-Request-Method: %s\r\nAccess-Control-Request-Headers: %s\r\n"
    return get("/stores", headers=asked % (origin, verb, headers), verb="OPTIONS")


def _allowed(answer: Answer) -> str | None:
    return answer.header("access-control-allow-origin")


async def test_browsers_are_kept_out(server: RunningServer) -> None:
    """Unless the settings name an origin, no page may ask and none may read an answer."""
    for origin in (ORIGIN, b"null", b"http://localhost", b"http://127.0.0.1"):
        assert (await ask(server.http, _preflight(origin))).status == 405
        answer = await ask(server.http, get(headers=b"Origin: " + origin + b"\r\n"))
        assert not [name for name, _ in answer.headers if name.startswith("access-control")]
        # What a page can send without asking, as a form or as plain text, is no request here.
        simple = b"POST /stores HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 15\r\n\r\n"
        assert (await ask(server.http, simple + b'{"name":"shop"}')).refusal == (400, "validation_error")


async def test_origins_that_are_named(tmp_path: Path) -> None:
    """Pages of a named origin may ask, and see the headers that are of use; those of others may not."""
    settings = http_settings(tmp_path, web={"cors_origins": [ORIGIN.decode()]})
    async with serving(settings) as service:
        answer = await ask(service.http_address, _preflight(ORIGIN))
        assert (answer.status, _allowed(answer)) == (200, ORIGIN.decode())
        assert "authorization" in (answer.header("access-control-allow-headers") or "").lower()
        assert answer.header("access-control-allow-credentials") is None
        shown = await ask(service.http_address, get(headers=b"Origin: " + ORIGIN + b"\r\n"))
        assert _allowed(shown) == ORIGIN.decode()
        assert "authz-consistency-token" in (shown.header("access-control-expose-headers") or "")
        assert "origin" in (shown.header("vary") or "").lower()
        for other in (
            b"null",
            b"https://evil.example",
            ORIGIN + b".evil.example",
            ORIGIN + b":8443",
            b"http" + ORIGIN[5:],
        ):
            assert _allowed(await ask(service.http_address, _preflight(other))) is None
            assert _allowed(await ask(service.http_address, get(headers=b"Origin: " + other + b"\r\n"))) is None
        for refused in (_preflight(ORIGIN, verb=b"TRACE"), _preflight(ORIGIN, headers=b"x-anything")):
            assert (await ask(service.http_address, refused)).status == 400


async def test_the_public_name(tmp_path: Path) -> None:
    """Behind a proxy on the same machine requests may name the service as it is told to be known."""
    settings = http_settings(tmp_path, web={"public_url": "https://Authz.example.com:8443/base"})
    async with serving(settings) as service:
        for host, status in ((b"authz.example.com", 200), (b"authz.example.com:8443", 200), (b"example.com", 403)):
            assert (await ask(service.http_address, named(host))).status == status


async def test_all_origins(tmp_path: Path) -> None:
    """`*` lets every page ask, and none with what a browser keeps for the service."""
    async with serving(http_settings(tmp_path, web={"cors_origins": ["*"]})) as service:
        for origin in (ORIGIN, b"null"):
            answer = await ask(service.http_address, get(headers=b"Origin: " + origin + b"\r\nCookie: a=b\r\n"))
            assert (_allowed(answer), answer.header("access-control-allow-credentials")) == ("*", None)
        hosted = b"GET /stores HTTP/1.1\r\nHost: evil.example\r\nOrigin: https://evil.example\r\n\r\n"
        assert (await ask(service.http_address, hosted)).refusal == (403, "forbidden")
