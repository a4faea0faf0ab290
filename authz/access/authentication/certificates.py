"""Principals from client certificates that the transport has verified. Called by `authenticator`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cachetools import LRUCache
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from authz.access.authentication.credential import Credential
from authz.call import Authentication, Principal, Scope
from authz.errors import Unauthenticated
from authz.settings.access import CertificateRule, is_principal

MAX_PEM_BYTES = 65_536
_SPIFFE = "spiffe://"
_UNREADABLE = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


@dataclass(frozen=True, slots=True)
class Certificate:
    """What matters of a client certificate."""

    thumbprint: bytes
    """SHA-256 of its DER form: `x5t#S256` of RFC 8705."""
    begins: float
    ends: float
    """From when on and until when (exclusive) it is valid, in seconds since 1970."""
    credential: Credential | None
    """Who its holder is; None when it names nobody who could be a principal."""


class CertificateReader:
    """Reads client certificates, and remembers them."""

    def __init__(self, rules: Sequence[CertificateRule], capacity: int) -> None:
        self._rules = [(_compiled(rule.pattern), rule) for rule in rules]
        # A certificate is public, so its text can be the key.
        self._known: LRUCache[bytes, Certificate] = LRUCache(capacity)

    def known(self, pem: bytes) -> Certificate | None:
        """A certificate that was read before."""
        return self._known.get(pem)

    def read(self, pem: bytes) -> Certificate:
        """A certificate in PEM form.

        Raises:
            Unauthenticated: it cannot be read.

        """
        known = self._known.get(pem)
        return known if known is not None else self._read(pem)

    def _read(self, pem: bytes) -> Certificate:
        if len(pem) > MAX_PEM_BYTES:
            raise Unauthenticated("the client certificate is too large")
        try:
            parsed = x509.load_pem_x509_certificate(pem)
            identity = _identity(parsed)
            thumbprint = parsed.fingerprint(SHA256())
        except _UNREADABLE:
            raise Unauthenticated("the client certificate cannot be read") from None
        begins, ends = parsed.not_valid_before_utc.timestamp(), parsed.not_valid_after_utc.timestamp() + 1
        principal = self._principal(identity)
        credential = None if principal is None else Credential(principal, begins, ends, issued_at=begins)
        found = self._known[pem] = Certificate(thumbprint, begins, ends, credential)
        return found

    def _principal(self, identity: str) -> Principal | None:
        if not identity:
            return None
        rule = next((rule for pattern, rule in self._rules if pattern.fullmatch(identity)), None)
        id_ = f"cert/{identity}" if rule is None or rule.principal is None else rule.principal
        scopes = None if rule is None or rule.scopes is None else frozenset(map(Scope, rule.scopes))
        return Principal(id_, Authentication.CERTIFICATE, scopes) if is_principal(id_) else None


def _identity(certificate: x509.Certificate) -> str:
    """Whom a certificate names: its SPIFFE id, else its first DNS name, else its common name; empty if nobody.

    A certificate with a SPIFFE id must have no other URI (SPIFFE X.509-SVID, section 2), else it names nobody. Nor does
    a name with a wildcard, which stands for many, or several common names.

    Raises:
        ValueError: its extensions are malformed; also the other errors of `_UNREADABLE`.

    """
    uris, names = _alternatives(certificate)
    if any(uri.lower().startswith(_SPIFFE) for uri in uris):
        return uris[0] if len(uris) == 1 and uris[0].startswith(_SPIFFE) and "*" not in uris[0] else ""
    if not names:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        names = [str(each.value) for each in common] if len(common) == 1 else []
    identity = _lower(names[0]) if names else ""
    return "" if "*" in identity or "/" in identity else identity


def _compiled(pattern: str) -> re.Pattern[str]:
    # Whoever chooses one part of a SPIFFE id, as a tenant its own, must not reach into the parts that others stand for;
    # nor may a pattern of host names match an id whose path ends like one.
    body = "[^/]*".join(re.escape(part) for part in pattern.removesuffix("*").split("*"))
    return re.compile(f"{body}.*" if pattern.endswith("*") else body)


def _lower(name: str) -> str:
    """Host names in the one spelling that counts. Only ASCII: beyond, two different names can have one lower case."""
    return name.lower() if name.isascii() else name


def _alternatives(certificate: x509.Certificate) -> tuple[list[str], list[str]]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [], []
    return (
        found.get_values_for_type(x509.UniformResourceIdentifier),
        found.get_values_for_type(x509.DNSName),
    )
