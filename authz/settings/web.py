"""Settings of HTTP/JSON. A section of `tree`."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import field_validator

from authz.settings.types import Seconds, Section


class WebSettings(Section):
    """The table `[web]`. The bounds of connections and of metadata in `[limits]` hold for HTTP too."""

    public_url: str = ""
    """The URL by which clients reach the service, as it tells others: `https://authz.example.com`. Never taken from a
    request. Without it the address that is listened on."""
    metrics: Literal["auto", "on", "off"] = "auto"
    """Whether `/metrics` is served beside the calls, to everybody; `auto`: while nobody must prove who he is. What
    several workers count together is served at `telemetry.metrics_addr` alone."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call the service from a browser: `https://app.example.com`, or `*` for all. None may
    unless they are named."""
    cors_max_age: Seconds = 600.0
    """For how many seconds a browser may remember that it may."""
    arrival_timeout: Seconds = 10.0
    """How many seconds a request may take to arrive, from its first byte to its last."""
    stall_timeout: Seconds = 10.0
    """How many seconds a client may leave an answer unread."""

    @field_validator("public_url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        if value:
            _check_url(value, "public_url")
        return value.rstrip("/")

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if origin != "*":
                _check_url(origin, "cors_origins")
                if urlsplit(origin).path:
                    raise ValueError(f"`{origin}` is no origin: it has a path")
        return value


def _check_url(text: str, name: str) -> None:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment or parts.username:
        raise ValueError(f"`{name}`: `{text}` is not a URL like `https://authz.example.com`")
