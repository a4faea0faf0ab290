"""Settings of who may call: issuers of tokens, preshared keys, first administrators. A section of `tree`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from authz.addresses import is_loopback_host
from authz.settings.types import Count, Name, Seconds, Section

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures with a public key only: a secret that verifies could also sign."""
ScopeName = Literal["check", "read", "write", "model", "admin"]

RESERVED_NAMES = frozenset({"cert", "key", "anonymous", "group", "service"})
"""What principals of other kinds begin with."""
MAX_PRINCIPAL_BYTES = 400


def is_safe_url(text: str) -> bool:
    """Whether keys may come from a URL: https, or http from this very machine; no credentials, no fragment."""
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment or not text.isascii() or not text.isprintable():
        return False
    return " " not in text and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback_host(host)))


def is_principal(text: str) -> bool:
    """Whether a text can name a principal: printable, without blanks, 1 to 400 bytes."""
    return text.isprintable() and " " not in text and 0 < len(text.encode()) <= MAX_PRINCIPAL_BYTES


def _url(text: str) -> str:
    if not is_safe_url(text):
        raise ValueError("expected an https URL (http only for loopback), without user or fragment")
    return text


def _principal(text: str) -> str:
    if not is_principal(text):
        raise ValueError(f"expected 1 to {MAX_PRINCIPAL_BYTES} bytes without blanks")
    return text


Url = Annotated[str, AfterValidator(_url)]
PrincipalId = Annotated[str, AfterValidator(_principal)]
Text = Annotated[str, Field(min_length=1, max_length=2048)]


def _scopes() -> dict[str, ScopeName]:
    return {
        "authz:check": "check",
        "authz:read": "read",
        "authz:write": "write",
        "authz:model": "model",
        "authz:admin": "admin",
    }


class IssuerSettings(Section):
    """A table `[[access.issuers]]`: an authorization server whose tokens are accepted."""

    name: Name
    """What its principals begin with: `NAME/SUBJECT`. Unique, and never changed afterwards."""
    issuer: Text
    """Its `iss`, to the letter."""
    jwks_url: Url | None = None
    """Where its keys are. Without this and `jwks_file` they are discovered from `issuer`."""
    jwks_file: Path | None = None
    """A file with its keys, read again when it changes."""
    audiences: tuple[Text, ...] = Field(min_length=1)
    """Who this service is in `aud`. A token for several audiences is accepted when one of them is here."""
    algorithms: tuple[Algorithm, ...] = Field(default=("RS256", "PS256", "ES256", "EdDSA"), min_length=1)
    """Which signatures are accepted."""
    types: tuple[str, ...] = Field(default=("at+jwt", "application/at+jwt", "JWT"), min_length=1)
    """Which `typ` is accepted; the empty text stands for a token without one."""
    leeway: float = Field(default=30.0, ge=0, le=300)
    """By how many seconds the clocks may differ."""
    max_lifetime: Seconds = 3600.0
    """How many seconds may lie between `iat` and `exp`."""
    required_claims: tuple[Text, ...] = ()
    """Claims that must be there, besides `iss`, `aud`, `exp`, `iat` and the subject."""
    subject_claim: Text = "sub"
    """Which claim names the subject."""
    client_claim: Text = "client_id"
    """Which claim names the program that acts."""
    scope_claim: Text = "scope"
    """Which claim holds the scopes or roles: text with blanks, or a list."""
    scopes: dict[str, ScopeName] = Field(default_factory=_scopes)
    """What the words in that claim stand for: `authz:check`, `authz:read`, … if none are given; others are passed
    over."""
    require_scopes: bool = True
    """Whether a token without any of these words is good for nothing; if not, it does not limit its holder."""
    groups_claim: Text | None = None
    """Which claim lists groups; they become `NAME/GROUP`."""
    certificate_bound: Literal["when-present", "required"] = "when-present"
    """Whether every token must be bound to a client certificate (RFC 8705). One that is bound is always checked."""
    refresh_interval: Seconds = 300.0
    """Every how many seconds the keys are fetched."""
    cooldown: Seconds = 30.0
    """How many seconds pass at least between two fetches for the sake of an unknown key."""
    max_staleness: Seconds = 86_400.0
    """For how many seconds keys are good while the issuer does not answer."""
    timeout: Seconds = 5.0
    """How many seconds a fetch may take."""
    ca_file: Path | None = None
    """Authorities that may vouch for the issuer's servers; without it those of the system."""

    @model_validator(mode="after")
    def _keys_come_from_one_place(self) -> Self:
        if self.name in RESERVED_NAMES:
            raise ValueError(f"the name `{self.name}` is reserved")
        if self.jwks_url is not None and self.jwks_file is not None:
            raise ValueError("give `jwks_url` or `jwks_file`, not both")
        if self.jwks_url is None and self.jwks_file is None and (not is_safe_url(self.issuer) or "?" in self.issuer):
            raise ValueError("keys can only be discovered from an issuer that is an https URL (http only for loopback)")
        return self


