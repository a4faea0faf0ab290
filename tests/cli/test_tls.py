"""Commands over TLS: the authority is checked, and the token arrives."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from tests.cli.support import run_cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="needs the openssl program to make certificates")


class Recorder:
    """Answers ListStores and keeps what came with the call."""

    def __init__(self) -> None:
        self.metadata: list[dict[str, Any]] = []

    def list_stores(self, request: pb.ListStoresRequest, context: Any) -> pb.ListStoresResponse:
        """No stores."""
        self.metadata.append(dict(context.invocation_metadata()))
        return pb.ListStoresResponse()


def certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate for localhost, with its key beside it."""
    path = folder / f"{name}.pem"
    flags = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = [OPENSSL or "", "req", *flags, *names, "-keyout", f"{path}.key", "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[tuple[Recorder, str]]:
    """A TLS server and its address."""
    own = certificate(tmp_path, "own")
    recorder = Recorder()
    server = grpc.server(ThreadPoolExecutor(1))
    handler = grpc.unary_unary_rpc_method_handler(
        recorder.list_stores, pb.ListStoresRequest.FromString, pb.ListStoresResponse.SerializeToString
    )
    service = pb.DESCRIPTOR.services_by_name["OpenFGAService"].full_name
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"ListStores": handler}),))
    pair = ((tmp_path / "own.pem.key").read_bytes(), own.read_bytes())
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    yield recorder, f"127.0.0.1:{port}"
    server.stop(0).wait()


def test_the_token_arrives_over_tls(
    recorder: tuple[Recorder, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the right authority the call goes through, with the token of the file or the environment."""
    seen, address = recorder
    token = tmp_path / "token"
    token.write_text("from-file\n")
    flags = ("--addr", address, "--tls-ca", tmp_path / "own.pem")
    assert run_cli("store", "list", *flags, "--token-file", token).code == 0
    monkeypatch.setenv("AUTHZ_TOKEN", "from-environment")
    assert run_cli("store", "list", *flags).code == 0
    assert run_cli("store", "list", *flags, "--token-file", token).code == 0
    sent = [metadata["authorization"] for metadata in seen.metadata]
    assert sent == ["Bearer from-file", "Bearer from-environment", "Bearer from-file"]


def test_another_authority_is_refused(recorder: tuple[Recorder, str], tmp_path: Path) -> None:
    """A server that the authority does not vouch for gets nothing."""
    seen, address = recorder
    other = certificate(tmp_path, "other")
    result = run_cli("store", "list", "--addr", address, "--tls-ca", other, "--timeout", "5")
    assert (result.code, len(result.err.splitlines()), seen.metadata) == (3, 1, [])
