"""Who sends a request: whose certificate, and whose token."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from authz._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from authz.access.authentication import new_key
from authz.errors import Unavailable
from authz.rpc.ext_authz.identity import TokenSubjects, parse_peer, peer
from authz.rpc.ext_authz.refusals import Refused, Unidentified
from authz.rpc.ext_authz.request import read_request
from authz.settings.access import AccessSettings
from tests.access.authentication.support import (
    Door,
    b64,
    door_with,
    issuer_with,
    key_for,
    public_jwk,
    token_at,
)
from tests.rpc.ext_authz.support import asking
from tests.support.certificates import CertificateAuthority, Issued


def bearing(token: str, shown: Issued | None = None) -> CheckRequest:
    """A request with a token, over a connection with a certificate if Envoy hands that on."""
    request = asking(headers={"authorization": f"Bearer {token}"})
    if shown is not None:
        request.attributes.source.certificate = quote(shown.certificate.decode(), safe="")
    return request


async def subject(door: Door, request: CheckRequest, issuer: str = "main") -> str:
    """The subject of a request's token."""
    return await TokenSubjects(door.authenticator, issuer).subject(read_request(request, frozenset()))


@pytest.mark.anyio
async def test_a_token_names_its_subject(tmp_path: Path) -> None:
    """Without the name of its issuer; remembered or not."""
    door = await door_with(tmp_path).opened()
    for _ in range(2):
        assert await subject(door, bearing(token_at(door.clock, sub="alice/a|b"))) == "alice/a|b"


@pytest.mark.anyio
async def test_another_issuer_is_not_the_expected_one(tmp_path: Path) -> None:
    """Two issuers may know different people by one name, and names of issuers may begin alike."""
    key = key_for("RS256")
    issuers = (
        issuer_with(tmp_path, public_jwk(key)),
        issuer_with(tmp_path, public_jwk(key), name="main-2", issuer="https://other.example.com"),
    )
    door = await Door(AccessSettings(issuers=issuers)).opened()
    other = token_at(door.clock, iss="https://other.example.com")
    assert await subject(door, bearing(other), "main-2") == "alice"
    for issuer in ("main", "main-", "mai", ""):
        with pytest.raises(Unidentified, match="expected issuer"):
            await subject(door, bearing(other), issuer)


@pytest.mark.anyio
async def test_a_preshared_key_is_no_token(tmp_path: Path) -> None:
    """Whatever its principal is called."""
    secret, line = new_key("alice")
    keys = tmp_path / "keys.txt"
    keys.write_text(line + "\n")
    door = await Door(AccessSettings(keys_file=keys)).opened()
    assert (await door.authenticator.verify(secret, None)).id == "key/alice"
    with pytest.raises(Unidentified):
        await subject(door, bearing(secret), "key")


@pytest.mark.anyio
async def test_a_bound_token_needs_its_certificate(tmp_path: Path) -> None:
    """Which Envoy verified and hands on (RFC 8705): another one, or none, proves nobody."""
    authority = CertificateAuthority()
    own, other = authority.client("alice"), authority.client("mallory")
    door = await door_with(tmp_path).opened()
    token = token_at(door.clock, cnf={"x5t#S256": b64(own.thumbprint)})
    assert await subject(door, bearing(token, own)) == "alice"
    for shown in (other, None, Issued(b"garbage", b"")):
        with pytest.raises(Unidentified):
            await subject(door, bearing(token, shown))


@pytest.mark.anyio
async def test_what_is_not_known_now_is_not_a_refusal(tmp_path: Path) -> None:
    """Without news of revocations nobody is believed, and the request is undecided."""
    door = door_with(tmp_path)
    with pytest.raises(Unavailable):
        await subject(door, bearing(token_at(door.clock)))


@pytest.mark.parametrize(
    ("pattern", "identity", "found"),
    [
        ("spiffe://a.org/ns/{ns}/sa/{sa}", "spiffe://a.org/ns/x/sa/y", {"ns": "x", "sa": "y"}),
        ("spiffe://a.org/ns/{ns}/sa/{sa}", "spiffe://a.org/ns/x/sa/y/z", None),
        ("spiffe://a.org/ns/{ns}/sa/{sa}", "spiffe://a.org/ns//sa/y", None),
        ("spiffe://a.org/ns/{ns}/sa/{sa}", "SPIFFE://a.org/ns/x/sa/y", None),
        ("spiffe://a.org/ns/{ns}/sa/{sa}", "https://a.org/ns/x/sa/y", None),
        ("spiffe://a.org/ns/{ns}/sa/{sa}", "a.org/ns/x/sa/y", None),
        ("spiffe://a.org/{sa}", "spiffe://a.org/x\ny", None),
        ("spiffe://a.org/{sa}", "spiffe://a.org/x,spiffe://a.org/y", None),
        ("spiffe://a.org/{sa}", "spiffe://a.org/é", None),
        ("spiffe://a.org/fixed", "spiffe://a.org/fixed", {}),
        ("{name}.a.org", "x.a.org", {"name": "x"}),
        ("{name}.a.org", "x.a.org.", None),
        ("{name}.a.org", ".a.org", None),
        ("{name}.a.org", "CN=x.a.org", None),
        ("{name}.a.org", "spiffe://x.a.org", None),
        ("{name}.a.org", "", None),
    ],
)
def test_identities_match_whole_parts(pattern: str, identity: str, found: dict[str, str] | None) -> None:
    """Letter by letter, and of the same kind."""
    asked = read_request(asking(peer=identity), frozenset())
    if found is None:
        with pytest.raises(Refused):
            peer(asked, [parse_peer(pattern)])
    else:
        assert peer(asked, [parse_peer(pattern)]) == found


def test_the_first_pattern_counts() -> None:
    """As with rules."""
    patterns = [parse_peer("spiffe://a.org/{first}"), parse_peer("spiffe://a.org/{second}")]
    assert peer(read_request(asking(peer="spiffe://a.org/x"), frozenset()), patterns) == {"first": "x"}
