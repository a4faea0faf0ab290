"""Signed opaque tokens. Consistency tokens are made here; `continuation` seals its tokens with the same key.

A token is URL-safe base64 of MAC and payload; the MAC also covers what the token is for and the store it belongs to, so
a token of another store or of another call never opens.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache

from authz.errors import InvalidConsistencyToken

_MAC_BYTES = 16
_REVISION_BYTES = 8
_MAX_TOKEN_LENGTH = 5120
_PURPOSE = "consistency"


class TokenCodec:
    """Seals tokens with a secret key, and opens those sealed with it or with one of `former` keys.

    All processes that serve one datastore need the same key. To change it: add the new key to the former ones
    everywhere, then make it the first one everywhere, then drop the old one.
    """

    def __init__(self, key: bytes, *former: bytes) -> None:
        self._keys = (key, *former)
        # A store's revision stays the same over many answers, and signing costs more than looking up.
        self.encode = lru_cache(maxsize=4096)(self._encode)

    def use(self, key: bytes, *former: bytes) -> None:
        """Seal with another key from now on."""
        if (key, *former) != self._keys:
            self._keys = (key, *former)
            self.encode.cache_clear()

    def decode(self, token: str, store_id: str) -> int:
        """The revision in a consistency token.

        Raises:
            InvalidConsistencyToken: the token is damaged, or was made for another store or by another service.

        """
        payload = self.unseal(_PURPOSE, store_id, token)
        if payload is None or len(payload) != _REVISION_BYTES:
            raise InvalidConsistencyToken("the consistency token is damaged or belongs to another store")
        return int.from_bytes(payload, "big")

    def seal(self, purpose: str, store_id: str, payload: bytes) -> str:
        """A token that only `unseal` with the same purpose and store opens. It can be read by anybody."""
        mac = _mac(self._keys[0], purpose, store_id, payload)
        return urlsafe_b64encode(mac + payload).decode("ascii")

    def unseal(self, purpose: str, store_id: str, token: str) -> bytes | None:
        """The payload of a token, or None when it was not made for this purpose and store with this key."""
        if len(token) > _MAX_TOKEN_LENGTH:
            return None
        try:
            raw = urlsafe_b64decode(token)
        except ValueError:  # of base64, or not ASCII
            return None
        if urlsafe_b64encode(raw).decode("ascii") != token:  # the decoder skips what it does not know
            return None
        mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        opens = any(hmac.compare_digest(mac, _mac(key, purpose, store_id, payload)) for key in self._keys)
        return payload if opens else None

    def _encode(self, store_id: str, revision: int) -> str:
        """The consistency token of a store's revision."""
        return self.seal(_PURPOSE, store_id, revision.to_bytes(_REVISION_BYTES, "big"))


def _mac(key: bytes, purpose: str, store_id: str, payload: bytes) -> bytes:
    message = b"\0".join((purpose.encode(), store_id.encode(errors="replace"), payload))
    return hmac.digest(key, message, "sha256")[:_MAC_BYTES]
