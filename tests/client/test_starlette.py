"""`require` for Starlette and FastAPI: nothing runs without a yes, and every other answer has its status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import grpc
import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.client import AsyncClient, Client, RetryPolicy, errors
from authz.client import fastapi as for_fastapi
from authz.client.starlette import allowed_ids, protect, require
from tests.client.support import STORE, Fail, Give, Scripted, listening

if TYPE_CHECKING:
    from collections.abc import Iterator

RAN: list[str] = []


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest, service: Scripted) -> Client | AsyncClient:
    """Both clients serve both frameworks."""
    RAN.clear()
    made: type[Client | AsyncClient] = Client if request.param == "sync" else AsyncClient
    return made(service.address, store=STORE, timeout=1, retry=RetryPolicy(attempts=1))


@require("viewer", "document:{id}")
async def show(request: Any) -> PlainTextResponse:
    """By the path."""
    RAN.append(request.path_params["id"])
    return PlainTextResponse("shown")


@require("viewer", "document:{query.id}")
def search(_request: Any) -> PlainTextResponse:
    """By the query, without a coroutine."""
    RAN.append("search")
    return PlainTextResponse("found")


@require("member", "organization:{header.x-organization}")
async def report(_request: Any) -> PlainTextResponse:
    """By a header."""
    RAN.append("report")
    return PlainTextResponse("reported")


@require("viewer", "document:{nothing}")
async def mistaken(_request: Any) -> PlainTextResponse:
    """By a parameter that the path has not."""
    RAN.append("mistaken")
    return PlainTextResponse("never")


class Documents(HTTPEndpoint):
    """By a method of a class."""

    @require("editor", "document:{id}", context=lambda request: {"hour": int(request.query_params["hour"])})
    async def put(self, _request: Any) -> PlainTextResponse:
        """With values for a condition."""
        RAN.append("put")
        return PlainTextResponse("put")


async def mine(request: Any) -> PlainTextResponse:
    """A list."""
    return PlainTextResponse(",".join(sorted(await allowed_ids(request, "viewer", "document"))))


@require("viewer", "document:{id}")
async def follow(websocket: WebSocket) -> None:
    """A websocket."""
    RAN.append("follow")
    await websocket.accept()
    await websocket.close()


def application() -> Starlette:
    """An application with all of them."""
    routes = [
        Route("/documents/{id}", show),
        Route("/paths/{id:path}", show),
        Route("/search", search),
        Route("/report", report),
        Route("/mistaken/{id}", mistaken),
        Route("/edit/{id:int}", Documents),
        Route("/mine", mine),
        WebSocketRoute("/follow/{id}", follow),
    ]
    return Starlette(routes=routes)


def named(request: Any) -> str:
    """Whoever the test says."""
    return str(request.headers.get("x-test-user", "user:anne"))


@pytest.fixture
def http(client: Client | AsyncClient) -> Iterator[TestClient]:
    """A caller of the application."""
    app = application()
    protect(app, client, subject=named)
    with TestClient(app, raise_server_exceptions=False) as made:
        yield made


def test_allowed(http: TestClient, service: Scripted) -> None:
    """The question is about the user, the relation and the object of the request, wherever its parts stand."""
    assert http.get("/documents/1").text == "shown"
    assert http.get("/search?id=2").text == "found"
    assert http.get("/report", headers={"x-organization": "acme"}).text == "reported"
    assert http.put("/edit/3?hour=9").text == "put"
    asked = [each.request for each in service.asked]
    assert [(each.tuple_key.user, each.tuple_key.relation, each.tuple_key.object) for each in asked] == [
        ("user:anne", "viewer", "document:1"),
        ("user:anne", "viewer", "document:2"),
        ("user:anne", "member", "organization:acme"),
        ("user:anne", "editor", "document:3"),
    ]
    assert asked[3].context["hour"] == 9


def test_denied(http: TestClient, service: Scripted, client: Client | AsyncClient) -> None:
    """A no is 403, or looks like a missing page."""
    service.allowed = False
    assert http.get("/documents/1").status_code == 403
    protect(http.app, client, subject=named, hide=True)  # type: ignore[arg-type]
    assert http.get("/documents/1").status_code == 404
    assert not RAN


@pytest.mark.parametrize(
    ("step", "status"),
    [
        (Fail(grpc.StatusCode.UNAVAILABLE), 503),
        (Fail(grpc.StatusCode.DEADLINE_EXCEEDED, "deadline_exceeded"), 503),
        (Fail(grpc.StatusCode.UNAUTHENTICATED, "unauthenticated"), 503),
        (Fail(grpc.StatusCode.PERMISSION_DENIED, "forbidden"), 503),
        (Fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "resource_exhausted", retry_after=6.2), 503),
        (Fail(grpc.StatusCode.INTERNAL), 503),
        (Fail(grpc.StatusCode.INVALID_ARGUMENT, "validation_error"), 500),
        (Give(b"\x08"), 503),
    ],
)
def test_no_decision(http: TestClient, service: Scripted, step: Any, status: int) -> None:
    """Without a decision the endpoint does not run; a caller learns nothing of the reasons."""
    service.will("Check", step)
    found = http.get("/documents/1")
    assert found.status_code == status
    assert found.text in ("Authorization is unavailable", "Internal Server Error")
    assert not RAN
    if getattr(step, "retry_after", 0):
        assert found.headers["retry-after"] == "7"


def test_no_user(http: TestClient, service: Scripted) -> None:
    """Without a user there is nothing to ask; what cannot be a user is refused."""
    found = http.get("/documents/1", headers={"x-test-user": ""})
    assert (found.status_code, found.headers["www-authenticate"]) == (401, "Bearer")
    for user in ("user:*", "team:sales#member", "anne", "user:a b"):
        assert http.get("/documents/1", headers={"x-test-user": user}).status_code == 403
    assert service.count() == 0
    assert not RAN


@pytest.mark.parametrize(
    "path",
    [
        "/documents/1%23viewer",
        "/documents/*",
        "/documents/%2A",
        "/documents/1%20",
        "/documents/a:b",
        "/documents/%00",
        "/documents/" + "x" * 250,
        "/search",
        "/search?id=",
        "/search?id=1&id=2",
        "/report",
        "/paths/",
    ],
)
def test_values_that_no_id_has(http: TestClient, service: Scripted, path: str) -> None:
    """They are refused without a question."""
    assert http.get(path).status_code == 403
    assert service.count() == 0
    assert not RAN


@pytest.mark.parametrize(
    ("path", "status", "name"),
    [
        ("/documents/a%252Fb", 200, "document:a%2Fb"),
        ("/documents/%C3%A9", 200, "document:\u00e9"),
        ("/documents/%41", 200, "document:A"),
        ("/documents/a%2Fb", 404, ""),
        ("/paths/a%2Fb", 200, "document:a/b"),
        ("/paths/a/../b", 200, "document:a/../b"),
        ("/documents/a%23b", 403, ""),
        ("/documents/a%0D%0Ab", 403, ""),
        ("/search?id=a%2523b", 200, "document:a%23b"),
        ("/search?id=a+b", 403, ""),
        ("/search?id=1;id=2", 200, "document:1;id=2"),
    ],
)
def test_percent_encoding(client: Client | AsyncClient, service: Scripted, path: str, status: int, name: str) -> None:
    """The object is what the framework decoded, once, which is what the endpoint gets."""
    app = application()
    protect(app, client, subject=named)
    with listening(app) as connection:
        connection.request("GET", path)
        assert connection.getresponse().status == status
    assert [each.request.tuple_key.object for each in service.asked] == ([name] if name else [])
    if name and not path.startswith("/search"):
        assert [name.removeprefix("document:")] == RAN


def test_mistakes_of_the_program(http: TestClient, service: Scripted) -> None:
    """A parameter that the path has not, and an application that is not set up, refuse."""
    assert http.get("/mistaken/1").status_code == 500
    with TestClient(application(), raise_server_exceptions=False) as bare:
        assert bare.get("/documents/1").status_code == 500
        assert bare.get("/mine").status_code == 500
    mounted = Starlette(routes=[Mount("/sub", application())])
    protect(mounted, Client(service.address, store=STORE), subject=named)
    with TestClient(mounted, raise_server_exceptions=False) as outer:
        assert outer.get("/sub/documents/1").status_code == 500
    assert service.count() == 0
    assert not RAN


def test_websockets(http: TestClient, service: Scripted) -> None:
    """A websocket opens only after a yes."""
    with http.websocket_connect("/follow/1"):
        pass
    service.allowed = False
    with pytest.raises(WebSocketDisconnect), http.websocket_connect("/follow/1"):
        pass
    assert RAN == ["follow"]


def test_lists(http: TestClient, service: Scripted) -> None:
    """A list is whole, or there is none."""
    service.will("ListObjects", Give(pb.ListObjectsResponse(objects=["document:2", "document:1"])))
    assert http.get("/mine").text == "1,2"
    cut = Give(pb.ListObjectsResponse(objects=["document:2"]), (), (("authz-truncated", "max-results"),))
    service.will("ListObjects", cut, Fail(grpc.StatusCode.UNAVAILABLE))
    assert http.get("/mine").status_code == 500
    assert http.get("/mine").status_code == 503


@pytest.mark.parametrize("claims", [None, {}, {"sub": ""}, {"sub": 7}, "anne"])
def test_the_default_user_is_of_verified_claims(service: Scripted, claims: Any) -> None:
    """Without claims that the application put there, nobody is anybody, whatever headers say."""
    app = application()
    with Client(service.address, store=STORE) as client, TestClient(app) as http:
        protect(app, client)
        assert http.get("/documents/1", headers={"x-user": "anne", "authorization": "Bearer anne"}).status_code == 401
    assert service.count() == 0


def fastapi_app(client: Client | AsyncClient) -> FastAPI:
    """An application that authenticates by a dependency."""

    def authenticate(request: HTTPConnection) -> None:
        request.state.claims = {"sub": request.headers["x-test"]} if "x-test" in request.headers else {}

    app = FastAPI(dependencies=[Depends(authenticate)])
    for_fastapi.protect(app, client)
    router = APIRouter(prefix="/teams/{team}", dependencies=[for_fastapi.require("member", "team:{team}")])

    @router.get("/documents/{number}", dependencies=[for_fastapi.require("viewer", "document:{number}")])
    def of_team(team: str, number: int) -> str:
        return f"{team} {number}"

    @app.get("/documents/{id}")
    async def one(access: Annotated[for_fastapi.Allowed, for_fastapi.require("viewer", "document:{id}")]) -> str:
        return f"{access.user} {access.object}"

    @app.get("/documents")
    def several(ids: Annotated[frozenset[str], for_fastapi.allowed("viewer", "document")]) -> list[str]:
        return sorted(ids)

    @app.post("/pay")
    def pay() -> None:
        raise errors.Denied("by hand")

    app.include_router(router)
    return app


def test_fastapi(client: Client | AsyncClient, service: Scripted) -> None:
    """One line guards an endpoint or a router; what is allowed can be handed over, and lists too."""
    app = fastapi_app(client)
    with TestClient(app, headers={"x-test": "anne"}, raise_server_exceptions=False) as http:
        assert http.get("/documents/1").json() == "user:anne document:1"
        assert http.get("/teams/red/documents/2").json() == "red 2"
        service.will("ListObjects", Give(pb.ListObjectsResponse(objects=["document:2"])))
        assert http.get("/documents").json() == ["2"]
        assert [each.request.tuple_key.object for each in service.asked[:3]] == ["document:1", "team:red", "document:2"]
        service.allowed = False
        assert http.get("/documents/1").status_code == 403
        assert http.get("/teams/red/documents/not-a-number").status_code == 403, "a no comes before what is wrong"
        assert http.post("/pay").status_code == 403
        del http.headers["x-test"]
        assert http.get("/documents/1").status_code == 401
    assert for_fastapi.unguarded(app) == ["GET /documents", "POST /pay"]


def test_endpoints_without_a_guard(client: Client | AsyncClient) -> None:
    """Whatever an application serves without `require` is named, however it was added."""
    app = fastapi_app(client)
    app.mount("/other", application())
    app.add_route("/plain", mine)
    app.add_route("/guarded/{id}", show)
    app.router.routes.append(WebSocketRoute("/plain-socket/{id}", follow))

    @app.websocket("/socket/{id}")
    async def socket(websocket: WebSocket) -> None:
        await websocket.close()

    @app.websocket("/guarded-socket/{id}", dependencies=[for_fastapi.require("viewer", "document:{id}")])
    async def guarded(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    inner, outer = APIRouter(prefix="/inner"), APIRouter(prefix="/outer")
    inner.add_api_route("/open", lambda: None)
    inner.add_api_route("/{id}", lambda: None, dependencies=[for_fastapi.require("viewer", "document:{id}")])
    outer.include_router(inner)
    app.include_router(outer, prefix="/api")
    safe = APIRouter(prefix="/teams/{team}")
    safe.add_api_route("/x", lambda: None)
    app.include_router(safe, prefix="/v2", dependencies=[for_fastapi.require("member", "team:{team}")])

    assert for_fastapi.unguarded(app) == [
        "GET /api/outer/inner/open",
        "GET /documents",
        "GET /plain",
        "HEAD /plain",
        "MOUNT /other",
        "POST /pay",
        "WEBSOCKET /socket/{id}",
    ]
    with TestClient(app, headers={"x-test": "anne"}) as http, http.websocket_connect("/guarded-socket/1"):
        pass
    with TestClient(app) as http, pytest.raises(WebSocketDisconnect), http.websocket_connect("/guarded-socket/1"):
        pass


def test_fastapi_without_a_service(unused_tcp_address: str) -> None:
    """Whatever cannot be decided is refused."""
    with Client(unused_tcp_address, store=STORE, timeout=1) as client:
        app = fastapi_app(client)
        with TestClient(app, headers={"x-test": "anne"}) as http:
            assert http.get("/documents/1").status_code == 503
            assert http.get("/documents").status_code == 503
