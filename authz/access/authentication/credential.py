"""What is left of a token, a certificate or a key once it has been verified. Made by the verifiers, kept by
`authenticator`."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from authz.call import Principal


@dataclass(frozen=True, slots=True)
class Credential:
    """A verified credential. It is worth nothing by itself: times, orders and binding are checked at every call."""

    principal: Principal
    begins: float = -inf
    """From when on it is good, in seconds since 1970; leeway included."""
    ends: float = inf
    """Until when it is good, exclusive; leeway included."""
    issued_at: float = -inf
    """When it was issued: of a key nobody knows."""
    issuer: str = ""
    """The configured name of who issued a token."""
    token_id: str = ""
    """The `jti` of a token."""
    thumbprint: bytes | None = None
    """SHA-256 of the only certificate with which a token may be used (RFC 8705)."""
