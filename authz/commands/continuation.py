"""Places in a list, as signed tokens bound to call and store. Used by every command that answers in pages."""

from __future__ import annotations

import orjson

from authz.commands.tokens import TokenCodec
from authz.errors import InvalidContinuationToken

Place = list[str | int]


def encode_place(tokens: TokenCodec, call: str, store_id: str, place: Place) -> str:
    """The token that continues `call` on a store behind a place. `store_id` is empty for lists of stores."""
    return tokens.seal(f"page:{call}", store_id, orjson.dumps(place))


def decode_place(tokens: TokenCodec, call: str, store_id: str, token: str) -> Place | None:
    """The place in a token; None for the empty token, which begins at the start.

    Raises:
        InvalidContinuationToken: the token is damaged, or was made for another call or store.

    """
    if not token:
        return None
    payload = tokens.unseal(f"page:{call}", store_id, token)
    if payload is None:
        raise InvalidContinuationToken("the continuation token is damaged or belongs to another call or store")
    place: Place = orjson.loads(payload)
    return place
