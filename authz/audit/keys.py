"""The keys that seal the trail: read from a file that rotates, from a setting, or from the datastore. Used by all of
`audit` and by `app`.

From each key others are derived (HKDF, RFC 5869, with SHA-256), one a purpose, so that a code of one kind can never
stand in for another: for records, for heads, for redaction, for the signature of checkpoints.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from authz.watched import WatchedFile

MIN_BYTES = 32
MAC_BYTES = 32
_BLOCK = 64
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")


class Mac:
    """HMAC-SHA256 (RFC 2104) under one key. The padded key is hashed once: half the cost of `hmac.digest`."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        # INVARIANT: derived keys are shorter than a block, so they are never hashed themselves.
        padded = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    def __call__(self, message: bytes) -> bytes:
        """The code of a message. Safe from several threads."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


class Key:
    """One key of the ring, with those derived from it. Shows its id alone.

    Raises:
        ValueError: an id of other characters, or less than `MIN_BYTES`.

    """

    __slots__ = ("fingerprint", "id", "record", "redaction", "seal", "signing")

    def __init__(self, id_: str, secret: bytes) -> None:
        if not _ID.fullmatch(id_):
            raise ValueError("the id of an audit key has letters, digits, `.`, `_` and `-` only, at most 64")
        if len(secret) < MIN_BYTES:
            raise ValueError(f"the audit key `{id_}` is shorter than {MIN_BYTES} bytes")
        self.id = id_
        self.record = Mac(_derive(secret, b"records"))
        self.seal = Mac(_derive(secret, b"heads"))
        self.redaction = Mac(_derive(secret, b"redaction"))
        self.signing = Ed25519PrivateKey.from_private_bytes(_derive(secret, b"checkpoints"))
        self.fingerprint = _derive(secret, b"fingerprint")[:8]

    @property
    def public(self) -> bytes:
        """The public key of checkpoints: 32 bytes (RFC 8032)."""
        return self.signing.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"Key({self.id!r})"


class KeyRing:
    """Keys by id. The first seals; the others only verify.

    Raises:
        ValueError: no key, or two of one id.

    """

    __slots__ = ("_by_id", "active")

    def __init__(self, keys: Sequence[Key]) -> None:
        if not keys:
            raise ValueError("there is no audit key")
        self._by_id = {key.id: key for key in keys}
        if len(self._by_id) < len(keys):
            raise ValueError("two audit keys have the same id")
        self.active = keys[0]

    def find(self, id_: str) -> Key | None:
        """The key with an id."""
        return self._by_id.get(id_)

    def is_newer(self, id_: str, than: str) -> bool:
        """Whether a key stands before another in the ring, which lists the newest first; an unknown one is oldest."""
        order = list(self._by_id)
        return id_ in order and (than not in order or order.index(id_) < order.index(than))

    def __iter__(self) -> Iterator[Key]:
        return iter(self._by_id.values())

    def __repr__(self) -> str:
        return f"KeyRing({list(self._by_id)})"


class Keys(Protocol):
    """Where the ring comes from, as it is now."""

    @property
    def ring(self) -> KeyRing:
        """The keys of this moment; costs less than a microsecond but for one look at the file a second."""
        ...


class FixedKeys:
    """A ring that does not change."""

    def __init__(self, ring: KeyRing) -> None:
        self.ring = ring


class FileKeys:
    """The ring in a file, read again when the file changes. What a key id stands for can never change.

    Raises:
        OSError: the file cannot be read at the start.
        ValueError: it holds no keys at the start.

    """

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._known: dict[str, bytes] = {}
        self._file = WatchedFile(path, self._parse, monotonic)

    @property
    def ring(self) -> KeyRing:
        """See `Keys`."""
        return self._file.value

    def _parse(self, raw: bytes) -> KeyRing:
        ring = parse_keys(raw)
        for key in ring:
            if self._known.setdefault(key.id, key.fingerprint) != key.fingerprint:
                raise ValueError(f"the audit key `{key.id}` is another than before: a new key needs a new id")
        return ring


def parse_keys(raw: bytes) -> KeyRing:
    """The ring in lines `ID:KEY` (base64 or hex). Empty lines and those that begin with `#` are passed over.

    Raises:
        ValueError: anything else; the message shows nothing secret.

    """
    try:
        lines = [line.strip() for line in raw.decode("ascii").splitlines()]
    except UnicodeDecodeError:
        raise ValueError("audit keys are lines of ASCII") from None
    return KeyRing([_key(number, line) for number, line in enumerate(lines, 1) if line and not line.startswith("#")])


def stored_key(secret: bytes) -> KeyRing:
    """The ring of a secret that the datastore keeps."""
    return KeyRing([Key("datastore", secret)])


def _key(number: int, line: str) -> Key:
    id_, colon, text = line.partition(":")
    text = text.strip()
    if not colon:
        raise ValueError(f"line {number} of the audit keys is not of the form `ID:KEY`")
    # Hex of a long enough key is valid base64 too, of another key: it is hex.
    if len(text) >= 2 * MIN_BYTES and _HEX.fullmatch(text):
        return Key(id_.strip(), bytes.fromhex(text))
    try:
        padded = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
        return Key(id_.strip(), base64.b64decode(padded, validate=True))
    except binascii.Error:
        raise ValueError(f"line {number} of the audit keys holds neither base64 nor hex") from None


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"authz audit " + purpose).derive(secret)
