"""Keys of issuers: fetched, remembered through outages, rotated without a lost call, never fetched too often."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from authz.access.authentication.discovery import oauth_url, openid_url
from authz.access.authentication.keyset import KeySet
from authz.access.authentication.sources import FetchedKeys
from authz.errors import InvalidBearerToken, Unavailable
from authz.settings.access import AccessSettings, IssuerSettings
from tests.access.authentication.support import Door, JumpingClock, claims_at, compact, header_of, key_for
from tests.support.certificates import CertificateAuthority
from tests.support.issuer import KEYS, OAUTH, OPENID, Client, LocalIssuer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
def issuer() -> Iterator[LocalIssuer]:
    """A running authorization server."""
    with LocalIssuer() as running:
        yield running


@pytest.fixture
def client(issuer: LocalIssuer) -> Client:
    """A program that may ask it for tokens."""
    return issuer.add_client("reports", "authz:check authz:read profile")


def settings_for(issuer: LocalIssuer, **changes: Any) -> IssuerSettings:
    """Settings for that server; fetches are given up quickly."""
    given = {"name": "main", "issuer": issuer.url, "audiences": ("authz",), "timeout": 0.5}
    return IssuerSettings.model_validate(given | changes)


async def door_for(issuer: LocalIssuer, **changes: Any) -> Door:
    """A door for that server only."""
    return await Door(AccessSettings(issuers=(settings_for(issuer, **changes),))).opened()


@contextlib.asynccontextmanager
async def following(door: Door) -> AsyncIterator[Door]:
    """Let the door keep its keys fresh for the while."""
    task = asyncio.create_task(door.authenticator.follow_forever())
    try:
        yield door
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def forged(door: Door, issuer: LocalIssuer, key_id: str) -> str:
    """A token by a key that the issuer has never published."""
    return compact(header_of(kid=key_id), claims_at(door.clock, iss=issuer.url), key_for("RS256"), "RS256")


async def keys_of(source: FetchedKeys) -> KeySet | None:
    """What a source has after a fetch."""
    await source.refresh()
    return source.keys


async def test_client_credentials_end_to_end(issuer: LocalIssuer, client: Client) -> None:
    """
    A program that proves itself to the issuer with a signed assertion is a principal here, with its scopes.
    """
    door = await door_for(issuer)
    principal = await door.authenticator.verify(issuer.token(client), None)
    assert (principal.id, principal.client) == ("main/reports", "reports")
    assert principal.scopes == {"check", "read"}
    assert door.authenticator.known(issuer.token(client), None) is None


async def test_certificate_bound_tokens_end_to_end(tmp_path: Path) -> None:
    """
    Over TLS, the issuer binds a token to the client's certificate, and only with that one it is accepted.
    """
    authority = CertificateAuthority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    mine, other = authority.client("reports"), authority.client("other")
    with LocalIssuer(certificate=authority.server(), clients=authority, folder=tmp_path) as issuer:
        client = issuer.add_client("reports", is_bound=True)
        token = issuer.token(client, authority.context(tmp_path, mine))
        door = await door_for(issuer, ca_file=tmp_path / "ca.pem", certificate_bound="required")
        assert (await door.authenticator.verify(token, mine.certificate)).id == "main/reports"
        with pytest.raises(InvalidBearerToken):
            await door.authenticator.verify(token, other.certificate)
        unbound = issuer.token(issuer.add_client("free"), authority.context(tmp_path))
        with pytest.raises(InvalidBearerToken):
            await door.authenticator.verify(unbound, mine.certificate)
        stranger = await door_for(issuer)
        with pytest.raises(Unavailable):
            await stranger.authenticator.verify(token, mine.certificate)


async def test_rotation_loses_no_call(issuer: LocalIssuer, client: Client) -> None:
    """
    Tokens of the old key and of a key that nobody here has seen are both good, asked for many times at once.
    """
    async with following(await door_for(issuer)) as door:
        old = issuer.token(client)
        await door.authenticator.verify(old, None)
        issuer.rotate()
        new = [issuer.token(client) for _ in range(10)]
        found = await asyncio.gather(*(door.authenticator.verify(token, None) for token in [*new, old, *new]))
    assert {principal.id for principal in found} == {"main/reports"}
    assert issuer.requests[KEYS] == 2


async def test_withdrawn_key(issuer: LocalIssuer, client: Client) -> None:
    """
    A key that the issuer no longer publishes is good for nothing as soon as that is known.
    """
    async with following(await door_for(issuer)) as door:
        old = [issuer.token(client) for _ in range(2)]
        await door.authenticator.verify(old[0], None)
        issuer.rotate(keep=0)
        await door.authenticator.verify(issuer.token(client), None)
        with pytest.raises(InvalidBearerToken):
            await door.authenticator.verify(old[1], None)


async def test_keys_that_stay_are_the_same(issuer: LocalIssuer) -> None:
    """
    What was verified by keys need not be verified again because they were fetched again; only when they change.
    """
    source = FetchedKeys(settings_for(issuer), JumpingClock())
    first = await keys_of(source)
    assert first is not None
    assert await keys_of(source) is first
    issuer.rotate()
    assert await keys_of(source) is not first


async def test_unknown_keys_are_fetched_once_a_cooldown(issuer: LocalIssuer, client: Client) -> None:
    """
    However many tokens name unknown keys, the issuer is asked once a cooldown, and the rest is refused at once.
    """
    async with following(await door_for(issuer)) as door:
        await door.authenticator.verify(issuer.token(client), None)
        for rounds in (1, 2):
            for number in range(20):
                with pytest.raises(InvalidBearerToken):
                    await door.authenticator.verify(forged(door, issuer, f"forged-{number}"), None)
            assert issuer.requests[KEYS] == 1 + rounds
            door.clock.move(31)
            await door.directives.refresh()


async def test_a_key_wanted_while_cooling_comes_when_it_may(issuer: LocalIssuer, client: Client) -> None:
    """
    A forger cannot keep a new key out: it is fetched at the end of the cooldown, asked for again or not.
    """
    source = FetchedKeys(settings_for(issuer, cooldown=0.2), clock := JumpingClock())
    task = asyncio.create_task(source.follow_forever())
    await source.refresh()
    assert source.keys is not None
    await source.renew("forged")
    issuer.rotate()
    await source.renew("new")
    assert issuer.requests[KEYS] == 2
    clock.move(0.2)
    for _ in range(200):
        await asyncio.sleep(0.01)
        if len(source.keys.ids) == 2:
            break
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(source.keys.ids) == 2
    assert issuer.requests[KEYS] == 3


async def test_outage(issuer: LocalIssuer, client: Client) -> None:
    """
    Known keys stay good through an outage, until they are too old to be trusted; then everything is refused.
    """
    source = FetchedKeys(settings_for(issuer, max_staleness=1000), clock := JumpingClock())
    found = await keys_of(source)
    issuer.troubles = {OPENID: "down", KEYS: "down"}
    for _ in range(3):
        clock.move(300)
        assert await keys_of(source) is found
    clock.move(101)
    assert await keys_of(source) is None
    issuer.troubles.clear()
    assert await keys_of(source) is not None


async def test_start_without_the_issuer(issuer: LocalIssuer, client: Client) -> None:
    """
    An issuer that is down at the start does not hold up the service; its tokens count from when its keys come.
    """
    issuer.troubles = {OPENID: "down"}
    async with following(await door_for(issuer)) as door:
        token = issuer.token(client)
        with pytest.raises(Unavailable):
            await door.authenticator.verify(token, None)
        issuer.troubles.clear()
        asked = issuer.requests[OPENID]
        with pytest.raises(Unavailable):
            await door.authenticator.verify(token, None)
        assert issuer.requests[OPENID] == asked
        door.clock.move(31)
        await door.directives.refresh()
        assert (await door.authenticator.verify(token, None)).id == "main/reports"


@pytest.mark.parametrize("path", [OPENID, KEYS])
@pytest.mark.parametrize(
    "trouble", ["slow", "drip", "down", "huge", "garbage", "redirect", "[]", "{}", '{"keys": []}', "7"]
)
async def test_useless_documents(issuer: LocalIssuer, path: str, trouble: str) -> None:
    """
    A document that is slow, endless, elsewhere or no document leaves the keys as they are, in bounded time.
    """
    source = FetchedKeys(settings_for(issuer, timeout=0.15), JumpingClock())
    issuer.troubles[path] = trouble
    started = time.monotonic()
    assert await keys_of(source) is None
    assert time.monotonic() - started < 3
    issuer.released.set()
    issuer.troubles.clear()
    for _ in range(100):
        found = await keys_of(source)
        if found is not None:
            break
        await asyncio.sleep(0.02)
    assert found is not None
    issuer.released.clear()
    issuer.troubles[path] = trouble
    assert await keys_of(source) is found


async def test_a_fetch_that_hangs_is_not_repeated(issuer: LocalIssuer) -> None:
    """
    A server that does not answer costs one thread, and callers no more than the timeout.
    """
    source = FetchedKeys(settings_for(issuer, timeout=20, cooldown=1), JumpingClock())
    issuer.troubles[OPENID] = "slow"
    waiting = [asyncio.create_task(source.renew("k")) for _ in range(50)]
    await asyncio.sleep(0.1)
    for task in waiting[1:]:
        task.cancel()
    assert issuer.requests[OPENID] == 1
    issuer.released.set()
    await waiting[0]
    assert source.keys is not None


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example"},
        {"issuer": "{url}/"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": 7},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "ftp://127.0.0.1/keys"},
        {"jwks_uri": "data:application/json,{}"},
        {"jwks_uri": "http://192.0.2.1/keys"},
        {"jwks_uri": "https://user:password@localhost/keys"},
        {"jwks_uri": "https://localhost/keys"},
        {"jwks_uri": "//127.0.0.1/keys"},
        {"jwks_uri": "{url}/keys#fragment"},
    ],
    ids=repr,
)
async def test_metadata_that_lead_astray(issuer: LocalIssuer, document: dict[str, Any]) -> None:
    """
    Metadata of another issuer, or an address of keys that is not as safe as the issuer's own, are not used.
    """
    good = {"issuer": issuer.url, "jwks_uri": issuer.url + KEYS}
    issuer.troubles[OPENID] = json.dumps(good | document).replace("{url}", issuer.url)
    assert await keys_of(FetchedKeys(settings_for(issuer), JumpingClock())) is None
    assert issuer.requests[KEYS] == 0


async def test_keys_of_a_safe_issuer_come_safely(issuer: LocalIssuer, tmp_path: Path) -> None:
    """
    Metadata that came by TLS cannot send the service to an address without it.
    """
    authority = CertificateAuthority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    with LocalIssuer(certificate=authority.server(), folder=tmp_path) as safe:
        source = FetchedKeys(settings_for(safe, ca_file=tmp_path / "ca.pem"), JumpingClock())
        safe.troubles[OPENID] = json.dumps({"issuer": safe.url, "jwks_uri": issuer.url + KEYS})
        assert await keys_of(source) is None
        safe.troubles.clear()
        assert await keys_of(source) is not None
    assert issuer.requests[KEYS] == 0


async def test_other_places_of_keys(issuer: LocalIssuer) -> None:
    """
    Keys come from a URL that is given, and from RFC 8414 metadata when there are none of OpenID Connect.
    """
    assert await keys_of(FetchedKeys(settings_for(issuer, jwks_url=issuer.url + KEYS), JumpingClock())) is not None
    assert issuer.requests[OPENID] == 0
    issuer.absent.add(OPENID)
    assert await keys_of(FetchedKeys(settings_for(issuer), JumpingClock())) is not None
    assert issuer.requests[OAUTH] == 1


def test_addresses_of_metadata() -> None:
    """
    OpenID Connect appends to the issuer; RFC 8414 puts its part before the path.
    """
    assert openid_url("https://a.example/t/1/") == "https://a.example/t/1/.well-known/openid-configuration"
    assert oauth_url("https://a.example/t/1") == "https://a.example/.well-known/oauth-authorization-server/t/1"
    assert oauth_url("https://a.example/") == "https://a.example/.well-known/oauth-authorization-server"
