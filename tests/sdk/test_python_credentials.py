"""The Python SDK against a service that demands proof: tokens that are fixed, and tokens of an issuer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from openfga_sdk.client.models import ClientWriteRequest, WriteTransactionOpts
from openfga_sdk.credentials import CredentialConfiguration, Credentials
from openfga_sdk.exceptions import ForbiddenException, UnauthorizedException
from openfga_sdk.models.create_store_request import CreateStoreRequest

from authz.access.authentication import new_key
from tests.sdk.clients import Kind, check, create_store, opened, tuple_
from tests.support.http import url_of
from tests.support.issuer import TOKEN, LocalIssuer
from tests.support.server import running_server

ALL_SCOPES = "authz:check authz:read authz:write authz:model authz:admin"
SECRET = "a secret, with & and =?"

pytestmark = [pytest.mark.ops, pytest.mark.parametrize("kind", ["async", "sync"])]


@dataclass
class Secured:
    """A server that demands proof, and who may call it."""

    url: str
    issuer: LocalIssuer
    root: str
    reader: str


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A server with an issuer and two preshared keys: of an administrator, and of one who may only check."""
    folder = tmp_path_factory.mktemp("secured")
    (root, line), (reader, other) = new_key("root"), new_key("reader")
    (folder / "keys").write_text(f"{line}\n{other} scopes=check\n")
    with LocalIssuer() as issuer:
        settings = {
            "access_keys_file": folder / "keys",
            "access_admins": '["key/root", "main/app", "key/reader"]',
            "access_issuers": json.dumps([{"name": "main", "issuer": issuer.url, "audiences": ["authz"]}]),
        }
        with running_server(folder, settings) as server:
            yield Secured(url_of(server), issuer, root, reader)


def token(value: str) -> Credentials:
    """An API token."""
    return Credentials("api_token", CredentialConfiguration(api_token=value))


def client(issuer: LocalIssuer, **more: Any) -> Credentials:
    """A program that gets its tokens from the issuer."""
    chosen = CredentialConfiguration(
        client_id="app", client_secret=SECRET, api_issuer=issuer.url + TOKEN, api_audience="authz", **more
    )
    return Credentials("client_credentials", chosen)


def test_an_api_token(secured: Secured, kind: Kind) -> None:
    """
    A preshared key is the SDK's API token.
    """
    with opened(kind, api_url=secured.url, credentials=token(secured.root)) as sdk:
        create_store(sdk)
        sdk.write_tuples([tuple_("user:anne", "owner", "document:a")])
        assert sdk.check(check("user:anne", "can_view", "document:a")).allowed is True


def test_no_token_and_a_wrong_one(secured: Secured, kind: Kind) -> None:
    """
    Both raise the exception for authentication, which is not tried again; it tells what is wrong, and no more.
    """
    for credentials, code in ((None, "bearer_token_missing"), (token("guessed"), "unauthenticated")):
        with opened(kind, api_url=secured.url, credentials=credentials) as sdk:
            with pytest.raises(UnauthorizedException) as raised:
                sdk.list_stores()
            error = raised.value
            assert (401, code) == (error.status, error.code)
            assert error.is_authentication_error()
            assert error.request_id
            sdk.set_store_id("01HYYYYYYYYYYYYYYYYYYYYYYY")
            body = ClientWriteRequest(writes=[tuple_("user:anne", "owner", "document:a")])
            # Without a transaction failures become results, but not this one.
            with pytest.raises(UnauthorizedException):
                sdk.write(body, {"transaction": WriteTransactionOpts(disabled=True)})


def test_a_token_without_the_right(secured: Secured, kind: Kind) -> None:
    """
    Who is known and may not raises the exception for that.
    """
    with opened(kind, api_url=secured.url, credentials=token(secured.reader)) as sdk:
        with pytest.raises(ForbiddenException) as raised:
            sdk.create_store(CreateStoreRequest(name="mine"))
        assert (raised.value.status, raised.value.code) == (403, "forbidden")
        assert raised.value.request_id


def test_client_credentials(secured: Secured, kind: Kind) -> None:
    """
    The SDK gets a token of the issuer by a secret, and calls with it.
    """
    secured.issuer.add_client("app", ALL_SCOPES).secret = SECRET
    with opened(kind, api_url=secured.url, credentials=client(secured.issuer, scopes=ALL_SCOPES)) as sdk:
        create_store(sdk)
        sdk.write_tuples([tuple_("user:anne", "owner", "document:a")])
        assert sdk.check(check("user:anne", "can_view", "document:a")).allowed is True


def test_client_credentials_with_too_narrow_a_scope(secured: Secured, kind: Kind) -> None:
    """
    The scope of the token limits what its holder may.
    """
    secured.issuer.add_client("app", ALL_SCOPES).secret = SECRET
    with (
        opened(kind, api_url=secured.url, credentials=client(secured.issuer, scopes=["authz:check"])) as sdk,
        pytest.raises(ForbiddenException),
    ):
        sdk.create_store(CreateStoreRequest(name="mine"))


def test_a_token_for_another_audience(secured: Secured, kind: Kind) -> None:
    """
    It is no proof here: the exception for authentication says why.
    """
    secured.issuer.add_client("app", ALL_SCOPES).secret = SECRET
    secured.issuer.audience = "elsewhere"
    try:
        with (
            opened(kind, api_url=secured.url, credentials=client(secured.issuer)) as sdk,
            pytest.raises(UnauthorizedException) as raised,
        ):
            sdk.list_stores()
    finally:
        secured.issuer.audience = "authz"
    assert raised.value.code == "auth_failed_invalid_audience"
