"""From credentials to principals: what a token says of its holder, what is remembered, and what wins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from authz.access.authentication.authenticator import FAILURE_SECONDS, FAILURES
from authz.call import Authentication, Scope
from authz.errors import InvalidBearerToken, InvalidClaims, MissingBearerToken, Unavailable
from authz.settings.access import AccessSettings
from tests.access.authentication.support import (
    Door,
    claims_at,
    compact,
    door_with,
    header_of,
    issuer_with,
    key_for,
    public_jwk,
    refused,
    token_at,
)
from tests.support.certificates import CertificateAuthority

if TYPE_CHECKING:
    from pathlib import Path

    from authz.call import Principal

pytestmark = pytest.mark.anyio


async def principal(folder: Path, settings: dict[str, Any], **claims: Any) -> Principal:
    """Whom a token with such claims proves, under such settings of the issuer."""
    door = await door_with(folder, **settings).opened()
    return await door.authenticator.verify(token_at(door.clock, **claims), None)


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"])
async def test_algorithms(tmp_path: Path, algorithm: str) -> None:
    """
    Every algorithm that may be configured verifies.
    """
    issuer = issuer_with(tmp_path, _jwk(algorithm), algorithms=(algorithm,))
    door = await Door(AccessSettings(issuers=(issuer,))).opened()
    assert (await door.authenticator.verify(token_at(door.clock, algorithm), None)).id == "main/alice"


def _jwk(algorithm: str) -> dict[str, Any]:
    jwk = public_jwk(key_for(algorithm))
    return jwk | {"crv": "P-384"} if algorithm == "ES384" else jwk


async def test_what_a_token_says(tmp_path: Path) -> None:
    """
    Scopes, groups, client and strength of authentication come from the claims.
    """
    found = await principal(
        tmp_path,
        {"groups_claim": "roles", "client_claim": "azp"},
        scope="authz:check authz:admin other",
        roles=["ops", "with blank", "", "a\nb", "ops"],
        azp="app-2",
        acr="2",
        amr=["pwd", "mfa"],
    )
    assert found.authentication is Authentication.TOKEN
    assert found.scopes == {Scope.CHECK, Scope.ADMIN}
    assert found.groups == {"main/ops"}
    assert (found.client, found.acr, found.amr) == ("app-2", "2", {"pwd", "mfa"})


async def test_scopes(tmp_path: Path) -> None:
    """
    Only words of the mapping count; a token without any is good for nothing, unless scopes are not required.
    """
    mapping = {"scope_claim": "roles", "scopes": {"Checker": "check", "Boss": "admin"}}
    assert (await principal(tmp_path, mapping, roles=["Checker", "x"])).scopes == {Scope.CHECK}
    assert (await principal(tmp_path, mapping, roles="Boss checker")).scopes == {Scope.ADMIN}
    assert (await principal(tmp_path, mapping)).scopes == frozenset()
    assert (await principal(tmp_path, mapping | {"require_scopes": False})).scopes is None
    assert (await principal(tmp_path, {"require_scopes": False}, scope="authz:check")).scopes == {Scope.CHECK}


@pytest.mark.parametrize(
    "claims", [{"scope": 7}, {"scope": ["a", 7]}, {"scope": {"a": 1}}, {"amr": [["mfa"]]}, {"acr": 2}, {"jti": 7},
               {"jti": "x" * 513}, {"client_id": ["app"]}, {"groups": {"a": 1}}, {"scope": ["x"] * 1001}]
)  # fmt: skip
async def test_claims_of_the_wrong_type(tmp_path: Path, claims: dict[str, Any]) -> None:
    """
    A claim that is used and is not what it must be spoils the token.
    """
    with pytest.raises(InvalidClaims):
        await principal(tmp_path, {"groups_claim": "groups"}, **claims)


async def test_required_claims(tmp_path: Path) -> None:
    """
    A claim that an operator demands must be there.
    """
    settings = {"required_claims": ("tenant",), "subject_claim": "oid"}
    assert (await principal(tmp_path, settings, tenant="t", oid="o-1")).id == "main/o-1"
    with pytest.raises(InvalidClaims, match="tenant"):
        await principal(tmp_path, settings, oid="o-1")
    door = await door_with(tmp_path, **settings).opened()
    null = compact(header_of(), {**claims_at(door.clock, oid="o-1"), "tenant": None}, key_for("RS256"), "RS256")
    with pytest.raises(InvalidClaims, match="tenant"):
        await door.authenticator.verify(null, None)


async def test_no_credential(tmp_path: Path) -> None:
    """
    A call without any credential is told that one is missing.
    """
    door = await door_with(tmp_path).opened()
    assert door.authenticator.enabled
    assert door.authenticator.known("", None) is None
    with pytest.raises(MissingBearerToken):
        await door.authenticator.verify("", None)


async def test_a_token_wins_and_nothing_falls_back(tmp_path: Path) -> None:
    """
    With token and certificate the token is the principal; if it is bad, the certificate does not help.
    """
    issuer = issuer_with(tmp_path, public_jwk(key_for("RS256")))
    door = await Door(AccessSettings(issuers=(issuer,)), takes_certificates=True).opened()
    pem = CertificateAuthority().client("api").certificate
    assert (await door.authenticator.verify("", pem)).id == "cert/api"
    assert (await door.authenticator.verify(token_at(door.clock), pem)).id == "main/alice"
    with pytest.raises(InvalidBearerToken):
        await door.authenticator.verify(token_at(door.clock) + "A", pem)


async def test_keys_are_looked_at_again(tmp_path: Path) -> None:
    """
    A signature counts as verified for a bounded time, and no longer than its issuer has the key that made it.
    """
    door = await door_with(tmp_path).opened()
    token = token_at(door.clock)
    await door.authenticator.verify(token, None)
    door.clock.move(59)
    await door.directives.refresh()
    assert door.authenticator.known(token, None) is not None
    door.clock.move(1)
    assert door.authenticator.known(token, None) is None
    await door.authenticator.verify(token, None)
    issuer_with(tmp_path, public_jwk(key_for("RS256", 1), "k2"))
    door.clock.move(1)
    assert type(await refused(door, token)) is InvalidBearerToken


async def test_memory_is_bounded(tmp_path: Path) -> None:
    """
    Neither good nor bad tokens pile up.
    """
    issuer = issuer_with(tmp_path, public_jwk(key_for("EdDSA")))
    door = await Door(AccessSettings(issuers=(issuer,), cached_tokens=10)).opened()
    for number in range(20):
        await door.authenticator.verify(token_at(door.clock, "EdDSA", jti=str(number)), None)
    body = token_at(door.clock, "EdDSA").rpartition(".")[0]
    for number in range(FAILURES + 10):
        with pytest.raises(InvalidBearerToken):
            await door.authenticator.verify(f"{body}.{'A' * 80}{number:04}AA", None)
    assert len(door.authenticator._known) == 10
    assert len(door.authenticator._failures) == FAILURES


async def test_refusals_are_remembered_for_a_moment(tmp_path: Path) -> None:
    """
    The same bad token is refused again without work, and looked at again soon.
    """
    door = await door_with(tmp_path, algorithm="RS256").opened()
    token = compact(header_of(), claims_at(door.clock), key_for("RS256", 1), "RS256")
    for _ in range(2):
        with pytest.raises(InvalidBearerToken, match="signature"):
            await door.authenticator.verify(token, None)
    issuer_with(tmp_path, public_jwk(key_for("RS256", 1)))
    door.clock.move(FAILURE_SECONDS)
    assert (await door.authenticator.verify(token, None)).id == "main/alice"


async def test_nothing_is_accepted_while_orders_are_unknown(tmp_path: Path) -> None:
    """
    Not knowing what is revoked is no reason to accept it.
    """
    door = door_with(tmp_path)
    token = token_at(door.clock)
    with pytest.raises(Unavailable):
        await door.authenticator.verify(token, None)
    await door.opened()
    await door.authenticator.verify(token, None)
    door.clock.move(31)
    assert door.authenticator.known(token, None) is None
    with pytest.raises(Unavailable):
        await door.authenticator.verify(token, None)


async def test_claimed_names(tmp_path: Path) -> None:
    """
    Failures can be counted by the name that a bad token claims, which is bounded and only ever one of our issuers'.
    """
    door = await door_with(tmp_path).opened()
    forged = compact(header_of(kid="k9"), claims_at(door.clock, exp=1), key_for("RS256", 1), "RS256")
    assert door.authenticator.claimed(forged) == "main/alice"
    assert door.authenticator.claimed("") == ""
    assert door.authenticator.claimed("authz_00") == ""
    assert door.authenticator.claimed("a.b.c") == ""
    for claims in ({"iss": "https://evil.example"}, {"sub": "x" * 500}, {"sub": "a b"}, {"sub": None}, {"sub": 7}):
        assert door.authenticator.claimed(token_at(door.clock, **claims)) == ""
