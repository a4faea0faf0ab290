"""Settings of metrics, traces and health for those who operate the service. A section of `tree`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from authz.settings.types import Name, OptionalAddress, Seconds, Section


def _endpoint(text: str) -> str:
    scheme, mark, rest = text.partition("://")
    if not mark or scheme not in ("http", "https") or not rest or any(c in rest for c in "@?# "):
        raise ValueError("expected http://HOST:PORT or https://HOST:PORT, without user, query or fragment")
    return text.rstrip("/")


Endpoint = Annotated[str, AfterValidator(_endpoint)]


class TelemetrySettings(Section):
    """The table `[telemetry]`."""

    metrics_addr: OptionalAddress = ""
    """Where `/metrics`, `/livez` and `/readyz` are served over plain HTTP; port 0 picks a free one; empty: nowhere."""
    metrics_insecure: bool = False
    """Serve them beyond loopback all the same: whoever reaches the port sees loads and the state of the parts."""
    max_loop_lag: Seconds = 5.0
    """After how many seconds without a turn of the event loop `/livez` says that the process is stuck."""
    metrics_push: Literal["off", "otlp"] = "off"
    """Whether metrics are also sent to a collector."""
    metrics_push_interval: Seconds = 15.0
    """Every how many seconds they are sent."""
    traces: Literal["off", "otlp"] = "off"
    """Whether spans are sent to a collector: one a call."""
    sample_ratio: float = Field(default=1.0, ge=0, le=1, allow_inf_nan=False)
    """Which part of the calls has a span when the caller does not say; a caller that traces decides for its call."""
    service_name: Name = "authz"
    """What the service is called in traces and pushed metrics."""
    otlp_endpoint: Endpoint = "http://127.0.0.1:4318"
    """The collector."""
    otlp_protocol: Literal["http", "grpc"] = "http"
    """How it is spoken to: protobuf over HTTP (its port is 4318 as a rule) or over gRPC (4317)."""
    otlp_headers: SecretStr | None = None
    """Headers that the collector asks for, as `NAME=VALUE,NAME=VALUE`, percent-encoded where needed."""
    otlp_headers_file: Path | None = None
    """A file with those headers instead; read again when it changes."""
    otlp_ca_file: Path | None = None
    """Certificates to trust for https over HTTP, as PEM, instead of those of the system."""
    otlp_timeout: Seconds = 5.0
    """How many seconds one delivery to the collector may take, retries included."""
