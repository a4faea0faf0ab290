"""Answers to a gateway over a real datastore: let through, denied, and denied for want of an answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import structlog
from google.rpc.code_pb2 import OK, PERMISSION_DENIED, UNAUTHENTICATED, UNAVAILABLE

from authz._proto.envoy.config.core.v3.base_pb2 import HeaderValueOption
from authz._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from authz.call import Call
from authz.commands.services import Services
from authz.errors import Bug, Unavailable
from authz.rpc.exchange import Exchange, Method
from authz.rpc.ext_authz import gateway_methods
from authz.store.sql import SqlDatastore
from authz.tuples import RelationshipCondition, RelationshipTuple, TupleKey
from tests.commands.support import MODEL, new_model, new_store, new_world, put, services_over
from tests.rpc.ext_authz.support import asking, rule, settings

pytestmark = pytest.mark.anyio

ALICE, BOB = {"sub": "alice"}, {"sub": "bob"}
TOLD = ("x-authz-decision", "x-authz-user", "x-authz-relation", "x-authz-object")
OVERRIDES = {"x-http-method", "x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url"}


@pytest.fixture
def services(sqlite_datastore: SqlDatastore) -> Services:
    """Services over an empty datastore."""
    return services_over(sqlite_datastore)


@pytest.fixture
async def store(services: Services) -> str:
    """A store in which alice views document 1."""
    store = await new_world(services)
    await put(services, store, RelationshipTuple("document:1", "viewer", "user:alice"))
    return store


def method_of(store: str, *rules: Any, **more: Any) -> Method:
    """The method, with rules about documents and a public path unless others are given."""
    public = {"methods": ["GET"], "path": "/health", "allow": True}
    (found,) = gateway_methods(settings(*(rules or (public, rule())), store=store, **more), None)
    return found


async def answer(
    services: Services, method: Method, request: CheckRequest, seconds: float = 5.0
) -> tuple[CheckResponse, Exchange]:
    """What the handler answers, as the last of the chain, and what it leaves for the record."""
    deadline = services.clock.monotonic() + seconds
    exchange = Exchange(method, Call("request-1", deadline=deadline), (), b"", seconds, request, store_id=method.store)
    found = await method.handler(services, exchange, request)
    assert isinstance(found, CheckResponse)
    return found, exchange


def headers(options: Any) -> dict[str, str]:
    """Headers that are set, each in place of whatever a client sent."""
    for option in options:
        assert option.append_action == HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    return {option.header.key: option.header.value for option in options}


async def test_an_allowed_request_passes(services: Services, store: str) -> None:
    """With what was decided in headers that replace a client's own, and in the record."""
    found, exchange = await answer(services, method_of(store), asking(claims=ALICE))
    assert found.status.code == OK
    assert headers(found.ok_response.headers) == dict(
        zip(TOLD, ("allowed", "user:alice", "viewer", "document:1"), strict=True)
    )
    assert set(found.ok_response.headers_to_remove) == OVERRIDES
    assert exchange.keys == (TupleKey("document:1", "viewer", "user:alice"),)
    assert exchange.decisions == (True,)
    assert exchange.model_id
    assert exchange.revision


async def test_a_denied_request_is_answered(services: Services, store: str) -> None:
    """By 403 in the form of all errors of HTTP, and recorded as denied."""
    found, exchange = await answer(services, method_of(store), asking(claims=BOB))
    assert found.status.code == PERMISSION_DENIED
    assert found.denied_response.status.code == 403
    assert headers(found.denied_response.headers)["content-type"] == "application/json"
    assert json.loads(found.denied_response.body) == {"code": "forbidden", "message": "access denied"}
    assert (exchange.keys, exchange.decisions) == ((TupleKey("document:1", "viewer", "user:bob"),), (False,))


@pytest.mark.parametrize("path", ["/other", "/documents/1/", "/documents/%2e%2e", "/health/../documents/1", ""])
async def test_what_no_rule_covers_is_denied(services: Services, store: str, path: str) -> None:
    """Whoever asks; and nothing is asked of the engine."""
    found, exchange = await answer(services, method_of(store), asking(path=path, claims=ALICE))
    assert (found.status.code, found.denied_response.status.code) == (PERMISSION_DENIED, 403)
    assert (exchange.keys, exchange.decisions) == ((), (False,))


async def test_nobody_is_told_to_prove_who_it_is(services: Services, store: str) -> None:
    """By 401 with the means that is expected (RFC 9110, section 15.5.2)."""
    found, _ = await answer(services, method_of(store), asking())
    assert (found.status.code, found.denied_response.status.code) == (UNAUTHENTICATED, 401)
    assert headers(found.denied_response.headers)["www-authenticate"] == "Bearer"


async def test_public_paths_pass(services: Services, store: str) -> None:
    """A client's own headers about decisions do not."""
    found, exchange = await answer(services, method_of(store), asking(path="/health"))
    assert found.status.code == OK
    assert headers(found.ok_response.headers) == {"x-authz-decision": "public"}
    assert set(found.ok_response.headers_to_remove) == OVERRIDES | set(TOLD[1:])
    assert (exchange.keys, exchange.decisions) == ((), (True,))


async def test_nothing_need_be_told(services: Services, store: str) -> None:
    """Then a client's own copies are removed all the same."""
    found, _ = await answer(services, method_of(store, upstream_headers=False), asking(claims=ALICE))
    assert found.status.code == OK
    assert not found.ok_response.headers
    assert set(found.ok_response.headers_to_remove) == OVERRIDES | set(TOLD)


