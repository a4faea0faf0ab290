"""What the API lets its users do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from authz.cli.main import run
from authz.client.fastapi import unguarded

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    As = Callable[[str], TestClient]

MODEL_TESTS = Path(__file__).resolve().parents[1] / "model.fga.yaml"


def test_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model does what its own tests say."""
    monkeypatch.setattr("sys.argv", ["authz", "model", "test", str(MODEL_TESTS)])
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code in (0, None)


def test_create_read_update_delete(as_user: As) -> None:
    """Owners do all of it; what is deleted is gone for them too."""
    anne = as_user("anne")
    made = anne.post("/documents", json={"title": "plan", "text": "first"})
    assert made.status_code == 201
    path = f"/documents/{made.json()['id']}"
    assert anne.get(path).json()["text"] == "first"
    assert anne.put(path, json={"title": "plan", "text": "second"}).status_code == 200
    assert anne.get(path).json()["text"] == "second"
    assert anne.delete(path).status_code == 204
    assert anne.get(path).status_code == 404
    assert anne.get("/documents").json() == []


def test_share(as_user: As) -> None:
    """A viewer reads, an editor updates as well, and neither shares nor deletes."""
    anne, bob = as_user("anne"), as_user("bob")
    path = f"/documents/{anne.post('/documents', json={'title': 'plan', 'text': 'first'}).json()['id']}"
    assert bob.get(path).status_code == 404
    assert anne.post(f"{path}/shares", json={"user": "bob", "role": "viewer"}).status_code == 204
    assert bob.get(path).status_code == 200
    assert bob.put(path, json={"title": "plan", "text": "mine"}).status_code == 404
    assert anne.post(f"{path}/shares", json={"user": "bob", "role": "editor"}).status_code == 204
    assert bob.put(path, json={"title": "plan", "text": "ours"}).status_code == 200
    assert bob.post(f"{path}/shares", json={"user": "bob", "role": "editor"}).status_code == 404
    assert bob.delete(path).status_code == 404


def test_lists_show_what_may_be_read(as_user: As) -> None:
    """Everybody lists their own documents and those shared with them, and no other."""
    anne, bob = as_user("anne"), as_user("bob")
    numbers = [anne.post("/documents", json={"title": str(n), "text": ""}).json()["id"] for n in range(3)]
    own = bob.post("/documents", json={"title": "bob's", "text": ""}).json()["id"]
    anne.post(f"/documents/{numbers[1]}/shares", json={"user": "bob", "role": "viewer"})
    assert [each["id"] for each in bob.get("/documents").json()] == [numbers[1], own]
    assert [each["id"] for each in anne.get("/documents").json()] == numbers


def test_every_endpoint_with_an_object_is_guarded(app: FastAPI) -> None:
    """Only the two without an object in their path have no `require`."""
    assert unguarded(app) == ["GET /documents", "POST /documents"]
