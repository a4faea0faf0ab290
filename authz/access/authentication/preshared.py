"""Preshared keys: random secrets of which only the hash is kept. Called by `authenticator`; `cli` makes new ones."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from math import inf
from types import MappingProxyType

from authz.access.authentication.credential import Credential
from authz.call import Authentication, Principal, Scope

PREFIX = "authz_"
"""What a key begins with, for programs that look for leaked secrets: `authz_` and 64 hexadecimal digits."""
_RANDOM_BYTES = 32

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HASH = re.compile(r"sha256:([0-9a-f]{64})")

KeyTable = Mapping[bytes, Credential]
"""Credentials by the SHA-256 of their secret."""


def new_key(name: str) -> tuple[str, str]:
    """A new secret of 256 random bits, and the line for the file of keys.

    Raises:
        ValueError: the name is not 1 to 64 letters, digits, `.`, `_` or `-`.

    """
    if _NAME.fullmatch(name) is None:
        raise ValueError("the name of a key is 1 to 64 letters, digits, `.`, `_` or `-`")
    secret = PREFIX + secrets.token_hex(_RANDOM_BYTES)
    return secret, f"{name} sha256:{hashlib.sha256(secret.encode()).hexdigest()}"


def parse_key_file(raw: bytes) -> KeyTable:
    """Read a file of keys. Empty lines and lines that begin with `#` are passed over; a name may have several keys.

    Raises:
        ValueError: a line is malformed; the message names the line and shows nothing of it.

    """
    table: dict[bytes, Credential] = {}
    for number, line in enumerate(raw.decode(errors="replace").splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        digest, credential = _entry(words, number)
        if digest in table:
            raise ValueError(f"line {number}: the same key is given twice")
        table[digest] = credential
    return MappingProxyType(table)


def find_key(table: KeyTable, digest: bytes) -> Credential | None:
    """The credential whose secret has the hash. Takes the same time wherever it is, and if it is not there."""
    found = None
    for known, credential in table.items():
        if hmac.compare_digest(known, digest):
            found = credential
    return found


def _entry(words: list[str], number: int) -> tuple[bytes, Credential]:
    hashed = _HASH.fullmatch(words[1]) if len(words) > 1 else None
    if hashed is None or _NAME.fullmatch(words[0]) is None:
        raise ValueError(f"line {number}: expected `NAME sha256:HEX [scopes=check,read] [expires=TIME]`")
    scopes, ends = None, inf
    options = dict(word.partition("=")[::2] for word in words[2:])
    if len(options) != len(words) - 2 or not options.keys() <= {"scopes", "expires"}:
        raise ValueError(f"line {number}: only `scopes=` and `expires=` may follow the hash, each once")
    if "scopes" in options:
        scopes = _scopes(options["scopes"], number)
    if "expires" in options:
        ends = _instant(options["expires"], number)
    return bytes.fromhex(hashed[1]), Credential(Principal(f"key/{words[0]}", Authentication.KEY, scopes), ends=ends)


def _scopes(text: str, number: int) -> frozenset[Scope]:
    try:
        return frozenset(map(Scope, text.split(",")))
    except ValueError:
        known = ", ".join(f"`{each}`" for each in Scope)
        raise ValueError(f"line {number}: scopes are {known}, with commas between them") from None


def _instant(text: str, number: int) -> float:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ValueError(f"line {number}: `expires` is a time like `2030-01-31T12:00:00Z`")
    return instant.timestamp()
