"""The metadata of the decision point: where it stands, what it says, how it is signed."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authz.access.signing import Signer
from authz.rpc.authzen.configuration import CAPABILITIES, SIGNED_FOR, WELL_KNOWN, Configuration
from authz.rpc.methods import AUTHZEN, METHODS
from tests.commands.support import SettableClock

STORE = "01HZZZZZZZZZZZZZZZZZZZZZZZ"
URL = "https://authz.example.com"


def configuration(url: str = URL, **details: Any) -> Configuration:
    """The metadata of a service with a default store."""
    return Configuration(url, SettableClock(), **{"has_store": True, **details})


def test_the_whole_service() -> None:
    """
    Every URL begins with the configured one, and the endpoints are those that are served.
    """
    assert configuration().at("") == {
        "policy_decision_point": URL,
        "access_evaluation_endpoint": f"{URL}/access/v1/evaluation",
        "access_evaluations_endpoint": f"{URL}/access/v1/evaluations",
        "search_subject_endpoint": f"{URL}/access/v1/search/subject",
        "search_resource_endpoint": f"{URL}/access/v1/search/resource",
        "search_action_endpoint": f"{URL}/access/v1/search/action",
        "capabilities": list(CAPABILITIES),
    }


@pytest.mark.parametrize("url", [URL, f"{URL}/pdp", "http://127.0.0.1:8080"])
@pytest.mark.parametrize("path", ["", f"/{STORE}", f"/stores/{STORE}"])
def test_the_identifier_is_where_the_document_stands(url: str, path: str) -> None:
    """
    Putting the well-known path behind the host of the identifier leads back to the document, as its readers check.
    """
    base = urlsplit(url).path
    document = configuration(url).at(f"{base}{path}")
    assert document is not None
    identifier = str(document["policy_decision_point"])
    parts = urlsplit(identifier)
    assert f"{WELL_KNOWN}{parts.path}" == f"{WELL_KNOWN}{base}{path}"
    assert parts.netloc == urlsplit(url).netloc
    scope = f"/stores/{STORE}" if path else ""
    assert document["access_evaluation_endpoint"] == f"{url}{scope}/access/v1/evaluation"


def test_the_endpoints_are_routes_of_the_interface() -> None:
    """
    What is told is what the interface declares.
    """
    from google.api import annotations_pb2
    from google.protobuf import descriptor_pool

    service = descriptor_pool.Default().FindServiceByName(AUTHZEN)
    routes = {
        rule.post
        for method in service.methods
        for declared in (method.GetOptions().Extensions[annotations_pb2.http],)
        for rule in (declared, *declared.additional_bindings)
    }
    told = [configuration().document(), configuration().document(STORE)]
    found = {
        str(value).removeprefix(URL).replace(STORE, "{store_id}")
        for document in told
        for name, value in (document or {}).items()
        if name.endswith("_endpoint")
    }
    assert found == routes
    assert len([each for each in METHODS if each.service == AUTHZEN]) * 2 == len(routes)


def test_what_there_is_not_has_no_document() -> None:
    """
    Without a default store the service as a whole is no decision point; paths that name no store have nothing.
    """
    assert configuration(has_store=False).at("") is None
    assert configuration(has_store=False).at(f"/stores/{STORE}") is not None
    for path in ("/", "/shop", f"/stores/{STORE}/", f"/stores/{STORE.lower()}", f"/x/{STORE}", f"/stores//{STORE}"):
        assert configuration().at(path) is None


@pytest.fixture
def key(tmp_path: Path) -> Ed25519PrivateKey:
    """A key in a file `key.pem`."""
    made = Ed25519PrivateKey.generate()
    raw = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(raw)
    return made


def test_the_metadata_is_signed(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    """
    The signed metadata says the same as the plain one, who says it and when, and does not hold itself.
    """
    document = configuration(signer=Signer(tmp_path / "key.pem")).at(f"/stores/{STORE}")
    assert document is not None
    claims = jwt.decode(
        str(document.pop("signed_metadata")), key.public_key(), algorithms=["EdDSA"], options={"verify_iat": False}
    )
    assert claims == {
        **document,
        "iss": document["policy_decision_point"],
        "iat": int(SettableClock().now().timestamp()),
    }


def test_a_signature_serves_for_a_while(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    """
    Documents are signed anew now and then, not for every reader; each decision point has its own.
    """
    clock = SettableClock()
    told = Configuration(URL, clock, Signer(tmp_path / "key.pem"), has_store=True)
    first, other = told.document(), told.document(STORE)
    assert first is not None
    assert other is not None
    clock.move(SIGNED_FOR - 1)
    assert told.document() == first
    clock.move(2)
    later = told.document()
    assert later is not None
    assert len({str(each["signed_metadata"]) for each in (first, other, later)}) == 3
