"""AuthZEN as it is served: a default store, and the metadata of the decision point."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authz._proto.openfga.v1.openfga_service_pb2_grpc import OpenFGAServiceStub
from tests.conformance.client import RemoteStore
from tests.rpc.authzen.support import access
from tests.support.server import running_server

pytestmark = pytest.mark.ops

URL = "https://authz.example.com"
MODEL = "model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define read: [user]\n"


def ask(address: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """One request."""
    connection = HTTPConnection(address, timeout=30)
    try:
        raw = None if body is None else json.dumps(body)
        connection.request(method, path, raw, {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_a_default_store_and_metadata(tmp_path: Path) -> None:
    """
    With a default store calls need not name one; the metadata says where they go, under the configured URL, signed.
    """
    body = access("user:ann", "read", "doc:1")
    with running_server(tmp_path) as server:
        with grpc.insecure_channel(server.address) as channel:
            store = RemoteStore(OpenFGAServiceStub(channel), "shop")
            store.write_model(MODEL)
            store.write([{"user": "user:ann", "relation": "read", "object": "doc:1"}])
        status, refusal = ask(server.http, "POST", "/access/v1/evaluation", body)
        assert status == 400
        assert "`authzen.store`" in refusal["message"]
        assert ask(server.http, "POST", "/access/v1/evaluation", {**body, "store_id": store.id})[0] == 400
        assert ask(server.http, "GET", "/.well-known/authzen-configuration")[0] == 404
    key = Ed25519PrivateKey.generate()
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    chosen = {"authzen_store": store.id, "web_public_url": URL, "authzen_signing_key_file": path}
    with running_server(tmp_path, chosen) as server:
        assert ask(server.http, "POST", "/access/v1/evaluation", body) == (200, {"decision": True})
        for place in ("", f"/{store.id}", f"/stores/{store.id}"):
            status, document = ask(server.http, "GET", f"/.well-known/authzen-configuration{place}")
            assert status == 200
            assert document["policy_decision_point"] == f"{URL}{place}"
            claims = jwt.decode(document["signed_metadata"], key.public_key(), algorithms=["EdDSA"])
            assert claims["iss"] == f"{URL}{place}"
            endpoint = document["access_evaluation_endpoint"].removeprefix(URL)
            assert ask(server.http, "POST", endpoint, body) == (200, {"decision": True})
