"""Sign what the service says of itself, as JSON Web Tokens. Used by the metadata of AuthZEN."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurvePrivateKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from authz.watched import WatchedFile

if TYPE_CHECKING:
    from authz.tuples import JsonValue

MIN_RSA_BITS = 2048
_CURVES: dict[str, str] = {SECP256R1.name: "ES256", SECP384R1.name: "ES384", SECP521R1.name: "ES512"}
_EXPECTED = (
    f"expected a private key in PEM without a password: RSA of at least {MIN_RSA_BITS} bits, P-256, P-384, P-521 or"
    " Ed25519"
)

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey


class SigningKey(NamedTuple):
    """A private key, how it signs (RFC 7518, RFC 8037), and the id by which verifiers tell it from others."""

    key: PrivateKey
    algorithm: str
    id: str

    def __repr__(self) -> str:
        return f"SigningKey({self.algorithm}, {self.id})"


class Signer:
    """Signs with the key in a file, which may be replaced while the service runs.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no usable key; the message shows nothing of it.

    """

    def __init__(self, path: Path) -> None:
        self._file = WatchedFile(path, parse_signing_key)

    @property
    def key_id(self) -> str:
        """The id of the key that signs now."""
        return self._file.value.id

    def sign(self, claims: Mapping[str, JsonValue]) -> str:
        """A JSON Web Token (RFC 7519) with these claims."""
        key = self._file.value
        return jwt.encode(dict(claims), key.key, algorithm=key.algorithm, headers={"kid": key.id})


def parse_signing_key(raw: bytes) -> SigningKey:
    """Read a private key.

    Raises:
        ValueError: it is none, or of a kind or size that is not used here.

    """
    try:
        key = load_pem_private_key(raw, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(_EXPECTED) from None
    if isinstance(key, RSAPrivateKey) and key.key_size >= MIN_RSA_BITS:
        return SigningKey(key, "RS256", _id_of(key))
    if isinstance(key, EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return SigningKey(key, _CURVES[key.curve.name], _id_of(key))
    if isinstance(key, Ed25519PrivateKey):
        return SigningKey(key, "EdDSA", _id_of(key))
    raise ValueError(_EXPECTED)


def _id_of(key: PrivateKey) -> str:
    digest = Hash(SHA256())
    digest.update(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize()[:16].hex()