class CertificateRule(Section):
    """A table `[[access.certificates]]`: who the holder of a client certificate is. The first that matches counts."""

    pattern: Text
    """The identity in the certificate: a SPIFFE id, else a DNS name, else a common name. `*` stands for any text
    without `/`; at the end for any text."""
    principal: PrincipalId | None = None
    """Who that is; without it `cert/IDENTITY`."""
    scopes: tuple[ScopeName, ...] | None = None
    """What the certificate is good for; without it, it does not limit its holder."""


class StrongDemand(Section):
    """How strongly a subject must be authenticated."""

    acr: tuple[Text, ...] = ()
    """One of these classes, if any is given."""
    amr: tuple[Text, ...] = ()
    """All of these methods."""


class StrongRule(StrongDemand):
    """A table `[[access.strong]]`: calls that demand strong authentication."""

    scopes: tuple[ScopeName, ...] = ()
    """Calls of these classes,"""
    methods: tuple[Text, ...] = ()
    """and these calls: `DeleteStore`, or the whole path on the wire."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.scopes and not self.methods:
            raise ValueError("name `scopes` or `methods` that demand strong authentication")
        if not self.acr and not self.amr:
            raise ValueError("name the `acr` or `amr` that is demanded")
        return self


class AccessSettings(Section):
    """The table `[access]`."""

    issuers: tuple[IssuerSettings, ...] = ()
    """Authorization servers whose tokens are accepted."""
    keys_file: Path | None = None
    """A file of preshared keys, one a line: `NAME sha256:HEX [scopes=check,read] [expires=TIME]`. Read again when it
    changes."""
    certificates: tuple[CertificateRule, ...] = ()
    """Who the holders of client certificates are."""
    admins: tuple[PrincipalId, ...] = ()
    """Principals that have every right: `ISSUER/SUBJECT`, `cert/NAME`, `key/NAME`."""
    strong: tuple[StrongRule, ...] = ()
    """Calls that demand strong authentication; all rules that match count."""
    step_up: StrongDemand = StrongDemand(amr=("mfa",))
    """What is demanded of a principal whose behaviour is unusual."""
    revocation_max_age: Seconds = 30.0
    """For how many seconds without news from the datastore revocations count as known; then every call is refused."""
    cached_tokens: Count = 10_000
    """How many verified tokens are remembered."""
    cached_seconds: float = Field(default=60.0, gt=0, le=300)
    """For how many seconds a signature counts as verified, unless the issuer's keys change. Time, revocation and
    binding are checked at every call."""
    cached_certificates: Count = 4096
    """How many client certificates are remembered."""

    @property
    def longest_lifetime(self) -> float:
        """After how many seconds no token that was issued until now is accepted any more."""
        return max((each.max_lifetime + 2 * each.leeway for each in self.issuers), default=0.0)

    @model_validator(mode="after")
    def _admins_can_exist(self) -> Self:
        for name in self.admins:
            if name == "anonymous" or name.startswith("group:"):
                raise ValueError(f"`{name}` cannot be who calls: name ISSUER/SUBJECT, cert/NAME or key/NAME")
        return self

    @model_validator(mode="after")
    def _issuers_are_distinct(self) -> Self:
        for member in ("name", "issuer"):
            values = [getattr(each, member) for each in self.issuers]
            for value in values:
                if values.count(value) > 1:
                    raise ValueError(f"several issuers have the {member} `{value}`")
        return self
