"""Where an issuer's keys are, and what they are: blocking requests to its server. Called by `sources` on a thread."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from authz.access.authentication.fetching import FetchFailed, get
from authz.access.authentication.keyset import KeySet, parse_keys
from authz.settings.access import IssuerSettings, is_safe_url


def fetch_keys(settings: IssuerSettings) -> KeySet:
    """Ask the issuer's server for its keys. Blocks.

    Raises:
        FetchFailed: no answer, or one that cannot be used.
        ValueError: the answer is no JWKS document with usable keys.

    """
    url = settings.jwks_url or _discover(settings)
    return parse_keys(settings.name, get(url, timeout=settings.timeout, ca_file=settings.ca_file))


def _discover(settings: IssuerSettings) -> str:
    """Where the keys are, as the issuer's metadata say (OpenID Connect Discovery 1.0, section 4; else RFC 8414)."""
    try:
        raw = get(openid_url(settings.issuer), timeout=settings.timeout, ca_file=settings.ca_file)
    except FetchFailed as error:
        if str(error) != "status 404":
            raise
        raw = get(oauth_url(settings.issuer), timeout=settings.timeout, ca_file=settings.ca_file)
    try:
        document: Any = json.loads(raw)
    except (ValueError, RecursionError):
        raise FetchFailed("the metadata are not JSON") from None
    if not isinstance(document, dict) or document.get("issuer") != settings.issuer:
        raise FetchFailed("the metadata are those of another issuer")
    url = document.get("jwks_uri")
    if not isinstance(url, str) or not is_safe_url(url) or _scheme(url) != _scheme(settings.issuer):
        raise FetchFailed("the metadata name no usable `jwks_uri`")
    return url


def openid_url(issuer: str) -> str:
    """Where OpenID Connect puts the metadata of an issuer."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def oauth_url(issuer: str) -> str:
    """Where RFC 8414, section 3 puts them: before the path."""
    parts = urlsplit(issuer)
    return f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path.rstrip('/')}"


def _scheme(url: str) -> str:
    return urlsplit(url).scheme
