"""What HTTP clients of all languages do: kept connections, `Expect: 100-continue`, forms of headers, empty answers."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from schema_dsl import dsl_to_json
from tests.sdk.clients import DOCUMENTS, Kind, check, create_store, opened
from tests.support.http import PATIENCE, connected, url_of
from tests.support.server import running_server

if TYPE_CHECKING:
    import http.client
    from pathlib import Path

    from tests.support.server import RunningServer

JSON = {"content-type": "application/json"}


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: object = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    """The status and the body of an answer."""
    given = None if body is None else json.dumps(body)
    connection.request(method, path, given, JSON if headers is None else headers)
    answer = connection.getresponse()
    raw = answer.read()
    return answer.status, json.loads(raw) if raw else None


def create(connection: http.client.HTTPConnection) -> str:
    """A new store with a model; its id."""
    status, store = ask(connection, "POST", "/stores", {"name": "transport"})
    assert status == 201
    assert ask(connection, "POST", f"/stores/{store['id']}/authorization-models", dsl_to_json(DOCUMENTS))[0] == 201
    return str(store["id"])


CHECK = {"tuple_key": {"user": "user:anne", "relation": "viewer", "object": "document:a"}}


def test_one_connection_serves_many_requests(server: RunningServer) -> None:
    """
    It is kept after answers, after answers without a body, and after refusals whose body nobody read.
    """
    with connected(server) as connection:
        store = create(connection)
        local = connection.sock.getsockname()
        model = ask(connection, "GET", f"/stores/{store}/authorization-models")[1]["authorization_models"][0]["id"]
        large = {"padding": "x" * 100_000, **CHECK}
        for _ in range(3):
            assert ask(connection, "POST", f"/stores/{store}/check", CHECK)[0] == 200
            assert ask(connection, "POST", f"/stores/{store}/check", large)[0] == 200
            assert ask(connection, "POST", "/nowhere", large)[0] == 404
            assert ask(connection, "PUT", f"/stores/{store}/check", large)[0] == 405
            assert ask(connection, "POST", f"/stores/{store}/check", {"tuple_key": {}})[0] == 400
            assert ask(connection, "PUT", f"/stores/{store}/assertions/{model}", {"assertions": []}) == (204, None)
            listed = {"user": "user:anne", "relation": "viewer", "type": "document"}
            assert ask(connection, "POST", f"/stores/{store}/streamed-list-objects", listed)[0] == 200
        assert connection.sock.getsockname() == local


def test_an_answer_without_content_has_no_length(server: RunningServer) -> None:
    """
    RFC 9110, 8.6: clients would wait for a body, or take the next answer for one.
    """
    with connected(server) as connection:
        store = create(connection)
        connection.request("DELETE", f"/stores/{store}", headers=JSON)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (204, b"")
        assert answer.getheader("content-length") is None
        assert answer.getheader("transfer-encoding") is None


@pytest.mark.parametrize(
    "form", ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"]
)
def test_forms_of_the_content_type(server: RunningServer, form: str) -> None:
    """
    Every way to write it that SDKs have.
    """
    with connected(server) as connection:
        store = create(connection)
        assert ask(connection, "POST", f"/stores/{store}/check", CHECK, {"Content-Type": form}) == (
            200,
            {"allowed": False, "resolution": ""},
        )


def test_what_is_not_said_to_be_json_is_refused(server: RunningServer) -> None:
    """
    A page of somebody's browser can send a form anywhere, but not JSON.
    """
    with connected(server) as connection:
        store = create(connection)
        for headers in ({}, {"content-type": "text/plain"}, {"content-type": "application/x-www-form-urlencoded"}):
            status, answer = ask(connection, "POST", f"/stores/{store}/check", CHECK, headers)
            assert (status, answer["code"]) == (400, "validation_error")
            assert "content-type" in answer["message"]


def test_clients_that_could_read_compressed_answers(server: RunningServer) -> None:
    """
    They are answered as they are, and read it.
    """
    with connected(server) as connection:
        store = create(connection)
        headers = {**JSON, "accept-encoding": "gzip, deflate, br", "accept": "application/json, text/plain, */*"}
        assert ask(connection, "POST", f"/stores/{store}/check", CHECK, headers)[0] == 200


def test_a_request_that_waits_to_be_asked_for_its_body(server: RunningServer) -> None:
    """
    `Expect: 100-continue`: the body is asked for, and then there is one answer.
    """
    body = json.dumps({"name": "continue"}).encode()
    host, _, port = server.http.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        head = f"POST /stores HTTP/1.1\r\nHost: {server.http}\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        asked = connection.recv(4096)
        assert asked == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.ops
def test_connections_that_grow_old(tmp_path: Path) -> None:
    """
    The server closes them between requests, never under one: no call of an SDK fails.
    """
    asked = [check("user:anne", "viewer", "document:a")] * 8
    kinds: tuple[Kind, ...] = ("async", "sync")
    with running_server(tmp_path, {"limits_connection_age": 0.05}) as server:
        for kind in kinds:
            with opened(kind, api_url=url_of(server)) as sdk:
                create_store(sdk)
                for _ in range(20):
                    assert not any(each.error for each in sdk.client_batch_check(asked))
                    time.sleep(0.02)


def test_request_ids(server: RunningServer) -> None:
    """
    The caller's is sent back; refusals have it also under the name that the SDKs look for.
    """
    with connected(server) as connection:
        connection.request("GET", "/stores/absent", headers={"X-Request-Id": "mine-1"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 400
        assert (answer.getheader("x-request-id"), answer.getheader("fga-request-id")) == ("mine-1", "mine-1")
        connection.request("GET", "/stores", headers={"X-Request-Id": "mine-2"})
        answer = connection.getresponse()
        answer.read()
        assert answer.getheader("x-request-id") == "mine-2"
        assert int(answer.getheader("fga-query-duration-ms") or "-1") >= 0
