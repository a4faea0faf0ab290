"""Routes from the options of the interface, and how a path finds its own."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from authz.errors import Bug
from authz.http.routes import Found, Route, Router, routes_of
from authz.http.template import parse_template
from authz.rpc.methods import METHODS, SERVICE

ROUTES = list(routes_of(METHODS))
ROUTER = Router(ROUTES)


def found(verb: str, path: bytes) -> tuple[str, dict[str, str]] | frozenset[str]:
    """The name of the call and the fields of the path, or the methods that the path has."""
    result = ROUTER.find(verb, path)
    return (result.route.method.name, result.fields) if isinstance(result, Found) else result


def test_every_call_of_openfga_has_a_route() -> None:
    """Nothing of the public interface is left out, and nothing of our own administration is let in."""
    assert {method.name for method in METHODS if method.service == SERVICE} == {
        route.method.name for route in ROUTES if route.method.service == SERVICE
    }
    assert {route.method.service for route in ROUTES} <= {SERVICE, "authz.v1.AuthZenService"}


@pytest.mark.parametrize(
    ("verb", "path", "expected"),
    [
        ("GET", b"/stores", ("ListStores", {})),
        ("POST", b"/stores", ("CreateStore", {})),
        ("GET", b"/stores/a", ("GetStore", {"store_id": "a"})),
        ("POST", b"/stores/a/check", ("Check", {"store_id": "a"})),
        ("POST", b"/stores/check/check", ("Check", {"store_id": "check"})),
        ("GET", b"/stores/a%2Fb", ("GetStore", {"store_id": "a/b"})),
        ("GET", b"/stores/%C3%A9", ("GetStore", {"store_id": "é"})),
        ("GET", b"/stores/a+b", ("GetStore", {"store_id": "a+b"})),
        ("GET", b"/stores/..", ("GetStore", {"store_id": ".."})),
        ("GET", b"/%73tores", ("ListStores", {})),
        ("GET", b"/stores/a/assertions/b", ("ReadAssertions", {"store_id": "a", "authorization_model_id": "b"})),
        ("POST", b"/access/v1/evaluation", ("Evaluation", {})),
        ("POST", b"/stores/a/access/v1/evaluation", ("Evaluation", {"store_id": "a"})),
        ("PUT", b"/stores/a/check", frozenset({"POST"})),
        ("get", b"/stores", frozenset({"GET", "POST"})),
        ("GET", b"/stores/", frozenset()),
        ("GET", b"/stores//", frozenset()),
        ("GET", b"", frozenset()),
        ("GET", b"/", frozenset()),
        ("GET", b"stores", frozenset()),
        ("GET", b"/STORES", frozenset()),
        ("GET", b"/stores/%ff", frozenset()),
        ("GET", b"/stores/\xff", frozenset()),
        ("GET", b"/stores/%ED%A0%80", frozenset()),
    ],
)
def test_paths(verb: str, path: bytes, expected: object) -> None:
    """Literals win, an encoded slash is part of a value, an empty value is none, what is not UTF-8 has no route."""
    assert found(verb, path) == expected


def test_what_only_another_path_says() -> None:
    """A route knows the fields that other paths of its call give, which no body may give in their place."""
    unsaid = {route.template: route.unsaid for route in ROUTES if route.unsaid}
    assert unsaid["/access/v1/evaluation"] == {"store_id"}
    assert len(unsaid) == 5
    assert all(template.startswith("/access/v1/") for template in unsaid)


@given(
    st.binary(max_size=40) | st.lists(st.sampled_from([b"/", b"stores", b"%2F", b"%", b"check", b"a"])).map(b"".join)
)
def test_any_path(path: bytes) -> None:
    """Every path means one call, or none."""
    result = ROUTER.find("POST", path)
    assert isinstance(result, Found | frozenset)


def test_a_very_long_path() -> None:
    """What has no route is found out soon, however many segments it has."""
    assert found("GET", b"/" * 100_000) == frozenset()
    assert found("GET", b"/stores" * 20_000) == frozenset()


def test_one_path_for_two_calls() -> None:
    """It is found when the routes are made."""
    route = ROUTES[0]
    with pytest.raises(Bug, match="means two calls"):
        Router([route, Route(*route)])


@pytest.mark.parametrize(
    "template", ["stores", "/stores/{store_id=**}", "/a/*", "/a:verb", "/{a}{b}", "/{A}", "//", "/{}"]
)
def test_templates_that_are_not_served(template: str) -> None:
    """Nothing of the syntax is read differently from how it was meant."""
    with pytest.raises(Bug):
        parse_template(template)


def test_a_template() -> None:
    """Literals and fields."""
    assert [tuple(each) for each in parse_template("/a-b/{c_d}/.e~1")] == [
        ("a-b", False),
        ("c_d", True),
        (".e~1", False),
    ]
