"""How the program reaches a server, and what it says when it does not."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from authz.cli.connection import Connection, Server
from authz.cli.errors import UsageProblem
from tests.cli.support import free_address, run_cli

if TYPE_CHECKING:
    from pathlib import Path


def test_a_server_that_is_down() -> None:
    """The message names the address and how to start a server."""
    address = free_address()
    result = run_cli("store", "list", "--addr", address)
    assert result.code == 3
    assert f"no server answers at `{address}`" in result.err
    assert f"authz serve --grpc-addr {address}" in result.err
    assert len(result.err.splitlines()) == 1


def test_a_server_that_never_answers() -> None:
    """The timeout ends the wait, and the message names it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        result = run_cli("store", "list", "--addr", address, "--timeout", "0.3")
    assert result.code == 3
    assert "within 0.3 s" in result.err or "no server answers" in result.err


def test_a_port_that_speaks_something_else() -> None:
    """Another protocol on the port is a service error in one line."""
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            other.settimeout(10)
            try:
                while True:
                    connection, _ = other.accept()
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    connection.close()
            except OSError:
                return

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        result = run_cli("store", "list", "--addr", f"127.0.0.1:{other.getsockname()[1]}", "--timeout", "3")
        other.shutdown(socket.SHUT_RDWR)
    thread.join(10)
    assert result.code == 3
    assert len(result.err.splitlines()) == 1


def test_tokens_come_from_file_or_environment(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token is sent as a bearer; one that cannot be a token is refused before anything is sent."""
    file = tmp_path / "token"
    file.write_text("secret\n")
    assert run_cli("store", "list", "--addr", address, "--token-file", file).code == 0
    for content in ("", "with\nline breaks", "käse"):
        file.write_text(content)
        result = run_cli("store", "list", "--addr", address, "--token-file", file)
        assert (result.code, str(file) in result.err) == (2, True)
    monkeypatch.setenv("AUTHZ_TOKEN", "with\nline breaks")
    result = run_cli("store", "list", "--addr", address)
    assert (result.code, "AUTHZ_TOKEN" in result.err) == (2, True)


def test_a_token_is_not_sent_in_clear_text_beyond_loopback() -> None:
    """Beyond loopback a token needs TLS."""
    with pytest.raises(UsageProblem, match="clear text"):
        Connection(Server("192.0.2.1:8081", 1.0, token="secret"))
    Connection(Server("[::1]:8081", 1.0, token="secret")).close()


def test_files_of_the_connection_must_be_readable(address: str) -> None:
    """A missing token or authority file is named."""
    for flag in ("--token-file", "--tls-ca"):
        result = run_cli("store", "list", "--addr", address, flag, "/nowhere/file")
        assert (result.code, "/nowhere/file" in result.err) == (2, True)


def test_tls_to_a_server_without_tls(address: str, tmp_path: Path) -> None:
    """A handshake that fails is a service error in one line."""
    authority = tmp_path / "ca.pem"
    authority.write_text("nonsense")
    result = run_cli("store", "list", "--addr", address, "--tls-ca", authority, "--timeout", "2")
    assert result.code == 3
    assert len(result.err.splitlines()) == 1