@pytest.mark.parametrize("name", ["x_authz_user", "x-authz_user", "x_http_method_override"])
async def test_headers_that_some_take_for_ours_are_denied(services: Services, store: str, name: str) -> None:
    """Servers that make no difference between `-` and `_` would read a client's text as ours."""
    found, _ = await answer(services, method_of(store), asking(claims=ALICE, headers={name: "user:root"}))
    assert found.status.code == PERMISSION_DENIED


async def test_names_are_told_in_ascii(services: Services, store: str) -> None:
    """Percent-encoded where headers could not hold them, so that two users are never told alike."""
    for name, told in (("jürgen", "user:j%C3%BCrgen"), ("j%C3%BCrgen", "user:j%25C3%25BCrgen")):
        await put(services, store, RelationshipTuple("document:1", "viewer", f"user:{name}"))
        found, _ = await answer(services, method_of(store), asking(claims={"sub": name}))
        assert headers(found.ok_response.headers)["x-authz-user"] == told


async def test_calls_of_grpc_get_plain_messages(services: Services, store: str) -> None:
    """Envoy makes the message of a status of it."""
    request = asking(method="POST", headers={"content-type": "application/grpc"}, claims=ALICE)
    found, _ = await answer(services, method_of(store), request)
    assert found.denied_response.body == "no rule covers this request"
    assert not found.denied_response.headers


async def test_conditions_get_their_context(services: Services) -> None:
    """What is known of a request decides, where the model says so."""
    store = await new_store(services)
    await new_model(services, store, MODEL.replace('day != "sunday"', 'day != "192.0.2.7"'))
    tuple_ = RelationshipTuple("document:1", "viewer", "user:alice", RelationshipCondition("weekday", {}))
    await put(services, store, tuple_)
    for place, code in (("{source.address}", PERMISSION_DENIED), ("{request.method}", OK)):
        found, _ = await answer(services, method_of(store, rule(context={"day": place})), asking(claims=ALICE))
        assert found.status.code == code


@pytest.mark.parametrize(
    "changes",
    [
        {"relation": "owns"},
        {"object": "folder:{id}"},
        {"user": "robot:{jwt.sub}"},
    ],
)
async def test_what_the_model_lacks_lets_nothing_pass(services: Services, store: str, changes: dict[str, Any]) -> None:
    """A rule that the model does not know is a failure, not a denial, and told in the log."""
    with structlog.testing.capture_logs() as lines:
        found, exchange = await answer(services, method_of(store, rule(**changes)), asking(claims=ALICE))
    assert (found.status.code, found.denied_response.status.code) == (UNAVAILABLE, 503)
    assert json.loads(found.denied_response.body)["code"] == "unavailable"
    assert exchange.decisions == (None,)
    assert [line["event"] for line in lines] == ["ext_authz_undecided"]


async def test_an_unknown_store_lets_nothing_pass(services: Services) -> None:
    """Nor does a model that is not there."""
    for method in (method_of("01HXXXXXXXXXXXXXXXXXXXXXXX"), method_of(await new_store(services))):
        found, _ = await answer(services, method, asking(claims=ALICE))
        assert found.status.code == UNAVAILABLE
    store = await new_world(services)
    found, _ = await answer(services, method_of(store, model="01HXXXXXXXXXXXXXXXXXXXXXXX"), asking(claims=ALICE))
    assert found.status.code == UNAVAILABLE


async def test_a_failure_can_be_told_as_a_denial(services: Services) -> None:
    """By `on_failure`; it is never told as anything that passes."""
    method = method_of("01HXXXXXXXXXXXXXXXXXXXXXXX", on_failure="deny")
    found, _ = await answer(services, method, asking(claims=ALICE))
    assert (found.status.code, found.denied_response.status.code) == (PERMISSION_DENIED, 403)


@pytest.mark.parametrize("error", [Unavailable("the datastore is away"), Bug("broken"), ValueError("x"), KeyError("y")])
async def test_no_error_lets_anything_pass(
    services: Services, store: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong, the gateway gets an answer, which is no."""

    async def fail(*_arguments: object, **_named: object) -> None:
        raise error

    monkeypatch.setattr(services.models, "get", fail)
    with structlog.testing.capture_logs():
        found, exchange = await answer(services, method_of(store), asking(claims=ALICE))
    assert found.status.code == UNAVAILABLE
    assert "away" not in found.denied_response.body
    assert exchange.decisions == (None,)


async def test_an_answer_comes_before_the_gateway_stops_waiting(
    services: Services, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it is ours, and not what the gateway does without one."""

    async def wait(*_arguments: object, **_named: object) -> None:
        await asyncio.sleep(30)

    monkeypatch.setattr(services.models, "get", wait)
    async with asyncio.timeout(5):
        found, _ = await answer(services, method_of(store), asking(claims=ALICE), seconds=0.05)
    assert found.status.code == UNAVAILABLE


async def test_the_record_has_the_id_of_the_request(services: Services, store: str) -> None:
    """By which the gateway and the API know it; an odd one is replaced."""
    for given, kept in (("4be1-77", True), ("a\x01b", False)):
        _, exchange = await answer(services, method_of(store), asking(claims=ALICE, headers={"x-request-id": given}))
        assert (exchange.call.request_id == given) is kept


async def test_nothing_secret_is_recorded(store: str) -> None:
    """Of a request that is captured, its headers, its body and its query are left out."""
    secret = {"authorization": "Bearer secret", "cookie": "secret"}
    request = asking(path="/documents/1?token=secret", headers=secret, claims=ALICE, raw_headers=[("a", b"secret")])
    request.attributes.request.http.body, request.attributes.request.http.raw_body = "secret", b"secret"
    kept = method_of(store).recorded(request)
    assert b"secret" not in kept.SerializeToString()
    assert b"/documents/1" in kept.SerializeToString()
    assert b"secret" in request.SerializeToString()
