"""Broken object level authorization, the first of the OWASP API risks: tried on the API, and on the API without guards.

The second shows that the attacks are real: where nothing guards the endpoints, each of them succeeds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
import pytest

from authz.client import Client
from examples.documents.accounts import token_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    As = Callable[[str], TestClient]

SECRET = {"title": "salaries", "text": "anne earns more"}


@pytest.fixture
def secret(as_user: As) -> int:
    """A document of anne's; mallory has one too, and so knows what ids look like."""
    number: int = as_user("anne").post("/documents", json=SECRET).json()["id"]
    as_user("mallory").post("/documents", json={"title": "mine", "text": ""})
    return number


@pytest.fixture
def without_guards(app: FastAPI, secret: int) -> FastAPI:
    """The same application with every `require` taken out."""
    for route in app.routes:
        for each in getattr(route, "dependencies", []):
            if type(each.dependency).__module__ == "authz.client.fastapi":
                app.dependency_overrides[each.dependency] = lambda: None
    return app


def iterate(mallory: TestClient) -> list[int]:
    """The documents that mallory finds by counting."""
    return [number for number in range(1, 20) if mallory.get(f"/documents/{number}").status_code == 200]


def vandalise(mallory: TestClient, number: int) -> list[int]:
    """What becomes of attempts to change a document by its id."""
    return [
        mallory.put(f"/documents/{number}", json={"title": "x", "text": "x"}).status_code,
        mallory.post(f"/documents/{number}/shares", json={"user": "mallory", "role": "editor"}).status_code,
        mallory.delete(f"/documents/{number}").status_code,
    ]


def test_attacks_succeed_without_guards(as_user: As, without_guards: FastAPI, secret: int) -> None:
    """Without `require` mallory reads, changes, shares and deletes what is anne's."""
    mallory = as_user("mallory")
    assert iterate(mallory) == [secret, secret + 1]
    assert mallory.get(f"/documents/{secret}").json()["text"] == SECRET["text"]
    assert vandalise(mallory, secret) == [200, 204, 204]


def test_counting_finds_only_what_is_ones_own(as_user: As, secret: int) -> None:
    """Whoever tries all ids reads his own documents, and learns not even which others exist."""
    mallory = as_user("mallory")
    assert iterate(mallory) == [secret + 1]
    there, missing = mallory.get(f"/documents/{secret}"), mallory.get("/documents/999999")
    assert (there.status_code, there.content) == (missing.status_code, missing.content) == (404, there.content)


def test_knowing_the_id_is_not_enough(as_user: As, secret: int) -> None:
    """Nothing can be done to a document whose id leaked."""
    assert vandalise(as_user("mallory"), secret) == [404, 404, 404]
    assert as_user("anne").get(f"/documents/{secret}").json()["text"] == SECRET["text"]


@pytest.mark.parametrize(
    "written",
    [
        "{}%23can_read",
        "{}%20",
        "%20{}",
        "{}%00",
        "*",
        "%2A",
        "0{}",
        "%2B{}",
        "{}.0",
        "{}%2F..%2F{}",
        "{}:{}",
        "{}%0A",
        "{}%09",
    ],
)
def test_other_ways_to_write_an_id(as_user: As, secret: int, written: str) -> None:
    """No spelling of an id, wildcard or userset reads another document."""
    found = as_user("mallory").get(f"/documents/{written.format(secret, secret)}")
    assert found.status_code == 404
    assert SECRET["text"] not in found.text


def test_forged_parameters(as_user: As, secret: int) -> None:
    """The object is that of the path, and the user that of the token, whatever else a request says."""
    mallory, own = as_user("mallory"), secret + 1
    forged: dict[str, Any] = {
        "params": {"number": secret, "id": secret, "user": "user:anne", "sub": "anne"},
        "headers": {"X-User": "anne", "X-Forwarded-User": "user:anne", "X-Authz-Subject": "user:anne"},
    }
    assert mallory.get(f"/documents/{own}", **forged).json()["id"] == own
    assert mallory.get(f"/documents/{secret}", **forged | {"params": {"number": own}}).status_code == 404


@pytest.mark.parametrize("more", [{"owner": "mallory"}, {"id": 1}, {"number": 1}, {"user": "user:mallory"}])
def test_mass_assignment(as_user: As, address: str, store: str, secret: int, more: dict[str, Any]) -> None:
    """No body says who owns a document, or which one it is about."""
    mallory, anne = as_user("mallory"), as_user("anne")
    assert mallory.post("/documents", json={**SECRET, **more}).status_code == 422
    assert anne.put(f"/documents/{secret}", json={**SECRET, **more}).status_code == 422
    with Client(address, store=store) as client:
        owners = {each.tuple.user for each in client.read(object=f"document:{secret}")}
    assert owners == {"user:anne"}


@pytest.mark.parametrize(
    "body",
    [
        {"user": "mallory", "role": "owner"},
        {"user": "mallory", "role": "can_read"},
        {"user": "*", "role": "viewer"},
        {"user": "mallory#member", "role": "viewer"},
        {"user": "team:sales", "role": "viewer"},
    ],
)
def test_sharing_more_than_there_is_to_share(as_user: As, secret: int, body: dict[str, str]) -> None:
    """Even an owner makes nobody an owner, and shares with single users alone."""
    assert as_user("anne").post(f"/documents/{secret}/shares", json=body).status_code == 422


def test_forged_tokens(app: FastAPI, as_user: As, secret: int) -> None:
    """A token that is unsigned, signed by somebody else, for others, or absent opens nothing."""
    good = token_for("anne")
    claims = jwt.decode(good, options={"verify_signature": False})
    key = "of somebody else, and long enough too"
    tokens = [jwt.encode(claims, "", "none"), jwt.encode(claims, key, "HS256"), "", "anne"]
    caller = as_user("mallory")
    caller.headers["authorization"] = f"Bearer {good}"
    assert caller.get(f"/documents/{secret}").status_code == 200
    for token in tokens:
        caller.headers["authorization"] = f"Bearer {token}"
        assert caller.get(f"/documents/{secret}").status_code == 401
    del caller.headers["authorization"]
    assert caller.get(f"/documents/{secret}").status_code == 401


@pytest.mark.parametrize("name", ["", "*", "anne#member", "anne bob", "team:eng", "Anne", "a" * 65])
def test_odd_names(as_user: As, name: str) -> None:
    """A verified name that is none of the API's users' is nobody's, and leaves nothing half made."""
    assert as_user(name).post("/documents", json=SECRET).status_code == 401


def test_no_authorization_service(
    app: FastAPI, as_user: As, secret: int, monkeypatch: pytest.MonkeyPatch, unused_address: str
) -> None:
    """While authz cannot be asked nobody reads anything, owners included."""
    from authz.client.starlette import protect

    with Client(unused_address, store="01ARZ3NDEKTSV4RRFFQ69G5FAV", timeout=1.0) as lost:
        protect(app, lost, hide=True)
        assert as_user("anne").get(f"/documents/{secret}").status_code == 503
        assert as_user("anne").get("/documents").status_code == 503
