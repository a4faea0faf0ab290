"""The strict reading of a compact JWT, before anything in it is believed. Called by `tokens`."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, NamedTuple, NoReturn

from authz.errors import InvalidBearerToken

MAX_TOKEN_BYTES = 8192
MAX_KEY_ID = 256

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
# A token that brings its own key, changes what is signed, or asks for rules that nobody here knows. `jku` and `x5u`
# are not among them, since some servers always send them; nothing here ever looks at them.
_REFUSED_HEADERS = ("crit", "b64", "jwk", "x5c", "enc", "zip", "cty")

Claims = dict[str, Any]


class Parsed(NamedTuple):
    """A token that is well formed; nothing in it is verified."""

    algorithm: str
    key_id: str | None
    type: str
    """Empty when the token has none."""
    claims: Claims


def parse_token(token: str) -> Parsed:
    """Read a compact JWS with JSON claims (RFC 7515, RFC 7519).

    Every text has one reading: no padding, no second spelling of the same bytes, no member twice, no `NaN`.

    Raises:
        InvalidBearerToken: the token is malformed; the message does not repeat it.

    """
    if len(token) > MAX_TOKEN_BYTES:
        raise InvalidBearerToken(f"the token is larger than {MAX_TOKEN_BYTES} bytes")
    compact = _COMPACT.fullmatch(token)
    if compact is None:
        raise InvalidBearerToken("the token is not a signed JWT: three parts in base64url are expected")
    header = _object(compact[1], "header")
    claims = _object(compact[2], "payload")
    _decode(compact[3], "signature")
    for name in _REFUSED_HEADERS:
        if name in header:
            raise InvalidBearerToken(f"tokens with `{name}` in the header are not accepted")
    algorithm, type_ = header.get("alg"), header.get("typ", "")
    if not isinstance(algorithm, str) or not isinstance(type_, str):
        raise InvalidBearerToken("`alg` and `typ` in the header of the token must be texts")
    return Parsed(algorithm, _key_id(header), type_, claims)


def _key_id(header: Claims) -> str | None:
    if "kid" not in header:
        return None
    key_id = header["kid"]
    if not isinstance(key_id, str) or not 0 < len(key_id) <= MAX_KEY_ID:
        raise InvalidBearerToken(f"`kid` in the header of the token must be a text of 1 to {MAX_KEY_ID} characters")
    return key_id


def _decode(part: str, name: str) -> bytes:
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise InvalidBearerToken(f"the {name} of the token is not base64url") from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != part:
        raise InvalidBearerToken(f"the {name} of the token is not canonical base64url")
    return raw


def _object(part: str, name: str) -> Claims:
    try:
        value = json.loads(
            _decode(part, name).decode(), object_pairs_hook=_members, parse_constant=_refuse, parse_float=_number
        )
    except (ValueError, RecursionError):
        raise InvalidBearerToken(f"the {name} of the token is not JSON with distinct members") from None
    if not isinstance(value, dict):
        raise InvalidBearerToken(f"the {name} of the token is not a JSON object")
    return value


def _members(pairs: list[tuple[str, Any]]) -> Claims:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice")
    return members


def _refuse(_text: str) -> NoReturn:
    raise ValueError("not a number of JSON")


def _number(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number out of range")
    return value
