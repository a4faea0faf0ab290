"""Sign what is posted to a webhook, so that its receiver knows who sent it, and that it is not a replay."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime

from authz.settings.alerts import MIN_SECRET_BYTES

TIMESTAMP, NONCE, SIGNATURE = "authz-timestamp", "authz-nonce", "authz-signature"
VERSION = "v1"


def sign(secret: bytes, timestamp: str, nonce: str, body: bytes) -> str:
    """`v1=` and the HMAC-SHA256 of `TIMESTAMP.NONCE.BODY`, in hexadecimal."""
    signed = b".".join((timestamp.encode(), nonce.encode(), body))
    return f"{VERSION}={hmac.new(secret, signed, hashlib.sha256).hexdigest()}"


def signed_headers(secret: bytes, now: datetime, body: bytes) -> dict[str, str]:
    """The headers of one delivery: each try has its own time and nonce. The time is in seconds since 1970."""
    timestamp, nonce = str(int(now.timestamp())), secrets.token_hex(16)
    return {TIMESTAMP: timestamp, NONCE: nonce, SIGNATURE: sign(secret, timestamp, nonce, body)}


def first_secret(raw: bytes) -> bytes:
    """The secret to sign with, of a file with one secret a line. Further lines are former ones, for receivers.

    Raises:
        ValueError: there is none, or it is too short.

    """
    lines = [line.strip() for line in raw.splitlines()]
    secret = next((line for line in lines if line), b"")
    if len(secret) < MIN_SECRET_BYTES:
        raise ValueError(f"the first line must be a secret of at least {MIN_SECRET_BYTES} bytes")
    return secret
