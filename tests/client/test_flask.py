"""`require` for Flask: nothing runs without a yes, and every other answer has its status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest
from flask import Flask, g, request
from flask.views import MethodView

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.client import AsyncClient, Client, RetryPolicy
from authz.client.flask import allowed_ids, protect, require, unguarded
from tests.client.support import STORE, Fail, Give, Scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask.testing import FlaskClient

RAN: list[str] = []


def application() -> Flask:
    """An application that authenticates before each request."""
    app = Flask(__name__)

    @app.before_request
    def authenticate() -> None:
        g.claims = {"sub": request.headers["x-test"]} if "x-test" in request.headers else None

    @app.get("/documents/<name>")
    @require("viewer", "document:{name}")
    def show(name: str) -> str:
        RAN.append(name)
        return "shown"

    @app.get("/numbers/<int:number>")
    @require("viewer", "document:{number}")
    def number(number: int) -> str:
        RAN.append(str(number))
        return "shown"

    @app.get("/search")
    @require("member", "organization:{header.x-organization}")
    @require("viewer", "document:{query.id}")
    def search() -> str:
        RAN.append("search")
        return "found"

    @app.get("/mistaken/<name>")
    @require("viewer", "document:{nothing}")
    def mistaken(name: str) -> str:
        RAN.append(name)
        return "never"

    @app.get("/mine")
    def mine() -> list[str]:
        return sorted(allowed_ids("viewer", "document"))

    class Documents(MethodView):
        decorators = (require("editor", "document:{name}"),)

        def put(self, name: str) -> str:
            RAN.append(name)
            return "put"

    app.add_url_rule("/edit/<name>", view_func=Documents.as_view("edit"))
    return app


@pytest.fixture
def http(service: Scripted) -> Iterator[FlaskClient]:
    """A caller with a name."""
    RAN.clear()
    app = application()
    with Client(service.address, store=STORE, timeout=1, retry=RetryPolicy(attempts=1)) as client:
        protect(app, client)
        caller = app.test_client()
        caller.environ_base["HTTP_X_TEST"] = "anne"
        yield caller


def test_allowed(http: FlaskClient, service: Scripted) -> None:
    """The question is about the user, the relation and the object of the request; requirements add up."""
    assert http.get("/documents/a%2523b").text == "shown"
    assert http.get("/numbers/007").text == "shown"
    assert http.get("/search?id=2", headers={"x-organization": "acme"}).text == "found"
    assert http.put("/edit/3").text == "put"
    keys = [each.request.tuple_key for each in service.asked]
    assert [(each.user, each.relation, each.object) for each in keys] == [
        ("user:anne", "viewer", "document:a%23b"),
        ("user:anne", "viewer", "document:7"),
        ("user:anne", "member", "organization:acme"),
        ("user:anne", "viewer", "document:2"),
        ("user:anne", "editor", "document:3"),
    ]
    assert RAN == ["a%23b", "7", "search", "3"]


def test_denied(http: FlaskClient, service: Scripted) -> None:
    """A no is 403, or looks like a missing page."""
    service.allowed = False
    assert http.get("/documents/1").status_code == 403
    hiding = application()
    with Client(service.address, store=STORE) as client:
        protect(hiding, client, hide=True)
        assert hiding.test_client().get("/documents/1", headers={"x-test": "anne"}).status_code == 404
    assert not RAN


@pytest.mark.parametrize(
    "path",
    ["/documents/1%23viewer", "/documents/*", "/documents/1%20", "/documents/a:b", "/search", "/search?id=1&id=2"],
)
def test_values_that_no_id_has(http: FlaskClient, service: Scripted, path: str) -> None:
    """They are refused without a question about them."""
    assert http.get(path, headers={"x-organization": "acme"}).status_code == 403
    assert all(each.request.tuple_key.relation == "member" for each in service.asked)
    assert not RAN


def test_no_decision(http: FlaskClient, service: Scripted) -> None:
    """Without a decision the view does not run."""
    service.will("Check", Fail(grpc.StatusCode.UNAVAILABLE), Fail(grpc.StatusCode.INVALID_ARGUMENT, "type_not_found"))
    assert [http.get("/documents/1").status_code for _ in range(2)] == [503, 500]
    assert http.get("/mistaken/1").status_code == 500
    assert http.get("/documents/1", environ_overrides={"HTTP_X_TEST": ""}).status_code == 401
    assert application().test_client().get("/documents/1").status_code == 500
    assert not RAN


def test_lists(http: FlaskClient, service: Scripted) -> None:
    """A list is whole, or there is none."""
    cut = Give(pb.ListObjectsResponse(objects=["document:2"]), (), (("authz-truncated", "deadline"),))
    service.will("ListObjects", Give(pb.ListObjectsResponse(objects=["document:2"])), cut)
    assert http.get("/mine").json == ["2"]
    assert http.get("/mine").status_code == 500


def test_only_the_synchronous_client(service: Scripted) -> None:
    """A client that Flask cannot wait for is refused at the start."""
    with pytest.raises(TypeError):
        protect(application(), AsyncClient(service.address, store=STORE))  # type: ignore[arg-type]


def test_endpoints_without_a_guard() -> None:
    """Whatever is served without `require` is named, also where the decorator stands on the wrong side of the route."""
    app = application()

    @require("viewer", "document:{name}")
    @app.get("/upside-down/<name>")
    def upside_down(name: str) -> str:
        return name

    assert unguarded(app) == ["GET /mine", "GET /static/<path:filename>", "GET /upside-down/<name>"]
