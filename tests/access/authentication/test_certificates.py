"""Whom a client certificate names, and for how long."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from authz.access.authentication.certificates import CertificateReader
from authz.errors import InvalidBearerToken, MissingBearerToken, Unauthenticated
from authz.settings.access import AccessSettings, CertificateRule
from tests.access.authentication.support import BY, Door, door_with, token_at
from tests.support.certificates import CertificateAuthority, Issued

if TYPE_CHECKING:
    from pathlib import Path

AUTHORITY = CertificateAuthority()
SPIFFE = "spiffe://example.org/ns/prod/sa/api"


def principal_of(issued: Issued, *rules: CertificateRule) -> str | None:
    """The id of the principal that a certificate names."""
    credential = CertificateReader(rules, 10).read(issued.certificate).credential
    return None if credential is None else credential.principal.id


def test_order_of_names() -> None:
    """
    A SPIFFE id comes before a DNS name, and that before the common name.
    """
    assert principal_of(AUTHORITY.client("api", uris=[SPIFFE], hosts=["api.example"])) == f"cert/{SPIFFE}"
    assert principal_of(AUTHORITY.client("api", hosts=["API.example", "b.example"])) == "cert/api.example"
    assert principal_of(AUTHORITY.client("Api")) == "cert/api"
    assert principal_of(AUTHORITY.client("api", uris=["https://other.example/"])) == "cert/api"


@pytest.mark.parametrize(
    "issued",
    [
        AUTHORITY.client(),
        AUTHORITY.client("api", uris=[SPIFFE, "spiffe://example.org/admin"]),
        AUTHORITY.client("api", uris=[SPIFFE, "https://other.example/"]),
        AUTHORITY.client("api", uris=["SPIFFE://example.org/admin"]),
        AUTHORITY.client("api", uris=["spiffe://example.org/*"]),
        AUTHORITY.client("api", hosts=["*.example"]),
        AUTHORITY.client("*"),
        AUTHORITY.client(SPIFFE),
        AUTHORITY.client("a b"),
        AUTHORITY.client("a\nb"),
        AUTHORITY.client("", hosts=["10.0.0.1"]),
    ],
    ids=range(11),
)
def test_certificates_that_name_nobody(issued: Issued) -> None:
    """
    Several SPIFFE ids, wildcards, blanks, addresses, and names that pose as others name nobody.
    """
    assert principal_of(issued) is None


def test_rules() -> None:
    """
    The first rule that matches decides who that is and what for.
    """
    rules = [
        CertificateRule(pattern="spiffe://example.org/ns/prod/*", principal="cert/prod", scopes=("check",)),
        CertificateRule(pattern="spiffe://example.org/*", scopes=()),
        CertificateRule(pattern="a[12].example"),
    ]
    reader = CertificateReader(rules, 10)
    first = reader.read(AUTHORITY.client(uris=[SPIFFE]).certificate).credential
    assert first is not None
    assert (first.principal.id, first.principal.scopes) == ("cert/prod", {"check"})
    second = reader.read(AUTHORITY.client(uris=["spiffe://example.org/dev"]).certificate).credential
    assert second is not None
    assert (second.principal.id, second.principal.scopes) == ("cert/spiffe://example.org/dev", frozenset())
    third = reader.read(AUTHORITY.client("a1.example").certificate).credential
    assert third is not None
    assert third.principal.scopes is None


@pytest.mark.parametrize(
    ("pattern", "uri"),
    [
        ("spiffe://example.org/ns/*/sa/billing", "spiffe://example.org/ns/shop/sa/own/ns/x/sa/billing"),
        ("spiffe://*/sa/billing", "spiffe://elsewhere.org/ns/shop/sa/billing"),
        ("*.example.org", "spiffe://elsewhere.org/ns/shop.example.org"),
    ],
)
def test_a_wildcard_stays_within_its_part(pattern: str, uri: str) -> None:
    """
    Nobody becomes somebody else by what his own part of an id says.
    """
    reader = CertificateReader([CertificateRule(pattern=pattern, principal="key/billing")], 10)
    found = reader.read(AUTHORITY.client(uris=[uri]).certificate).credential
    assert found is not None
    assert found.principal.id == f"cert/{uri}"


def test_names_beyond_ascii_stay_themselves() -> None:
    """
    A common name with the Kelvin sign, whose lower case is a `k`, is not the name with the letter.
    """
    assert principal_of(AUTHORITY.client("KING")) == "cert/king"
    assert principal_of(AUTHORITY.client("\u212aING")) == "cert/\u212aING"


def test_unreadable_certificates() -> None:
    """
    What is no certificate is refused, and not remembered.
    """
    reader = CertificateReader((), 10)
    good = AUTHORITY.client("api").certificate
    for pem in (b"", b"x", good[:-40], good.replace(b"MII", b"AAA", 1), b"x" * 100_000):
        with pytest.raises(Unauthenticated):
            reader.read(pem)
        assert reader.known(pem) is None


@pytest.mark.anyio
async def test_dates_count_at_every_call() -> None:
    """
    A connection does not outlive its certificate, nor does a certificate count before its time.
    """
    door = await Door(AccessSettings(), takes_certificates=True).opened()
    soon, later = door.clock.now() + timedelta(seconds=60), door.clock.now() + timedelta(seconds=20)
    pem = AUTHORITY.client("api", ends=soon).certificate
    assert door.authenticator.known("", pem) is None
    assert (await door.authenticator.verify("", pem)).id == "cert/api"
    assert door.authenticator.known("", pem) is not None
    early = AUTHORITY.client("api", begins=later).certificate
    for certificate, seconds in ((early, 0), (pem, 62), (pem, -3600)):
        door.clock.jump(seconds)
        assert door.authenticator.known("", certificate) is None
        with pytest.raises(Unauthenticated):
            await door.authenticator.verify("", certificate)
        door.clock.jump(-seconds)


@pytest.mark.anyio
async def test_tokens_do_not_outlive_the_certificate_of_the_connection(tmp_path: Path) -> None:
    """
    A good token on a connection whose certificate has expired is refused, bound or not.
    """
    door = await door_with(tmp_path).opened()
    pem = AUTHORITY.client("api", ends=door.clock.now() + timedelta(seconds=20)).certificate
    token = token_at(door.clock)
    assert (await door.authenticator.verify(token, pem)).id == "main/alice"
    assert door.authenticator.known("", pem) is None
    door.clock.move(22)
    assert door.authenticator.known(token, pem) is None
    with pytest.raises(Unauthenticated):
        await door.authenticator.verify(token, pem)
    assert (await door.authenticator.verify(token, None)).id == "main/alice"


@pytest.mark.anyio
async def test_certificates_only_where_they_are_verified() -> None:
    """
    Unless the transport verifies certificates, one is no proof of anything.
    """
    door = await Door(AccessSettings()).opened()
    pem = AUTHORITY.client("api").certificate
    assert not door.authenticator.enabled
    assert door.authenticator.known("", pem) is None
    with pytest.raises(MissingBearerToken):
        await door.authenticator.verify("", pem)


@pytest.mark.anyio
async def test_orders_against_certificates() -> None:
    """
    An order against a principal reaches certificates that were issued before, and not those after.
    """
    door = await Door(AccessSettings(), takes_certificates=True).opened()
    old, new = AUTHORITY.client("api"), AUTHORITY.client("api", begins=door.clock.now() - timedelta(seconds=1))
    before = (door.clock.now() - timedelta(seconds=30)).isoformat()
    await door.directives.issue("revocation", {"principal": "cert/api", "issued_before": before}, by=BY)
    with pytest.raises(InvalidBearerToken):
        await door.authenticator.verify("", old.certificate)
    assert (await door.authenticator.verify("", new.certificate)).id == "cert/api"
