"""Refuse settings of telemetry that would show or send what they should not. Called by `app` before it serves."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

from authz.addresses import is_loopback
from authz.settings.types import InvalidSettings
from authz.telemetry.headers import header_source

if TYPE_CHECKING:
    from authz.settings.telemetry import TelemetrySettings


def check_telemetry(settings: TelemetrySettings, *, insecure: bool) -> None:
    """Hold the settings to what is safe.

    Args:
        settings: the table `[telemetry]`.
        insecure: whether the operator insists on serving without protection.

    Raises:
        InvalidSettings: naming the setting, saying why.

    """
    is_free = insecure or settings.metrics_insecure
    if settings.metrics_addr and not is_free and not is_loopback(settings.metrics_addr):
        raise InvalidSettings(
            f"refusing to serve metrics and health on `{settings.metrics_addr}`: beyond loopback it is plain HTTP"
            " without authentication, and shows loads and the state of every part; listen on loopback, or say"
            " `--telemetry-metrics-insecure`"
        )
    if settings.traces == "otlp" or settings.metrics_push == "otlp":
        _check_collector(settings, insecure=insecure)


def _check_collector(settings: TelemetrySettings, *, insecure: bool) -> None:
    if settings.otlp_headers is not None and settings.otlp_headers_file is not None:
        raise InvalidSettings("give `telemetry.otlp_headers` or `telemetry.otlp_headers_file`, not both")
    if settings.otlp_ca_file is not None and settings.otlp_protocol == "grpc":
        raise InvalidSettings(
            "setting `telemetry.otlp_ca_file` is for `otlp_protocol = http`; over gRPC the variable"
            " OTEL_EXPORTER_OTLP_CERTIFICATE names the file"
        )
    if not _is_installed(f"opentelemetry.exporter.otlp.proto.{settings.otlp_protocol}"):
        raise InvalidSettings(
            f"`telemetry.otlp_protocol = {settings.otlp_protocol}` needs exporters that are not installed:"
            ' `pip install "authz-service[otlp]"`'
        )
    has_headers = settings.otlp_headers is not None or settings.otlp_headers_file is not None
    scheme, _, rest = settings.otlp_endpoint.partition("://")
    host = rest.partition("/")[0]
    is_near = is_loopback(host if ":" in host else f"{host}:0")
    if has_headers and scheme == "http" and not is_near and not insecure:
        raise InvalidSettings(
            f"refusing to send the headers of `{settings.otlp_endpoint}` in the clear: use https, or say `--insecure`"
        )
    try:
        header_source(settings.otlp_headers, settings.otlp_headers_file, time.monotonic)
    except OSError as error:
        why = (error.strerror or "unreadable").lower()
        raise InvalidSettings(
            f"setting `telemetry.otlp_headers_file`: cannot read `{settings.otlp_headers_file}`: {why}"
        ) from None
    except ValueError as error:
        name = "otlp_headers" if settings.otlp_headers_file is None else "otlp_headers_file"
        raise InvalidSettings(f"setting `telemetry.{name}`: {error}") from None


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even what it is a part of
        return False
