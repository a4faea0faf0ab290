"""Settings of telemetry: what would show or send too much is refused before anything listens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from authz.settings import InvalidSettings
from authz.settings.telemetry import TelemetrySettings
from authz.telemetry import check_telemetry
from authz.telemetry.headers import parse_headers

SECRET = "authorization=hidden-token"


@pytest.mark.parametrize("address", ["", "127.0.0.1:0", "127.1.2.3:9464", "[::1]:9464", "localhost:9464"])
def test_pages_on_this_machine_are_served(address: str) -> None:
    """
    Every loopback address is safe, and so is none.
    """
    check_telemetry(TelemetrySettings(metrics_addr=address), insecure=False)


@pytest.mark.parametrize("address", ["0.0.0.0:9464", "[::]:9464", "10.0.0.1:9464", "authz.example:9464"])
def test_pages_beyond_it_are_refused_unless_insisted(address: str) -> None:
    """
    The operator says so for these pages alone, or for everything.
    """
    with pytest.raises(InvalidSettings, match="beyond loopback"):
        check_telemetry(TelemetrySettings(metrics_addr=address), insecure=False)
    check_telemetry(TelemetrySettings(metrics_addr=address, metrics_insecure=True), insecure=False)
    check_telemetry(TelemetrySettings(metrics_addr=address), insecure=True)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"otlp_headers": SECRET, "otlp_headers_file": Path("x")}, "not both"),
        ({"otlp_headers_file": Path("missing-file")}, "no such file"),
        ({"otlp_headers": "hidden-token"}, "header 1 is not NAME=VALUE"),
        ({"otlp_headers": "a=b,hidden token=1"}, "header 2 is not NAME=VALUE"),
        ({"otlp_headers": "a=hidden%0d%0atoken"}, "header 1"),
        ({"otlp_headers": SECRET, "otlp_endpoint": "http://collector.example:4318"}, "in the clear"),
        ({"otlp_headers": SECRET, "otlp_endpoint": "http://collector.example"}, "in the clear"),
        ({"otlp_ca_file": Path("ca.pem"), "otlp_protocol": "grpc"}, "OTEL_EXPORTER_OTLP_CERTIFICATE"),
    ],
)
def test_a_collector_that_cannot_be_used_is_refused(settings: dict[str, Any], why: str) -> None:
    """
    The error names the setting and shows no secret; what is not used is not looked at.
    """
    with pytest.raises(InvalidSettings, match=why) as caught:
        check_telemetry(TelemetrySettings(traces="otlp", **settings), insecure=False)
    assert "hidden" not in str(caught.value)
    check_telemetry(TelemetrySettings(**settings), insecure=False)


@pytest.mark.parametrize("endpoint", ["https://collector.example:4318", "http://localhost:4318", "http://[::1]:4318"])
def test_secrets_go_over_tls_or_stay_here(endpoint: str) -> None:
    """
    Headers are sent to https, and in the clear to this machine alone.
    """
    check_telemetry(TelemetrySettings(traces="otlp", otlp_headers=SECRET, otlp_endpoint=endpoint), insecure=False)


@pytest.mark.parametrize(
    "endpoint", ["collector:4318", "ftp://a:1", "http://user:pass@a:1", "http://a:1/?key=1", "http://"]
)
def test_an_endpoint_holds_no_secrets(endpoint: str) -> None:
    """
    Endpoints are shown in logs; credentials belong into headers.
    """
    with pytest.raises(ValidationError):
        TelemetrySettings(otlp_endpoint=endpoint)


def test_missing_exporters_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    They are an extra: who has not installed it is told how.
    """
    monkeypatch.setattr("authz.telemetry.checking._is_installed", lambda _module: False)
    with pytest.raises(InvalidSettings, match=r"authz-service\[otlp\]"):
        check_telemetry(TelemetrySettings(metrics_push="otlp"), insecure=False)


def test_headers_are_read_as_collectors_write_them() -> None:
    """
    Names are lower case, values percent-decoded; commas and lines separate.
    """
    assert parse_headers("Authorization=Bearer%20a=b, x-org=1\n\nx-team=2,") == {
        "authorization": "Bearer a=b",
        "x-org": "1",
        "x-team": "2",
    }
    assert parse_headers("") == {}
