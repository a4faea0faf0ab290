"""Signatures and headers of tokens that must not be accepted, each a way in that was open somewhere once."""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

from authz.errors import (
    InvalidBearerToken,
)
from authz.settings.access import AccessSettings
from tests.access.authentication.support import (
    Door,
    b64,
    claims_at,
    compact,
    door_with,
    header_of,
    issuer_with,
    key_for,
    pem,
    private_key,
    public_jwk,
    refused,
    signed,
    token_at,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
HOUR = 3600


@pytest.fixture
async def door(tmp_path: Path) -> Door:
    """One issuer that signs with RS256, and its key `k1`."""
    return await door_with(tmp_path).opened()


async def test_the_good_token_is_accepted(door: Door) -> None:
    """
    The control: what every other test here spoils is good before.
    """
    token = token_at(door.clock)
    assert (await door.authenticator.verify(token, None)).id == "main/alice"
    found = door.authenticator.known(token, None)
    assert found is not None
    assert found.id == "main/alice"


async def test_another_key_with_the_known_name(door: Door) -> None:
    """
    The name of a key is no proof of it.
    """
    assert type(await signed(door, key=private_key("RSA", 1))) is InvalidBearerToken


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("form", ["pem", "stripped", "der", "jwk", "n", "empty"])
async def test_the_public_key_is_no_secret(door: Door, algorithm: str, form: str) -> None:
    """
    A token with an HMAC under any spelling of the public key is refused.
    """
    key = key_for("RS256")
    jwk = public_jwk(key)
    secret = {
        "pem": pem(key),
        "stripped": pem(key).strip(),
        "der": b"".join(pem(key).splitlines()[1:-1]),
        "jwk": json.dumps(jwk).encode(),
        "n": jwk["n"].encode(),
        "empty": b"",
    }[form]
    body = ".".join(b64(json.dumps(part).encode()) for part in (header_of(algorithm), claims_at(door.clock)))
    mac = hmac.new(secret, body.encode(), f"sha{algorithm[2:]}").digest()
    assert type(await refused(door, f"{body}.{b64(mac)}")) is InvalidBearerToken


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", " none", "none ", "n\u006fne\u0000"])
@pytest.mark.parametrize("signature", ["", "AA", "real"])
async def test_none_is_no_algorithm(door: Door, algorithm: str, signature: str) -> None:
    """
    An unsigned token is refused, however it is spelled and whatever stands in the place of the signature.
    """
    good = compact(header_of(algorithm), claims_at(door.clock), key_for("RS256"), "RS256")
    body, _, real = good.rpartition(".")
    assert type(await refused(door, f"{body}.{real if signature == 'real' else signature}")) is InvalidBearerToken


@pytest.mark.parametrize("algorithm", ["RS384", "PS256", "ES256", "EdDSA", "rs256", "RS256 ", "ES256K", "dir", 7, None])
async def test_only_algorithms_of_the_issuer(door: Door, algorithm: Any) -> None:
    """
    An algorithm that the issuer is not configured for is refused, also when its signature is good.
    """
    real = algorithm if algorithm in {"RS384", "PS256", "ES256", "EdDSA"} else "RS256"
    token = compact(header_of(algorithm), claims_at(door.clock), key_for(real), real)
    assert type(await refused(door, token)) is InvalidBearerToken


async def test_the_key_must_be_for_the_algorithm(tmp_path: Path) -> None:
    """
    A key that says what it is for is good for nothing else, nor is one of another kind.
    """
    jwks = [public_jwk(key_for("RS256"), "k1", alg="PS256"), public_jwk(key_for("ES256"), "k2", alg="ES256")]
    issuer = issuer_with(tmp_path, *jwks, algorithms=("RS256", "PS256", "ES256"))
    door = await Door(AccessSettings(issuers=(issuer,))).opened()
    assert type(await signed(door)) is InvalidBearerToken
    assert type(await signed(door, header_of(kid="k2"))) is InvalidBearerToken
    token = compact(header_of("PS256"), claims_at(door.clock), key_for("RS256"), "PS256")
    assert (await door.authenticator.verify(token, None)).id == "main/alice"


@pytest.mark.parametrize("length", [0, 1, 32, 63, 65, 96, 128])
async def test_signature_of_wrong_length(tmp_path: Path, length: int) -> None:
    """
    ECDSA signatures that are shorter or longer than two numbers of the curve are refused.
    """
    door = await door_with(tmp_path, algorithm="ES256").opened()
    body = token_at(door.clock, "ES256").rpartition(".")[0]
    for raw in (bytes(length), b"\xff" * length, b"\x00" * (length // 2) + b"\x01" * (length - length // 2)):
        assert type(await refused(door, f"{body}.{b64(raw)}")) is InvalidBearerToken


async def test_signature_of_zeros_and_in_der(tmp_path: Path) -> None:
    """
    r = s = 0 signs nothing, and the DER form of a good signature is another text than the one that was signed.
    """
    door = await door_with(tmp_path, algorithm="ES256").opened()
    token = token_at(door.clock, "ES256")
    body = token.rpartition(".")[0]
    assert type(await refused(door, f"{body}.{b64(bytes(64))}")) is InvalidBearerToken
    der = key_for("ES256").sign(body.encode(), ECDSA(hashes.SHA256()))
    assert type(await refused(door, f"{body}.{b64(der)}")) is InvalidBearerToken


@pytest.mark.parametrize(
    "key_id",
    [
        "k2",
        "K1",
        " k1",
        "k1\u0000",
        "../../../dev/null",
        "/etc/passwd",
        "x' UNION SELECT 'key",
        "k1' OR '1'='1",
        "| cat /etc/passwd",
        "http://169.254.169.254/keys",
        "k" * 257,
        "",
        7,
        1.5,
        True,
        ["k1"],
        {"kid": "k1"},
        "\ud800",
        "ḱ1",
    ],
    ids=repr,
)
async def test_key_id_is_only_a_name(door: Door, key_id: Any) -> None:
    """
    A key id finds a published key by its exact text or finds nothing.
    """
    assert type(await signed(door, {**header_of(), "kid": key_id})) is InvalidBearerToken


async def test_no_key_id_with_several_keys(tmp_path: Path) -> None:
    """
    Without key id it must be clear which key is meant; no key is tried out.
    """
    jwks = [public_jwk(key_for("RS256"), "k1"), public_jwk(private_key("RSA", 1), "k2")]
    door = await Door(AccessSettings(issuers=(issuer_with(tmp_path, *jwks),))).opened()
    assert type(await signed(door, header_of(kid=None))) is InvalidBearerToken


@pytest.mark.parametrize(
    "member",
    [
        {"crit": ["exp"]},
        {"crit": []},
        {"crit": ["b64"], "b64": True},
        {"b64": True},
        {"b64": False},
        {"b64": False, "crit": ["b64"]},
        {"jwk": {"kty": "oct", "k": "AA"}},
        {"jwk": None},
        {"x5c": ["MIIB"]},
        {"enc": "A128GCM"},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"typ": "id+jwt"},
        {"typ": "logout+jwt"},
        {"typ": "dpop+jwt"},
        {"typ": "jwt;charset=utf-8"},
        {"typ": 7},
        {"typ": None},
        {"typ": ["at+jwt"]},
    ],
    ids=repr,
)
async def test_headers_that_change_the_rules(door: Door, member: dict[str, Any]) -> None:
    """
    A token that brings its own key, its own rules, or is of another type, is refused.
    """
    assert type(await signed(door, header_of() | member)) is InvalidBearerToken


async def test_embedded_key(door: Door) -> None:
    """
    A token signed with the key that it carries is refused, with and without a key id.
    """
    mine = private_key("RSA", 1)
    for key_id in ("k1", "mine", None):
        header = header_of(kid=key_id) | {"jwk": public_jwk(mine, "mine")}
        assert type(await signed(door, header, key=mine)) is InvalidBearerToken


@pytest.mark.parametrize("member", ["jku", "x5u"])
async def test_addresses_in_the_header_are_never_used(door: Door, member: str) -> None:
    """
    An address of keys changes nothing: the issuer's own key is still demanded, and is enough.
    """
    header = header_of() | {member: "http://127.0.0.1:9/keys"}
    assert type(await signed(door, header, key=private_key("RSA", 1))) is InvalidBearerToken
    token = compact(header, claims_at(door.clock), key_for("RS256"), "RS256")
    assert (await door.authenticator.verify(token, None)).id == "main/alice"


async def test_missing_type_must_be_allowed(door: Door, tmp_path: Path) -> None:
    """
    A token without `typ` is refused, unless the issuer's settings list the empty text.
    """
    token = compact(header_of(typ=None), claims_at(door.clock), key_for("RS256"), "RS256")
    assert type(await refused(door, token)) is InvalidBearerToken
    lenient = await door_with(tmp_path, types=("", "JWT")).opened()
    assert (await lenient.authenticator.verify(token, None)).id == "main/alice"
