"""Signatures of what the service says of itself."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from authz.access.signing import Signer, SigningKey, parse_signing_key

KEYS = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def pem(key: object, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    """A private key as a file holds it."""
    raw: bytes = key.private_bytes(Encoding.PEM, form, NoEncryption())  # type: ignore[attr-defined]
    return raw


@pytest.mark.parametrize("algorithm", KEYS)
def test_whoever_has_the_public_key_can_verify(tmp_path: Path, algorithm: str) -> None:
    """
    Each kind of key signs by its own algorithm, and names itself in the header.
    """
    key = KEYS[algorithm]()
    path = tmp_path / "key.pem"
    path.write_bytes(pem(key))
    signer = Signer(path)
    token = signer.sign({"iss": "https://authz.example.com", "a": [1]})
    header = jwt.get_unverified_header(token)
    assert (header["alg"], header["kid"]) == (algorithm, signer.key_id)
    assert jwt.decode(token, key.public_key(), algorithms=[algorithm]) == {
        "iss": "https://authz.example.com",
        "a": [1],
    }


def test_a_key_of_openssl_of_old_is_read() -> None:
    """
    The traditional form of a file holds the same key.
    """
    key = KEYS["ES256"]()
    assert parse_signing_key(pem(key, PrivateFormat.TraditionalOpenSSL)).id == parse_signing_key(pem(key)).id


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"secret of forty letters and some more text",
        pem(rsa.generate_private_key(65537, 1024)),
        pem(ec.generate_private_key(ec.SECP256K1())),
        pem(dsa.generate_private_key(2048)),
        KEYS["ES256"]().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")),
    ],
)
def test_other_keys_are_refused_and_not_shown(raw: bytes) -> None:
    """
    What cannot sign here, or not safely, is an error that shows nothing of the file.
    """
    with pytest.raises(ValueError, match="expected a private key in PEM") as failure:
        parse_signing_key(raw)
    assert "secret" not in str(failure.value)


def test_a_key_is_never_printed() -> None:
    """
    The representation of a key tells its algorithm and id alone.
    """
    found = parse_signing_key(pem(KEYS["EdDSA"]()))
    assert repr(found) == f"SigningKey(EdDSA, {found.id})"
    assert isinstance(found, SigningKey)


def test_a_replaced_file_signs_from_then_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A new key in the file is used without a restart.
    """
    monkeypatch.setattr("authz.watched.LOOK_SECONDS", 0.0)
    path = tmp_path / "key.pem"
    path.write_bytes(pem(KEYS["EdDSA"]()))
    signer = Signer(path)
    before = signer.key_id
    fresh = KEYS["ES256"]()
    path.with_suffix(".new").write_bytes(pem(fresh))
    path.with_suffix(".new").replace(path)
    assert signer.key_id != before
    assert jwt.decode(signer.sign({"a": 1}), fresh.public_key(), algorithms=["ES256"]) == {"a": 1}
