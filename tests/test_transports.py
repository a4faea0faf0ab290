"""The native transport is refused where it would drop a protection, and says once what it leaves open."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import structlog

from authz.app.transports import UNBOUNDED, check_transport, tell_transport
from authz.settings import InvalidSettings, Settings
from authz.settings.limits import LimitsSettings
from tests.support.transports import NATIVE


def settings(**given: Any) -> Settings:
    """Settings with the native transport."""
    return Settings.model_validate({"transport": "native", **given})


pytestmark = pytest.mark.parametrize("transport", [NATIVE])
PAIR = {"cert_file": "c.pem", "key_file": "k.pem"}
ISSUER = {"name": "main", "issuer": "https://issuer.example", "audiences": ["authz"], "certificate_bound": "required"}


def test_what_native_can_keep_is_served(transport: str) -> None:
    """
    The defaults, bounds that it holds, and everything with grpcio pass.
    """
    check_transport(settings(transport=transport))
    check_transport(settings(transport=transport, limits={"max_concurrent_streams": 10, "max_calls_per_peer": 10}))
    check_transport(settings(transport=transport, reflection="off", max_message_bytes=1000, grpc_addr="[::1]:0"))
    check_transport(settings(transport="grpcio", limits=dict.fromkeys(UNBOUNDED, 10), reflection="on"))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"tls": PAIR}, "tls.cert_file"),
        (
            {"tls": PAIR | {"client_ca_file": "a.pem", "client_auth": "required"}},
            "tls.cert_file",
        ),
        ({"access": {"certificates": [{"pattern": "*"}]}}, "access.certificates"),
        ({"access": {"issuers": [ISSUER]}}, "access.issuers.0.certificate_bound"),
        ({"reflection": "on"}, "reflection"),
        *(({"limits": {name: LimitsSettings.model_fields[name].default}}, f"limits.{name}") for name in UNBOUNDED),
    ],
)
def test_what_native_cannot_keep_is_refused_by_name(transport: str, given: dict[str, Any], name: str) -> None:
    """
    A setting that asks for a protection that native lacks ends the start, also when it asks for the default.
    """
    with pytest.raises(InvalidSettings, match=f"^setting `{name}`: `transport = native` cannot keep it"):
        check_transport(settings(transport=transport, **given))
    with pytest.raises(InvalidSettings, match=f"`{name}`"):
        check_transport(settings(transport=transport, insecure=True, **given))


def test_beyond_loopback_it_must_be_said(transport: str) -> None:
    """
    Without TLS nothing is served to others than this machine, unless the operator insists.
    """
    with pytest.raises(InvalidSettings, match=r"refusing to listen on `.*` beyond loopback: `native` speaks"):
        check_transport(settings(transport=transport, grpc_addr="0.0.0.0:8081"))
    check_transport(settings(transport=transport, grpc_addr="0.0.0.0:8081", insecure=True))


def test_a_package_that_is_not_there(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without the extra the error says how to install it.
    """
    monkeypatch.setitem(sys.modules, "pygrpc_native", None)
    with pytest.raises(InvalidSettings, match=r'setting `transport`: .*pip install "authz-service\[native\]"'):
        check_transport(settings(transport=transport))


def test_what_is_weaker_is_told(transport: str) -> None:
    """
    One warning names every bound that nobody is held to; grpcio has nothing to tell.
    """
    with structlog.testing.capture_logs() as logs:
        tell_transport(settings(transport="grpcio"))
        tell_transport(settings(transport=transport))
    (told,) = logs
    assert told["log_level"] == "warning"
    assert set(told["not_held"]) == {f"limits.{name}" for name in UNBOUNDED}
    assert "max_message_bytes" in told["left_open"]
