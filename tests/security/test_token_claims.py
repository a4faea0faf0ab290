"""Well signed tokens that must not be accepted: for what they say, for their time, binding, and orders against them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from authz.errors import (
    InvalidAudience,
    InvalidBearerToken,
    InvalidClaims,
    InvalidIssuer,
    InvalidSubject,
    Unauthenticated,
)
from authz.settings.access import AccessSettings
from tests.access.authentication.support import (
    BY,
    ISSUER,
    Door,
    b64,
    claims_at,
    compact,
    door_with,
    header_of,
    issuer_with,
    key_for,
    private_key,
    public_jwk,
    refused,
    signed,
    token_at,
)
from tests.support.certificates import CertificateAuthority

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
HOUR = 3600


@pytest.fixture
async def door(tmp_path: Path) -> Door:
    """One issuer that signs with RS256, and its key `k1`."""
    return await door_with(tmp_path).opened()


@pytest.mark.parametrize(
    "issuer",
    [
        None,
        "https://evil.example",
        ISSUER + "/",
        ISSUER.upper(),
        ISSUER + " ",
        "",
        7,
        [ISSUER],
        {"iss": ISSUER},
        "main",
    ],
    ids=repr,
)
async def test_issuers_that_are_not_configured(door: Door, issuer: Any) -> None:
    """
    `iss` must be that of a configured issuer, to the letter.
    """
    assert type(await signed(door, payload=claims_at(door.clock, iss=issuer))) is InvalidIssuer


async def test_key_of_another_configured_issuer(tmp_path: Path) -> None:
    """
    An issuer cannot speak for another, even with a key of the same name.
    """
    main = issuer_with(tmp_path, public_jwk(key_for("RS256")))
    other = issuer_with(
        tmp_path, public_jwk(private_key("RSA", 1)), name="other", issuer="https://other.example", scopes={}
    )
    door = await Door(AccessSettings(issuers=(main, other))).opened()
    assert type(await signed(door, key=private_key("RSA", 1))) is InvalidBearerToken
    token = compact(header_of(), claims_at(door.clock, iss=other.issuer), private_key("RSA", 1), "RS256")
    assert (await door.authenticator.verify(token, None)).id == "other/alice"


@pytest.mark.parametrize(
    "audience",
    [None, "", [], {}, 7, True, "other", ["other"], ["other", "third"], "authz ", "AUTHZ", ["authz", 7], [["authz"]],
     {"authz": True}, "authz,other", "other authz", [None]],
    ids=repr,
)  # fmt: skip
async def test_audience_is_mandatory(door: Door, audience: Any) -> None:
    """
    A token that is not for this service, or does not say for whom it is, is refused.
    """
    payload = {**claims_at(door.clock), "aud": audience}
    assert type(await signed(door, payload=payload)) is InvalidAudience
    assert type(await signed(door, payload=claims_at(door.clock, aud=None))) is InvalidAudience


async def test_one_of_several_audiences_is_enough(door: Door) -> None:
    """
    RFC 7519, section 4.1.3: a token for several is for each of them.
    """
    assert (await door.authenticator.verify(token_at(door.clock, aud=["other", "authz"]), None)).id == "main/alice"


@pytest.mark.parametrize(
    "subject",
    [None, "", 7, ["alice"], {"sub": "alice"}, "al ice", "alice\n", "a\u0000", "a\u202eb", "\ud800", "x" * 400],
)
async def test_subject_must_be_usable(door: Door, subject: Any) -> None:
    """
    A subject that cannot name a principal is refused.
    """
    payload = {**claims_at(door.clock), "sub": subject}
    assert type(await signed(door, payload=payload)) is InvalidSubject


@pytest.mark.parametrize("name", ["iat", "exp", "nbf"])
@pytest.mark.parametrize(
    "value", ["1790000000", "", True, False, [], {}, -1, 10**18, 10**400, -1.5, 1e17, None], ids=repr
)
async def test_times_are_numbers(door: Door, name: str, value: Any) -> None:
    """
    A time that is no sane number of seconds is refused.
    """
    assert type(await signed(door, payload={**claims_at(door.clock), name: value})) is InvalidClaims


@pytest.mark.parametrize("name", ["iat", "exp"])
async def test_times_are_mandatory(door: Door, name: str) -> None:
    """
    Without `exp` a token lives for ever, without `iat` it can neither be limited nor revoked.
    """
    assert type(await signed(door, payload=claims_at(door.clock, **{name: None}))) is InvalidClaims


async def test_fractions_of_seconds(door: Door) -> None:
    """
    RFC 7519, section 2: a time may have a fraction; it counts.
    """
    now = door.clock.now().timestamp()
    assert (await door.authenticator.verify(token_at(door.clock, exp=now + 0.5), None)).id == "main/alice"
    assert type(await refused(door, token_at(door.clock, iat=now - 60, exp=now - 30.5))) is InvalidBearerToken


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": -31, "iat": -60},
        {"exp": -HOUR, "iat": -2 * HOUR},
        {"iat": 31},
        {"iat": 10 * 365 * 24 * HOUR, "exp": 10 * 365 * 24 * HOUR + 60},
        {"nbf": 31},
        {"exp": HOUR + 1, "iat": 0},
        {"exp": 30 * 24 * HOUR},
        {"exp": -20, "iat": -20},
        {"exp": -20, "iat": -10},
        {"iat": -30 * 24 * HOUR},
    ],
    ids=repr,
)
async def test_out_of_time(door: Door, changes: dict[str, int]) -> None:
    """
    Expired, not valid yet, issued in the future, or living longer than allowed.
    """
    now = int(door.clock.now().timestamp())
    payload = claims_at(door.clock, **{name: now + offset for name, offset in changes.items()})
    assert type(await signed(door, payload=payload)) is InvalidBearerToken


async def test_leeway_is_bounded(door: Door) -> None:
    """
    Clocks may differ by the leeway, in both directions, and by no more.
    """
    now = int(door.clock.now().timestamp())
    for changes in ({"iat": now - 60, "exp": now - 28}, {"iat": now + 29}, {"nbf": now + 29}):
        assert (await door.authenticator.verify(token_at(door.clock, **changes), None)).id == "main/alice"


async def test_expiry_counts_at_every_call(door: Door) -> None:
    """
    A token that is remembered is refused from the moment it expires, however the clock got there.
    """
    token = token_at(door.clock)
    await door.authenticator.verify(token, None)
    door.clock.move(50)
    await door.directives.refresh()
    assert door.authenticator.known(token, None) is not None
    door.clock.jump(HOUR)
    assert type(await refused(door, token)) is InvalidBearerToken
    door.clock.jump(-HOUR)
    assert (await door.authenticator.verify(token, None)).id == "main/alice"
    door.clock.jump(-2 * HOUR)
    assert "not valid yet" in (await refused(door, token)).message


async def test_bound_to_another_certificate(door: Door) -> None:
    """
    A stolen token is useless without the certificate that it is bound to, also when it was accepted with it before.
    """
    authority = CertificateAuthority()
    mine, other = authority.client("mine"), authority.client("other")
    token = token_at(door.clock, cnf={"x5t#S256": b64(mine.thumbprint)})
    assert type(await refused(door, token)) is InvalidBearerToken
    assert type(await refused(door, token, other.certificate)) is InvalidBearerToken
    assert (await door.authenticator.verify(token, mine.certificate)).id == "main/alice"
    assert door.authenticator.known(token, mine.certificate) is not None
    assert type(await refused(door, token)) is InvalidBearerToken
    assert type(await refused(door, token, other.certificate)) is InvalidBearerToken
    assert type(await refused(door, token, b"not a certificate")) is Unauthenticated


@pytest.mark.parametrize(
    "confirmation",
    [
        None,
        {},
        "x",
        [],
        {"jkt": "x"},
        {"jwk": {}},
        {"x5t#S256": ""},
        {"x5t#S256": "AA"},
        {"x5t#S256": 7},
        {"x5t#S256": None},
        {"x5t#S256": "A" * 43 + "!"},
        {"x5t#S256": "é" * 43},
        {"x5t": "A" * 43},
        {"x5t#S256": "A" * 43, "jkt": "x"},
    ],
    ids=repr,
)
async def test_binding_that_cannot_be_checked(door: Door, confirmation: Any) -> None:
    """
    RFC 7800: a token that is bound by unknown means is not accepted as if it were free.
    """
    mine = CertificateAuthority().client("mine")
    if confirmation == {"jkt": "x"}:
        both = token_at(door.clock, cnf={"x5t#S256": b64(mine.thumbprint), "jkt": "x"})
        assert type(await refused(door, both, mine.certificate)) is InvalidBearerToken
    token = compact(header_of(), {**claims_at(door.clock), "cnf": confirmation}, key_for("RS256"), "RS256")
    assert isinstance(await refused(door, token, mine.certificate), Unauthenticated)


async def test_binding_may_be_required(tmp_path: Path) -> None:
    """
    An issuer whose tokens must be bound has none accepted that are free.
    """
    door = await door_with(tmp_path, certificate_bound="required").opened()
    mine = CertificateAuthority().client("mine")
    assert type(await refused(door, token_at(door.clock), mine.certificate)) is InvalidBearerToken
    bound = token_at(door.clock, cnf={"x5t#S256": b64(hashlib.sha256(b"").digest())})
    assert type(await refused(door, bound, mine.certificate)) is InvalidBearerToken


@pytest.mark.parametrize("kind", ["token", "principal", "client", "suspension"])
async def test_orders_hold_at_once_and_until_lifted(door: Door, kind: str) -> None:
    """
    A token that is remembered as good is refused with the order, and good again when the order is lifted.
    """
    token = token_at(door.clock)
    await door.authenticator.verify(token, None)
    before = door.clock.now().isoformat()
    body: Any = {
        "token": {"token_id": "t-1", "issuer": "main"},
        "principal": {"principal": "main/alice", "issued_before": before},
        "client": {"client": "app", "issuer": "main", "issued_before": before},
        "suspension": {"principal": "main/alice"},
    }[kind]
    order = await door.directives.issue("suspension" if kind == "suspension" else "revocation", body, by=BY)
    error = await refused(door, token)
    assert error.reason == ("forbidden" if kind == "suspension" else "auth_failed_invalid_bearer_token")
    await door.directives.lift(order.id, by=BY)
    assert door.authenticator.known(token, None) is not None
