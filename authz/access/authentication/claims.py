"""From the claims of a token to a credential, by the rules of its issuer. Called by `tokens` after the signature."""

from __future__ import annotations

import base64
import binascii
from math import isfinite
from typing import Any

from authz.access.authentication.credential import Credential
from authz.access.authentication.parsing import Claims
from authz.call import Authentication, Principal, Scope
from authz.errors import InvalidAudience, InvalidBearerToken, InvalidClaims, InvalidSubject
from authz.settings.access import IssuerSettings, is_principal

MAX_TEXT = 512
"""How long a `jti`, a client or an `acr` may be."""
MAX_WORDS = 1000
"""How many scopes, groups or methods a token may list."""
_LATEST = 253_402_300_800.0  # the year 10000
_THUMBPRINT = "x5t#S256"
_SHA256_BYTES = 32


class ClaimReader:
    """Reads tokens of one issuer."""

    def __init__(self, settings: IssuerSettings) -> None:
        self._settings = settings
        self._audiences = frozenset(settings.audiences)
        self._scopes = {word: Scope(name) for word, name in settings.scopes.items()}

    def read(self, claims: Claims) -> Credential:
        """What a token is good for. Whether it is so now is for the caller to compare.

        Raises:
            InvalidAudience: the token is not meant for this service.
            InvalidSubject: it names no subject that can be a principal.
            InvalidClaims: a claim is missing or of the wrong type.
            InvalidBearerToken: it lives too long, or is not bound as it must be.

        """
        settings = self._settings
        self._check_audience(claims)
        issued_at, begins, ends = self._times(claims)
        for name in settings.required_claims:
            if claims.get(name) is None:
                raise InvalidClaims(f"the token lacks the claim `{name}`")
        return Credential(
            principal=Principal(
                id=self.principal(claims),
                authentication=Authentication.TOKEN,
                scopes=self._scopes_of(claims),
                groups=self._groups(claims),
                client=_text(claims, settings.client_claim),
                acr=_text(claims, "acr"),
                amr=frozenset(_words(claims, "amr")),
            ),
            begins=begins - settings.leeway,
            ends=ends + settings.leeway,
            issued_at=issued_at,
            issuer=settings.name,
            token_id=_text(claims, "jti"),
            thumbprint=self._thumbprint(claims),
        )

    def principal(self, claims: Claims) -> str:
        """The id of the principal that a token names.

        Raises:
            InvalidSubject: it names no subject that can be a principal.

        """
        subject = claims.get(self._settings.subject_claim)
        principal = f"{self._settings.name}/{subject}"
        if not isinstance(subject, str) or not subject or not is_principal(principal):
            raise InvalidSubject(f"the token names no usable subject in `{self._settings.subject_claim}`")
        return principal

    def _check_audience(self, claims: Claims) -> None:
        # RFC 7519, section 4.1.3: one match is enough, and without a match the token is for somebody else.
        audiences = claims.get("aud")
        if isinstance(audiences, str):
            audiences = [audiences]
        if not isinstance(audiences, list) or not audiences or not all(isinstance(each, str) for each in audiences):
            raise InvalidAudience("the token names no audience in `aud`")
        if self._audiences.isdisjoint(audiences):
            raise InvalidAudience("the token is meant for another audience")

    def _times(self, claims: Claims) -> tuple[float, float, float]:
        """When it was issued, and when it begins and ends."""
        issued_at, ends = _instant(claims, "iat"), _instant(claims, "exp")
        begins = max(issued_at, _instant(claims, "nbf")) if "nbf" in claims else issued_at
        if ends <= issued_at:
            raise InvalidBearerToken("the token expires before it is issued")
        if ends - issued_at > self._settings.max_lifetime:
            raise InvalidBearerToken(f"the token lives longer than {self._settings.max_lifetime:g} seconds")
        return issued_at, begins, ends

    def _scopes_of(self, claims: Claims) -> frozenset[Scope] | None:
        words = _words(claims, self._settings.scope_claim)
        found = frozenset(self._scopes[word] for word in words if word in self._scopes)
        return found if found or self._settings.require_scopes else None

    def _groups(self, claims: Claims) -> frozenset[str]:
        if self._settings.groups_claim is None:
            return frozenset()
        groups = (f"{self._settings.name}/{each}" for each in _words(claims, self._settings.groups_claim) if each)
        # A name that no grant can name gives no right.
        return frozenset(group for group in groups if is_principal(group))

    def _thumbprint(self, claims: Claims) -> bytes | None:
        confirmation = claims.get("cnf")
        if confirmation is None and "cnf" not in claims:
            if self._settings.certificate_bound == "required":
                raise InvalidBearerToken("the token is not bound to a client certificate, as its issuer's must be")
            return None
        # RFC 7800, section 3.1: a confirmation that cannot be checked is none.
        if not isinstance(confirmation, dict) or set(confirmation) != {_THUMBPRINT}:
            raise InvalidBearerToken(f"the token is bound by another means than `{_THUMBPRINT}`")
        return _decoded_thumbprint(confirmation[_THUMBPRINT])


def _decoded_thumbprint(value: Any) -> bytes:
    try:
        raw = base64.b64decode(f"{value}=", altchars=b"-_", validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _SHA256_BYTES:
        raise InvalidClaims(f"`{_THUMBPRINT}` is not a SHA-256 thumbprint in base64url")
    return raw


def _instant(claims: Claims, name: str) -> float:
    """A NumericDate (RFC 7519, section 2): a number of seconds, fractions allowed."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LATEST or not isfinite(value):
        raise InvalidClaims(f"the token has no time in `{name}`")
    return float(value)


def _text(claims: Claims, name: str) -> str:
    """A claim that may be missing."""
    value = claims.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
        raise InvalidClaims(f"the claim `{name}` is not a text of up to {MAX_TEXT} characters")
    return value


def _words(claims: Claims, name: str) -> list[str]:
    """A claim that may be missing: text with blanks, or a list of texts."""
    value = claims.get(name)
    if value is None:
        return []
    words = value.split(" ") if isinstance(value, str) else value
    if not isinstance(words, list) or len(words) > MAX_WORDS or not all(isinstance(each, str) for each in words):
        raise InvalidClaims(f"the claim `{name}` is neither text nor a list of texts")
    return words
