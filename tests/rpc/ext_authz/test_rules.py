"""From a request to a question: by the first rule that matches, from what is proven, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from authz.rpc.ext_authz.refusals import Refused, Unidentified
from authz.rpc.ext_authz.request import read_request
from authz.rpc.ext_authz.rules import RuleBook
from authz.settings.ext_authz import ExtAuthzSettings
from authz.settings.types import InvalidSettings
from tests.rpc.ext_authz.support import asking, rule, settings

ALICE = {"sub": "alice"}


def ask(chosen: ExtAuthzSettings, request: Any, subject: str = "") -> tuple[str, str, str] | None:
    """Object, relation and user that are asked about; None when everybody passes."""
    book = RuleBook(chosen)
    asked = read_request(request, book.headers)
    question, variables = book.find(asked)
    if question is None:
        return None
    filled = book.fill(question, asked, variables, subject)
    return filled.object, filled.relation, filled.user


def test_a_rule_makes_a_question() -> None:
    """Variables of the path and claims stand where the templates say."""
    assert ask(settings(), asking(claims=ALICE)) == ("document:1", "viewer", "user:alice")


def test_the_first_match_decides() -> None:
    """A later rule that would match too is not looked at, whatever the first one leads to."""
    chosen = settings(
        rule(path="/documents/public", object="document:public", relation="owner"),
        rule(),
        rule(path="/{a}/{b}", object="x:{b}"),
    )
    assert ask(chosen, asking(path="/documents/public", claims=ALICE)) == ("document:public", "owner", "user:alice")
    assert ask(chosen, asking(path="/documents/2", claims=ALICE)) == ("document:2", "viewer", "user:alice")
    assert ask(chosen, asking(path="/other/2", claims=ALICE)) == ("x:2", "viewer", "user:alice")


@pytest.mark.parametrize(
    "request_",
    [
        {"method": "POST"},
        {"method": "HEAD"},
        {"method": "get"},
        {"method": ""},
        {"path": "/documents"},
        {"path": "/Documents/1"},
        {"path": "/documents/1/"},
        {"path": "/documents/1/x"},
        {"path": "/documents/../documents/1"},
        {"path": ""},
        {"host": "other.example.com"},
        {"host": "documents.example.com."},
        {"host": "documents.example.com:x"},
        {"host": ""},
        {"headers": {"content-type": "application/grpc"}},
        {"headers": {"content-type": "application/grpc+proto"}},
    ],
)
def test_what_no_rule_covers_is_denied(request_: dict[str, Any]) -> None:
    """Another method, path, host or protocol is another request."""
    with pytest.raises(Refused):
        ask(settings(rule(hosts=["documents.example.com"])), asking(**{"claims": ALICE, **request_}))


@pytest.mark.parametrize("host", ["documents.example.com:8443", "DOCUMENTS.example.com", "documents.example.com"])
def test_hosts_are_compared_without_port_and_case(host: str) -> None:
    """As the standard says that they are equal."""
    assert ask(settings(rule(hosts=["documents.example.com"])), asking(claims=ALICE, host=host))
    assert ask(settings(rule(hosts=["*.example.com"])), asking(claims=ALICE, host=host))


def test_a_domain_is_not_its_own_subdomain() -> None:
    """`*.example.com` is neither `example.com` nor `evilexample.com`."""
    for host in ("example.com", "evilexample.com", "example.com.evil.org"):
        with pytest.raises(Refused):
            ask(settings(rule(hosts=["*.example.com"])), asking(claims=ALICE, host=host))


def test_public_paths_ask_nothing() -> None:
    """Only a rule that says so lets everybody pass."""
    chosen = settings({"methods": ["GET"], "path": "/health", "allow": True}, rule())
    assert ask(chosen, asking(path="/health")) is None
    with pytest.raises(Unidentified):
        ask(chosen, asking())


def test_method_overrides_change_nothing() -> None:
    """The method is that of the request line."""
    headers = {"x-http-method-override": "DELETE", "x-http-method": "DELETE", "x-method-override": "DELETE"}
    chosen = settings(rule(methods=["DELETE"], relation="editor"), rule())
    assert ask(chosen, asking(claims=ALICE, headers=headers)) == ("document:1", "viewer", "user:alice")


@pytest.mark.parametrize(
    ("claims", "payload", "error"),
    [
        (None, "jwt_payload", Unidentified),
        (ALICE, "other_payload", Unidentified),
        ({}, "jwt_payload", Refused),
        ({"name": "alice"}, "jwt_payload", Refused),
        ({"sub": 7}, "jwt_payload", Refused),
        ({"sub": True}, "jwt_payload", Refused),
        ({"sub": None}, "jwt_payload", Refused),
        ({"sub": ["alice"]}, "jwt_payload", Refused),
        ({"sub": {"sub": "alice"}}, "jwt_payload", Refused),
        ({"sub": ""}, "jwt_payload", Refused),
    ],
)
def test_a_claim_is_text_of_a_verified_token(claims: Any, payload: str, error: type[Refused]) -> None:
    """Without a token, of another provider, without the claim, or with one of another type: no user."""
    with pytest.raises(error) as caught:
        ask(settings(), asking(claims=claims, payload=payload))
    assert caught.type is error


@given(st.text(max_size=40) | st.sampled_from(["*", "alice#member", "a:b", "bob ", "\u202ealice", "a\u00a0b", "a\x00"]))
def test_values_cannot_change_what_a_name_means(value: str) -> None:
    """No value makes a userset, a wildcard, another type, or a name that looks like another."""
    try:
        found = ask(settings(), asking(claims={"sub": value}))
    except Refused:
        return
    assert found == ("document:1", "viewer", f"user:{value}")
    assert value
    assert value.isprintable()
    assert not set(value) & set("#:* ")


@pytest.mark.parametrize("path", ["/documents/*", "/documents/%2A", "/documents/a:b", "/documents/a%3Ab"])
@pytest.mark.parametrize("suffix", ["", "%20", "x"])
def test_paths_cannot_either(path: str, suffix: str) -> None:
    """The same holds for what stands in the path."""
    with pytest.raises(Refused):
        ask(settings(), asking(path=path + suffix, claims=ALICE))


def test_names_that_are_too_long_are_denied() -> None:
    """Before the engine is asked, which would call it an error."""
    for request in (asking(path="/documents/" + "a" * 300, claims=ALICE), asking(claims={"sub": "ä" * 300})):
        with pytest.raises(Refused, match="too long"):
            ask(settings(), request)


GRPC = {
    "grpc": "documents.v1.Documents/Get",
    "relation": "viewer",
    "object": "document:{header.document-id}",
    "user": "service:{peer.name}",
}
PEERS = {"peers": ["spiffe://example.com/services/{name}", "{name}.clients.example.com"]}
SERVICE = "spiffe://example.com/services/reporter"


def call(headers: dict[str, str] | None = None, **more: Any) -> Any:
    """A call of gRPC."""
    given_ = {"content-type": "application/grpc", "document-id": "1", **(headers or {})}
    return asking(
        **{"method": "POST", "path": "/documents.v1.Documents/Get", "headers": given_, "peer": SERVICE, **more}
    )


def test_calls_of_grpc_are_matched_by_their_method() -> None:
    """The service and the method are the path; ids come from metadata."""
    assert ask(settings(GRPC, **PEERS), call()) == ("document:1", "viewer", "service:reporter")
    wide = {**GRPC, "grpc": "documents.v1.Documents/{call}"}
    assert ask(settings(wide, **PEERS), call(path="/documents.v1.Documents/List")) is not None


@pytest.mark.parametrize(
    "request_",
    [
        call(method="GET"),
        call({"content-type": "application/json"}),
        call({"content-type": "application/grpc-web"}),
        call(path="/documents.v1.Documents/Delete"),
        call(path="/documents.v1.documents/Get"),
        call(path="/documents.v1.Documents/Get/"),
        call({"document-id": "1,2"}),
        call({"document-id": "!"}),
        call({"document-id": ""}),
        call({"document_id": "2"}),
        call(peer=""),
        call(peer="spiffe://example.org/services/reporter"),
        call(peer="spiffe://example.com/services/"),
        call(peer="spiffe://example.com/services/a/b"),
        call(peer="spiffe://example.com/services/a%2Fb"),
        call(peer="spiffe://example.com/Services/reporter"),
        call(peer="CN=reporter,O=spiffe://example.com/services/reporter"),
        call(peer="reporter.clients.example.com.evil.org"),
        call(peer="a.b.clients.example.com"),
        call(peer="*.clients.example.com"),
    ],
)
def test_calls_that_are_not_quite_those_are_denied(request_: Any) -> None:
    """Another method, a header that is there twice, or an identity that only looks like an expected one."""
    with pytest.raises(Refused):
        ask(settings(GRPC, **PEERS), request_)


def test_dns_names_identify_too() -> None:
    """A certificate without a URI is named by its DNS name."""
    assert ask(settings(GRPC, **PEERS), call(peer="reporter.clients.example.com")) == (
        "document:1",
        "viewer",
        "service:reporter",
    )


def test_trusted_headers_name_users() -> None:
    """Only where the operator says that the gateway sets them; and given once."""
    chosen = settings(rule(user="user:{header.x-user}"), trusted_headers=["x-user"])
    assert ask(chosen, asking(headers={"x-user": "alice"})) == ("document:1", "viewer", "user:alice")
    for headers in ({}, {"x-user": "alice,bob"}, {"x_user": "bob", "x-user": "alice"}, {"x-user": "*"}):
        with pytest.raises(Refused):
            ask(chosen, asking(headers=headers))


@pytest.mark.parametrize(
    "raw",
    [
        [("x-user", b"alice"), ("x-user", b"bob")],
        [("X-User", b"alice"), ("x-user", b"alice")],
        [("x-user", b"al\xffice")],
        [("x-user", b"")],
    ],
)
def test_raw_headers_are_read_as_strictly(raw: list[tuple[str, bytes]]) -> None:
    """In the form in which Envoy gives headers one by one, as bytes."""
    chosen = settings(rule(user="user:{header.x-user}"), trusted_headers=["x-user"])
    assert ask(chosen, asking(raw_headers=[("X-User", b"alice")])) == ("document:1", "viewer", "user:alice")
    with pytest.raises(Refused):
        ask(chosen, asking(raw_headers=raw))


def test_context_for_conditions() -> None:
    """What is known of the request can be a parameter of a condition."""
    book = RuleBook(settings(rule(context={"ip": "{source.address}", "on": "{request.method} {request.host}"})))
    asked = read_request(asking(claims=ALICE), frozenset())
    question, variables = book.find(asked)
    assert question is not None
    assert book.fill(question, asked, variables, "").context == {"ip": "192.0.2.7", "on": "GET documents.example.com"}


@pytest.mark.parametrize("value", [7, True, None, ["x"], {"x": "y"}])
def test_context_is_text_too(value: Any) -> None:
    """A claim of another type is not handed to a condition as an empty text."""
    book = RuleBook(settings(rule(context={"team": "{jwt.team}"})))
    asked = read_request(asking(claims={**ALICE, "team": value}), frozenset())
    question, variables = book.find(asked)
    assert question is not None
    with pytest.raises(Refused, match="no text in the claim `team`"):
        book.fill(question, asked, variables, "")


def test_claims_are_a_table() -> None:
    """Under the name of the payload there is a token, or there is none."""
    request = asking()
    known = request.attributes.metadata_context.filter_metadata["envoy.filters.http.jwt_authn"]
    known.update({"jwt_payload": "alice"})
    with pytest.raises(Unidentified):
        ask(settings(), request)


@pytest.mark.parametrize(
    ("changes", "more", "text"),
    [
        ({"object": "document:{name}"}, {}, "no variable of the path"),
        ({"user": "user:{id}"}, {}, "chosen by whoever sends"),
        ({"user": "user:{request.host}"}, {}, "chosen by whoever sends"),
        ({"user": "user:{source.address}"}, {}, "chosen by whoever sends"),
        ({"user": "user:{header.x-user}"}, {}, "trusted_headers"),
        ({"user": "user:{peer.name}"}, {}, "in no pattern"),
        ({"user": "user:{token.subject}"}, {}, "token_issuer"),
        ({"user": "user:{token.name}"}, {"token_issuer": "main"}, "token_issuer"),
        ({"user": "user:{jwt.}"}, {}, "not known"),
        ({"user": "user:{env.HOME}"}, {}, "not known"),
        ({"user": "{jwt.sub}"}, {}, "`type:id`"),
        ({"user": "{jwt.type}:{jwt.sub}"}, {}, "`type:id`"),
        ({"user": "user:{jwt.sub}:x"}, {}, "`type:id`"),
        ({"user": "user:{jwt.sub"}, {}, "brace"),
        ({"user": "user:jwt.sub}"}, {}, "brace"),
        ({"user": "user:{}"}, {}, "brace"),
        ({"object": "document {id}:x"}, {}, "`type:id`"),
        ({"object": "doc ument:{id}"}, {}, "blank"),
        ({"object": "document:{header.X-Id}"}, {}, "lower case"),
        ({"context": {"ip": "{ip}"}}, {}, "no variable of the path"),
        ({"path": "documents"}, {}, "does not begin"),
        ({"methods": None, "path": None, "grpc": "Documents"}, {}, "package.Service/Method"),
        ({}, {"peers": ["{name}"]}, "`{name}`"),
        ({}, {"peers": ["spiffe://{domain}/x"]}, "begins with a variable"),
        ({}, {"peers": ["spiffe://a/{x=**}"]}, "neither a URI"),
        ({}, {"peers": ["clients.example.com"]}, "does not begin"),
    ],
)
def test_settings_that_could_mislead_are_refused(changes: dict[str, Any], more: dict[str, Any], text: str) -> None:
    """The error names the rule and says why."""
    with pytest.raises(InvalidSettings, match=rf"^setting `ext_authz\.(rules|peers)\.0`: .*{text}"):
        RuleBook(settings(rule(**changes), **more))


def test_a_rule_that_never_matches_is_refused() -> None:
    """An earlier rule for the same requests makes it void, which somebody may not have meant."""
    with pytest.raises(InvalidSettings, match=r"rules\.1`: an earlier rule"):
        RuleBook(settings(rule(), rule(path="/documents/{name}", object="document:{name}", relation="owner")))


@pytest.mark.parametrize(
    "changes",
    [
        {"methods": None},
        {"path": None},
        {"grpc": "a/B"},
        {"relation": None},
        {"user": None},
        {"allow": True},
        {"methods": ["*"]},
        {"methods": ["get"]},
        {"hosts": ["*"]},
        {"hosts": ["Example.com"]},
        {"hosts": ["a:80"]},
        {"relation": "a#b"},
        {"unknown": 1},
    ],
)
def test_rules_say_one_thing(changes: dict[str, Any]) -> None:
    """A rule that says nothing, or two things, is no setting."""
    with pytest.raises(ValidationError):
        settings(rule(**changes))


@pytest.mark.parametrize("given_", [{"rules": [rule()]}, {"store": "x"}, {"store": "01HZZZZZZZZZZZZZZZZZZZZZZZ"}])
def test_a_store_and_rules_go_together(given_: dict[str, Any]) -> None:
    """Neither without the other."""
    with pytest.raises(ValidationError):
        ExtAuthzSettings.model_validate(given_)


_PARTS = st.sampled_from(["a", "b", "{x}"])
_PATHS = st.lists(_PARTS, min_size=1, max_size=3).map(
    lambda parts: "/" + "/".join(f"{{v{place}}}" if part == "{x}" else part for place, part in enumerate(parts))
)


@given(
    st.lists(st.tuples(_PATHS, st.sampled_from(["GET", "PUT"])), min_size=1, max_size=8, unique=True),
    st.lists(st.sampled_from("abc"), min_size=1, max_size=3),
    st.sampled_from(["GET", "PUT", "POST"]),
)
def test_the_first_of_all_rules_that_match_is_found(
    paths: list[tuple[str, str]], parts: list[str], method: str
) -> None:
    """Whatever is left out of the search because it cannot match."""
    rules = [rule(path=path, methods=[verb], object=f"o:{number}") for number, (path, verb) in enumerate(paths)]
    expected = next(
        (
            f"o:{number}"
            for number, (path, verb) in enumerate(paths)
            if verb == method
            and len(path[1:].split("/")) == len(parts)
            and all(
                each in (part, f"{{v{place}}}")
                for place, (each, part) in enumerate(zip(path[1:].split("/"), parts, strict=True))
            )
        ),
        None,
    )
    request = asking(method, "/" + "/".join(parts), claims=ALICE)
    try:
        found = ask(settings(*rules), request)
    except Refused:
        found = None
    assert (found and found[0]) == expected
