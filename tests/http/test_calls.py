"""Calls over HTTP: statuses, bodies, headers, streams, as clients of OpenFGA expect them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from schema_dsl import dsl_to_json
from tests.support.raw_http import ask, get, post
from tests.support.server import RunningServer
from tests.wire.support import MODEL, UNKNOWN_ID

ANNE = {"user": "user:anne", "relation": "viewer", "object": "document:1"}
Call = Callable[..., httpx.Response]


@pytest.fixture
def call(server: RunningServer) -> Call:
    """Send a request to the server of all tests."""

    def send(verb: str, path: str, body: Any = None, **given: Any) -> httpx.Response:
        return httpx.request(verb, f"http://{server.http}{path}", json=body, timeout=30, **given)

    return send


@pytest.fixture
def store(call: Call) -> str:
    """A store with a model, of its own for each test."""
    found = str(call("POST", "/stores", {"name": "shop"}).json()["id"])
    call("POST", f"/stores/{found}/authorization-models", dsl_to_json(MODEL)).raise_for_status()
    return found


def test_statuses(call: Call, store: str) -> None:
    """201 for what is made, 204 without a body for what is done, 200 for what is answered."""
    made = call("POST", "/stores", {"name": "shop"})
    assert (made.status_code, set(made.json())) == (201, {"id", "name", "created_at", "updated_at"})
    model = call("POST", f"/stores/{store}/authorization-models", dsl_to_json(MODEL))
    assert (model.status_code, set(model.json())) == (201, {"authorization_model_id"})
    path = f"/stores/{store}/assertions/{model.json()['authorization_model_id']}"
    written = call("PUT", path, {"assertions": [{"tuple_key": ANNE, "expectation": True}]})
    assert (written.status_code, written.content) == (204, b"")
    assert "content-length" not in written.headers
    assert call("POST", f"/stores/{store}/write", {"writes": {"tuple_keys": [ANNE]}}).json() == {}
    gone = call("DELETE", f"/stores/{store}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert call("GET", f"/stores/{store}").status_code == 404


def test_a_check(call: Call, store: str) -> None:
    """Zero values are there, and the headers say at which revision and by which model."""
    answer = call("POST", f"/stores/{store}/check", {"tuple_key": ANNE})
    assert answer.content == b'{"allowed":false,"resolution":""}'
    written = call("POST", f"/stores/{store}/write", {"writes": {"tuple_keys": [ANNE]}})
    token = written.headers["authz-consistency-token"]
    headers = {"authz-consistency": f"at-least-as-fresh={token}"}
    answer = call("POST", f"/stores/{store}/check", {"tuple_key": ANNE}, headers=headers)
    assert answer.content == b'{"allowed":true,"resolution":""}'
    assert answer.headers["authz-consistency-token"]
    assert answer.headers["openfga-authorization-model-id"]


def test_what_is_not_set_is_null(call: Call, store: str) -> None:
    """Messages that are not set are null, members of a choice are absent."""
    call("POST", f"/stores/{store}/write", {"writes": {"tuple_keys": [ANNE]}})
    (found,) = call("POST", f"/stores/{store}/read", {}).json()["tuples"]
    assert found["key"] == {**ANNE, "condition": None}
    tree = call("POST", f"/stores/{store}/expand", {"tuple_key": {"relation": "owner", "object": "document:1"}}).json()
    assert tree == {"tree": {"root": {"name": "document:1#owner", "leaf": {"users": {"users": []}}}}}


def test_refusals(call: Call, store: str) -> None:
    """A code that clients know, and a message."""
    refused = {
        ("GET", f"/stores/{UNKNOWN_ID}"): (404, "store_id_not_found"),
        ("GET", "/stores/x"): (400, "validation_error"),
        ("GET", "/stores?page_size=1000"): (400, "page_size_invalid"),
        ("GET", f"/stores/{store}/authorization-models/{UNKNOWN_ID}"): (400, "authorization_model_not_found"),
    }
    for (verb, path), expected in refused.items():
        answer = call(verb, path)
        assert (answer.status_code, answer.json()["code"]) == expected
        assert answer.json()["message"]
    twice = {"writes": {"tuple_keys": [ANNE]}}
    call("POST", f"/stores/{store}/write", twice)
    answer = call("POST", f"/stores/{store}/write", twice)
    assert (answer.status_code, answer.json()["code"]) == (400, "write_failed_due_to_invalid_input")
    conflicting = {**ANNE, "condition": {"name": "weekday", "context": {"day": "monday"}}}
    body = {"writes": {"tuple_keys": [conflicting], "on_duplicate": "ignore"}}
    answer = call("POST", f"/stores/{store}/write", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "Aborted")


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", "json"],
)
def test_other_kinds_of_bodies(call: Call, content_type: str) -> None:
    """What does not say that it is JSON is not read: pages may send it from a browser without asking."""
    headers = {"content-type": content_type} if content_type else {}
    answer = call("POST", "/stores", content=b'{"name":"shop"}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8", "application/json ;x"])
def test_kinds_of_json(call: Call, content_type: str) -> None:
    """JSON may be told with parameters and in any case."""
    answer = call("POST", "/stores", content=b'{"name":"shop"}', headers={"content-type": content_type})
    assert answer.status_code == 201


def test_bodies_that_are_packed(call: Call) -> None:
    """A body in a coding is refused by name, not called broken JSON; who says that there is none is heard."""
    for coding, status in (("gzip", 400), ("br", 400), ("identity", 201)):
        headers = {"content-type": "application/json", "content-encoding": coding}
        answer = call("POST", "/stores", content=b'{"name":"shop"}', headers=headers)
        assert answer.status_code == status
        assert status == 201 or "`content-encoding`" in answer.json()["message"]


def test_a_stream(call: Call, store: str) -> None:
    """One object a line, as they are found; an empty list has no lines; a refusal is no stream."""
    keys = [{**ANNE, "object": f"document:{number}"} for number in range(50)]
    call("POST", f"/stores/{store}/write", {"writes": {"tuple_keys": keys}})
    asked = {"type": "document", "relation": "viewer", "user": "user:anne"}
    answer = call("POST", f"/stores/{store}/streamed-list-objects", asked)
    lines = [json.loads(line)["result"]["object"] for line in answer.text.splitlines()]
    assert sorted(lines) == sorted(key["object"] for key in keys)
    assert answer.headers["authz-consistency-token"]
    nobody = call("POST", f"/stores/{store}/streamed-list-objects", {**asked, "user": "user:nobody"})
    assert (nobody.status_code, nobody.content) == (200, b"")
    wrong = call("POST", f"/stores/{store}/streamed-list-objects", {**asked, "relation": "none"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "relation_not_found")


def test_a_stream_that_cannot_be_finished(call: Call, store: str) -> None:
    """What fails in the middle is told in a last line."""
    keys = [ANNE, {**ANNE, "object": "document:2", "condition": {"name": "weekday"}}]
    call("POST", f"/stores/{store}/write", {"writes": {"tuple_keys": keys}}).raise_for_status()
    asked = {"type": "document", "relation": "viewer", "user": "user:anne"}
    answer = call("POST", f"/stores/{store}/streamed-list-objects", asked)
    lines = [json.loads(line) for line in answer.text.splitlines()]
    last = lines[-1] if answer.status_code == 200 else {"error": answer.json()}
    assert last["error"]["code"] == "validation_error"
    assert "`day`" in last["error"]["message"]


@pytest.mark.anyio
async def test_a_client_that_tells_its_name(server: RunningServer) -> None:
    """The name of a request comes back with its answer."""
    answer = await ask(server.http, get(headers=b"X-Request-Id: mine\r\n"))
    assert answer.header("x-request-id") == "mine"
    answer = await ask(server.http, post(body=b"", headers=b"X-Request-Id: mine\r\n"))
    assert (answer.status, answer.header("x-request-id")) == (400, "mine")


@pytest.mark.parametrize("mode", ["", "fresh", "at-least-as-fresh", "at-least-as-fresh=x", "fully-consistent=x", "é"])
def test_consistency_that_cannot_be_read(call: Call, store: str, mode: str) -> None:
    """It is refused, never taken for less than what was asked."""
    headers = {"authz-consistency": mode.encode()}
    answer = call("POST", f"/stores/{store}/check", {"tuple_key": ANNE}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")
