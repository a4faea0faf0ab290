"""JWKS documents: which keys are used, and which are passed over."""

from __future__ import annotations

import json
from typing import Any

import pytest

from authz.access.authentication.keyset import MAX_KEYS, KeySet, parse_keys
from tests.access.authentication.support import key_for, private_key, public_jwk

RSA = public_jwk(key_for("RS256"))


def parsed(*keys: Any) -> KeySet:
    """What a document with these keys gives."""
    return parse_keys("main", json.dumps({"keys": keys}).encode())


def test_algorithms_follow_from_the_kind() -> None:
    """
    A key verifies what its kind and curve can, or only the algorithm that it names.
    """
    found = parsed(RSA, public_jwk(key_for("ES256"), "k2"), public_jwk(key_for("EdDSA"), "k3", alg="EdDSA"))
    assert {algorithm for key_id, algorithm in found.by_id if key_id == "k1"} == {
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    }  # fmt: skip
    assert {algorithm for key_id, algorithm in found.by_id if key_id != "k1"} == {"ES256", "EdDSA"}
    assert set(parsed(RSA | {"alg": "PS512"}).by_id) == {("k1", "PS512")}


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "k1"},
        {"kty": "oct", "k": "c2VjcmV0", "alg": "RS256", "kid": "k1"},
        RSA | {"d": "AQAB"},
        RSA | {"k": "AQAB"},
        RSA | {"use": "enc"},
        RSA | {"use": None},
        RSA | {"key_ops": ["sign"]},
        RSA | {"key_ops": "verify"},
        RSA | {"alg": "HS256"},
        RSA | {"alg": "none"},
        RSA | {"alg": "ES256"},
        RSA | {"alg": 7},
        RSA | {"kty": "rsa"},
        RSA | {"kty": ["RSA"]},
        RSA | {"crv": "P-256"},
        RSA | {"n": "AQAB"},
        RSA | {"n": 7},
        RSA | {"n": "!"},
        RSA | {"e": "AQ"},
        RSA | {"e": "Ag"},
        RSA | {"e": RSA["n"]},
        RSA | {"e": "AQAAAAAB"},
        {"kty": "RSA", "kid": "k1"},
        public_jwk(private_key("RSA-1024")),
        public_jwk(key_for("ES256")) | {"crv": "P-384"},
        public_jwk(key_for("ES256")) | {"crv": "secp256k1"},
        public_jwk(key_for("ES256")) | {"y": public_jwk(key_for("ES256"))["x"]},
        public_jwk(key_for("EdDSA")) | {"crv": "X25519"},
        public_jwk(key_for("EdDSA")) | {"x": "AA"},
        "text", 7, None, [],
    ],
    ids=range(33),
)  # fmt: skip
def test_unusable_keys_are_passed_over(key: Any) -> None:
    """
    Symmetric, secret, weak, broken keys and keys for other uses verify nothing, and spoil no other key.
    """
    with pytest.raises(ValueError, match="no usable key"):
        parsed(key)
    other = public_jwk(key_for("ES256"), "other")
    assert {key_id for key_id, _ in parsed(key, other).by_id} == {"other"}


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": null}', b"\xff", b"[" * 100_000, b"7"])
def test_other_documents(raw: bytes) -> None:
    """
    What is no JWKS document is an error, and nothing worse.
    """
    with pytest.raises(ValueError, match="the keys are not"):
        parse_keys("main", raw)


def test_too_many_keys() -> None:
    """
    A document with more keys than anybody has is refused.
    """
    with pytest.raises(ValueError, match="up to"):
        parsed(*[RSA] * (MAX_KEYS + 1))


def test_keys_without_id() -> None:
    """
    A token without key id means the only key for its algorithm; with two there is none.
    """
    nameless = public_jwk(key_for("ES256"), None)
    found = parsed(RSA, nameless)
    assert found.find(None, "ES256") is not None
    assert found.find(None, "RS256") is not None
    assert parsed(nameless, public_jwk(key_for("ES256"), "k9")).find(None, "ES256") is None
    assert found.ids == {"k1"}


def test_same_id_twice() -> None:
    """
    Of two keys of one name for one algorithm the first counts, so that a later one replaces nothing.
    """
    first, second = public_jwk(private_key("RSA")), public_jwk(private_key("RSA", 1))
    chosen = parsed(first, second).find("k1", "RS256")
    assert chosen is not None
    assert public_jwk(private_key("RSA"))["n"] == first["n"]
    assert chosen.public_numbers() == private_key("RSA").public_key().public_numbers()  # type: ignore[union-attr]


def test_unusable_keys_are_known_by_name() -> None:
    """
    A token that names a published key that cannot be used is no reason to fetch the keys again.
    """
    assert parsed(RSA, {"kty": "oct", "k": "AA", "kid": "k2"}).ids == {"k1", "k2"}
