"""The scenarios of AuthZEN over HTTP: certification and interoperability."""

from __future__ import annotations

import json
from functools import cache
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import pytest

from tests.conformance.authzen_worlds import World, worlds
from tests.conformance.data import FOLDER, needs_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conformance.client import Json
    from tests.conformance.conftest import NewStore
    from tests.support.server import RunningServer

pytestmark = needs_data

SECONDS = 30.0
FILES = ("certification_cases", "interop_todo", "interop_gateway", "interop_search", "interop_idp")
PATHS = {
    "evaluation": "evaluation",
    "evaluations": "evaluations",
    "subject": "search/subject",
    "resource": "search/resource",
    "action": "search/action",
}
ANY, ANY_BOOLEAN = "__any__", "__bool__"


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


def post(server: RunningServer, path: str, body: bytes, headers: dict[str, str]) -> Answer:
    """One request."""
    connection = HTTPConnection(server.http, timeout=SECONDS)
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, response.read())
    finally:
        connection.close()


def cases() -> list[Any]:
    """Every case with the file that it is in."""
    if FOLDER is None:
        return []
    return [
        pytest.param(name, case, id=case["id"])
        for name in FILES
        for case in orjson.loads((FOLDER / "authzen" / f"{name}.json").read_bytes())
    ]


@cache
def known_worlds() -> dict[str, World]:
    """The worlds of all files."""
    assert FOLDER is not None
    return worlds(FOLDER / "authzen")


@pytest.fixture
def base_of(new_store: NewStore, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """The path below which the world of a file is asked; made once for all of its cases."""
    made: dict[str, str] = request.config.stash.setdefault(_BASES, {})

    def base(name: str) -> str:
        if name not in made:
            store, world = new_store(), known_worlds()[name]
            store.write_model(world.model)
            store.write(world.tuples)
            made[name] = f"/stores/{store.id}/access/v1"
        return made[name]

    return base


_BASES = pytest.StashKey[dict[str, str]]()


@pytest.mark.parametrize(("name", "case"), cases())
def test_case(name: str, case: Json, base_of: Callable[[str], str], server: RunningServer) -> None:
    """The status and the answer are those of the case, however often it is asked."""
    raw = case["raw"].encode() if "raw" in case else json.dumps(case["request"]).encode()
    headers = {"Content-Type": case.get("ctype", "application/json"), **case.get("headers", {})}
    for _ in range(case.get("repeat", 1)):
        answer = post(server, f"{base_of(name)}/{PATHS[case['endpoint']]}", raw, headers)
        assert answer.status == case["status"], answer.body
        assert answer.headers["content-type"] == "application/json"
        if case.get("echo"):
            assert answer.headers["x-request-id"] == case["headers"]["X-Request-ID"]
        if case["expect"] is not None:
            judge(case["expect"], orjson.loads(answer.body), is_exact=bool(case.get("exact")))


def judge(expected: Json, found: Json, *, is_exact: bool) -> None:
    """Hold an answer to what is expected of it."""
    if "results" in expected:
        for result in expected["results"]:
            assert result in found["results"]
        if is_exact:
            assert len(found["results"]) == len(expected["results"])
    elif is_exact:
        assert found == expected
    else:
        assert matches(expected, found), found


def matches(expected: Any, found: Any) -> bool:
    """Whether what is found has all that is expected."""
    if expected == ANY:
        return True
    if expected == ANY_BOOLEAN:
        return isinstance(found, bool)
    if isinstance(expected, dict):
        members = expected.items()
        return isinstance(found, dict) and all(
            value == ANY or (name in found and matches(value, found[name])) for name, value in members
        )
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(matches, expected, found))
    return bool(expected == found) and type(expected) is type(found)
