"""A real server with the model of the documents, and the application in front of it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fastapi.testclient import TestClient

from authz.client import Client
from examples.documents.accounts import KEY, token_for
from examples.documents.app import create_app
from tests.support.server import running_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastapi import FastAPI

FOLDER = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `authz serve` answers."""
    with running_server(tmp_path_factory.mktemp("authz")) as running:
        yield running.address


@pytest.fixture
def store(address: str) -> str:
    """A store of its own, with the model."""
    with Client(address) as client:
        made = client.create_store("documents")
        client.on(made.id).write_model((FOLDER / "model.fga").read_text(encoding="utf-8"))
        return made.id


@pytest.fixture
def app(address: str, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """The application over an empty database."""
    monkeypatch.setenv("AUTHZ_ADDR", address)
    monkeypatch.setenv("AUTHZ_STORE", store)
    monkeypatch.delenv("AUTHZ_TOKEN", raising=False)
    monkeypatch.setenv("DOCUMENTS_DB", str(tmp_path / "documents.db"))
    monkeypatch.setenv(KEY, "only for these tests, and long enough")
    return create_app()


@pytest.fixture
def as_user(app: FastAPI) -> Iterator[Callable[[str], TestClient]]:
    """Callers by name, each with a token of its own."""
    with TestClient(app) as running:

        def caller(name: str) -> TestClient:
            headers = {"authorization": f"Bearer {token_for(name)}"}
            other = TestClient(app, headers=headers)
            other.portal = running.portal
            return other

        yield caller


@pytest.fixture
def unused_address() -> str:
    """Where nothing answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"
