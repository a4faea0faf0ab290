"""The public keys of an issuer, by key id and algorithm. Read from JWKS documents by `sources`; used by `tokens`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jwt
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from authz.access.authentication.parsing import MAX_KEY_ID

MAX_KEYS = 100
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
MAX_EXPONENT_BITS = 32
"""A large exponent makes every verification slow and nothing safer."""

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
# (kty, crv) -> algorithms that such a key can verify; symmetric keys are not among them
_ALGORITHMS = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}

_log = structlog.get_logger(__name__)


class KeySet(NamedTuple):
    """Keys that verify signatures."""

    by_id: Mapping[tuple[str, str], PublicKey]
    """By key id and algorithm."""
    ids: frozenset[str]
    """Every key id of the document, of unusable keys too: asking again would not bring more."""
    lone: Mapping[str, PublicKey]
    """By algorithm, where only one key of the document can be meant by a token without key id."""

    def find(self, key_id: str | None, algorithm: str) -> PublicKey | None:
        """The key that must have made a signature, if it is here."""
        return self.lone.get(algorithm) if key_id is None else self.by_id.get((key_id, algorithm))


def parse_keys(issuer: str, raw: bytes) -> KeySet:
    """Read a JWKS document (RFC 7517). Keys that cannot be used are passed over and logged by their place.

    Raises:
        ValueError: it is no JWKS document, or none of its keys is usable.

    """
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        raise ValueError("the keys are not JSON") from None
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise ValueError(f"the keys are not a JWKS document of up to {MAX_KEYS} keys")
    by_id: dict[tuple[str, str], PublicKey] = {}
    candidates: dict[str, list[PublicKey]] = {}
    for place, each in enumerate(keys):
        try:
            key, algorithms = _read(each)
        except ValueError as error:
            _log.info("issuer_key_passed_over", issuer=issuer, place=place, why=str(error))
            continue
        key_id = _key_id(each)
        for algorithm in algorithms:
            candidates.setdefault(algorithm, []).append(key)
            if key_id is not None:
                by_id.setdefault((key_id, algorithm), key)
    if not candidates:
        raise ValueError("there is no usable key")
    ids = frozenset(key_id for key_id in map(_key_id, keys) if key_id is not None)
    lone = {algorithm: found[0] for algorithm, found in candidates.items() if len(found) == 1}
    return KeySet(MappingProxyType(by_id), ids, MappingProxyType(lone))


def _key_id(jwk: Any) -> str | None:
    key_id = jwk.get("kid") if isinstance(jwk, dict) else None
    return key_id if isinstance(key_id, str) and 0 < len(key_id) <= MAX_KEY_ID else None


def _read(jwk: Any) -> tuple[PublicKey, tuple[str, ...]]:
    if not isinstance(jwk, dict):
        raise ValueError("not an object")
    kind, curve = jwk.get("kty"), jwk.get("crv")
    algorithms = _ALGORITHMS.get((kind, curve)) if isinstance(kind, str) and isinstance(curve, str | None) else None
    if algorithms is None:
        raise ValueError("not a public key of a kind that is used here")
    if "d" in jwk or "k" in jwk:
        raise ValueError("a secret key, which must not be published")
    if jwk.get("use", "sig") != "sig":
        raise ValueError("not meant for signatures")
    if "key_ops" in jwk and (not isinstance(jwk["key_ops"], list) or "verify" not in jwk["key_ops"]):
        raise ValueError("not meant for verifying")
    if "alg" in jwk:
        algorithms = tuple(each for each in algorithms if each == jwk["alg"])
    if not algorithms:
        raise ValueError("meant for an algorithm that is not used here")
    return _public_key(jwk, algorithms[0]), algorithms


def _public_key(jwk: dict[str, Any], algorithm: str) -> PublicKey:
    try:
        key = jwt.PyJWK.from_dict(jwk, algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, OverflowError, UnsupportedAlgorithm):
        raise ValueError("not a readable key") from None
    if not isinstance(key, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey):
        raise ValueError("not a public key")
    if isinstance(key, RSAPublicKey):
        if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            raise ValueError(f"an RSA key of {key.key_size} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted")
        if key.public_numbers().e.bit_length() > MAX_EXPONENT_BITS:
            raise ValueError("an RSA key with an oversized exponent")
    return key
