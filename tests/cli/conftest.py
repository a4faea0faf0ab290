"""Fixtures of the tests of the operator's program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.support import EXAMPLE, RunningServer, run_cli
from tests.cli.transfer_support import MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VARIABLES = (
    "AUTHZ_ADDR",
    "AUTHZ_STORE",
    "AUTHZ_TOKEN",
    "AUTHZ_CONFIG",
    "AUTHZ_DATASTORE_URI",
    # For the tests themselves: no setting, of which the program would warn.
    "AUTHZ_PROPERTY_EXAMPLES",
)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that all tests share; each works in stores of its own."""
    folder = tmp_path_factory.mktemp("server")
    running = RunningServer(f"sqlite:///{folder}/authz.db")
    yield running
    assert running.stop() == 0


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AUTHZ_RAISE_BUGS", "1")


@pytest.fixture
def address(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The shared server, known to commands by the environment."""
    monkeypatch.setenv("AUTHZ_ADDR", server.address)
    return server.address


@pytest.fixture
def store(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh store, known to commands by the environment."""
    store_id = run_cli("store", "create", "test").out.strip()
    monkeypatch.setenv("AUTHZ_STORE", store_id)
    return store_id


@pytest.fixture
def orders(store: str) -> str:
    """A fresh store with the sample of orders."""
    assert run_cli("model", "write", EXAMPLE / "model.fga").code == 0
    assert run_cli("tuple", "write", "--file", EXAMPLE / "tuples.yaml").code == 0
    return store


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with every kind of user."""
    file = tmp_path / "model.fga"
    file.write_text(MODEL)
    return file


@pytest.fixture
def docs(store: str, model: Path) -> str:
    """A fresh store with that model."""
    assert run_cli("model", "write", model).code == 0
    return store
