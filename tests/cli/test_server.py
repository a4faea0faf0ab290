"""The commands that run the service: serve, migrate."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from authz.cli.serving import is_flag, leaves
from tests.cli.support import RunningServer, free_address, run_cli

if TYPE_CHECKING:
    from pathlib import Path


def test_every_setting_is_a_flag_but_secrets() -> None:
    """`authz serve --help` names all settings; what is secret, and tables, never stand on a command line."""
    shown = run_cli("serve", "--help")
    assert shown.code == 0
    words = " ".join(shown.out.split())
    for name, field in leaves():
        flag = f"--{name.replace('_', '-').replace('.', '-')}"
        assert (f"{flag} " in shown.out or f"{flag} /" in shown.out) == is_flag(field), name
    for secret in ("AUTHZ_TOKEN_KEY", "AUTHZ_AUDIT_KEY", "AUTHZ_LIMITS_SHARED_URL", "AUTHZ_TELEMETRY_OTLP_HEADERS"):
        assert secret in words
    assert "[access.issuers]" in words


@pytest.mark.parametrize(
    ("uri", "is_told"),
    [
        ("postgresql://me:hunter2@127.0.0.1:1/x", True),
        ("postgresql://127.0.0.1:1/x?user=me&password=hunter2", True),
        ("postgresql://me@127.0.0.1:1/x", False),
        ("sqlite:////nowhere/at/all.db", False),
    ],
)
def test_a_password_in_a_flag_is_warned_of(uri: str, is_told: bool) -> None:
    """Who puts a password where everybody sees it is told so; the password itself is never shown."""
    done = run_cli("serve", "--grpc-addr", "127.0.0.1:0", "--datastore-uri", uri)
    assert done.code in (2, 3)
    assert ("AUTHZ_DATASTORE_URI" in done.err) == is_told
    assert "hunter2" not in done.err + done.out


def test_flag_wins_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from the strongest source that names them; each bad value is traced to its setting."""
    config = tmp_path / "authz.toml"
    config.write_text('grpc_addr = "from-file"\n')
    assert "setting `grpc_addr`" in run_cli("serve", "--config", config).err
    monkeypatch.setenv("AUTHZ_GRPC_ADDR", "0.0.0.0:1")
    assert "refusing to listen on `0.0.0.0:1`" in run_cli("serve", "--config", config).err
    beyond = run_cli("serve", "--config", config, "--grpc-addr", "0.0.0.0:2")
    assert (beyond.code, "refusing to listen on `0.0.0.0:2`" in beyond.err) == (2, True)


@pytest.mark.ops
def test_serve_answers_and_drains(tmp_path: Path) -> None:
    """The ready line names the address, and SIGTERM ends the service with exit code 0."""
    address = free_address()
    server = RunningServer(f"sqlite:///{tmp_path}/authz.db", address)
    try:
        assert server.address == address
        assert run_cli("store", "list", "--addr", address).code == 0
    finally:
        assert server.stop() == 0


def test_health(server: RunningServer) -> None:
    """A server that answers is healthy; one that is not there cannot be reached."""
    result = run_cli("health", "--addr", server.address, "--json")
    assert (result.code, result.json) == (0, {"status": "serving"})
    assert run_cli("health", "--addr", server.address).out == "serving\n"
    assert run_cli("health", "--addr", free_address()).code == 3


def test_migrate_creates_the_tables(tmp_path: Path) -> None:
    """A new datastore is made ready, and doing it again changes nothing."""
    uri = f"sqlite:///{tmp_path}/authz.db"
    for _ in range(2):
        result = run_cli("migrate", "--datastore-uri", uri)
        assert (result.code, result.out) == (0, f"migrated {uri}\n")
    assert (tmp_path / "authz.db").exists()
    told = json.loads(run_cli("migrate", "--datastore-uri", uri, "--json").out)
    assert told["datastore"] == uri
    assert told["revision"]


@pytest.mark.parametrize("uri", ["nonsense", "sqlite:////nowhere/at/all/authz.db", "mysql://host/name"])
def test_migrate_refuses_bad_datastores(uri: str) -> None:
    """A datastore that cannot be used is an error in one line."""
    result = run_cli("migrate", "--datastore-uri", uri)
    assert result.code in (2, 3)
    assert result.err.startswith("error: ")
    assert len(result.err.splitlines()) == 1
