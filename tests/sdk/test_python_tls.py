"""The Python SDK over TLS, alone and with a certificate of the client that says who it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from openfga_sdk.exceptions import ForbiddenException
from openfga_sdk.models.create_store_request import CreateStoreRequest

from tests.sdk.clients import Kind, check, create_store, opened, tuple_
from tests.support.certificates import Authority
from tests.support.server import running_server

KINDS: tuple[Kind, ...] = ("async", "sync")

pytestmark = pytest.mark.ops


def test_a_client_that_proves_itself_by_its_certificate(tmp_path: Path) -> None:
    """
    It needs no token: its principal is the name in the certificate, with the rights of that.
    """
    authority = Authority(tmp_path)
    own, other, pair = authority.issue("app", dns=()), authority.issue("other", dns=()), authority.issue("server")
    settings = {
        "tls_cert_file": pair.cert,
        "tls_key_file": pair.key,
        "tls_client_ca_file": authority.path,
        "tls_client_auth": "required",
        "access_certificates": '[{"pattern": "*"}]',
        "access_admins": '["cert/app"]',
    }
    with running_server(tmp_path, settings) as server:
        port = server.http.rpartition(":")[2]
        secure = {"api_url": f"https://localhost:{port}", "ssl_ca_cert": str(authority.path)}
        for kind in KINDS:
            with opened(kind, cert=(own.cert, own.key), **secure) as sdk:
                create_store(sdk)
                sdk.write_tuples([tuple_("user:anne", "owner", "document:a")])
                assert sdk.check(check("user:anne", "can_view", "document:a")).allowed is True
            with opened(kind, cert=(other.cert, other.key), **secure) as sdk, pytest.raises(ForbiddenException):
                sdk.create_store(CreateStoreRequest(name="other"))
