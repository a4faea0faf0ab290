"""The credential in the metadata of a call. Called by the chain in `rpc` before `authenticator`."""

from __future__ import annotations

from collections.abc import Iterable

from authz.errors import InvalidBearerToken

_HEADER = "authorization"
_SCHEME = "bearer"


def bearer(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """The token of `authorization: Bearer TOKEN`, or the empty text when there is no such header.

    Raises:
        InvalidBearerToken: the header is given more than once, or is of another form.

    """
    found: str | bytes | None = None
    for name, value in metadata:
        if name == _HEADER:
            if found is not None:
                raise InvalidBearerToken("`authorization` is given more than once")
            found = value
    if found is None:
        return ""
    scheme, _, token = found.partition(" ") if isinstance(found, str) else ("", "", "")
    if scheme.lower() != _SCHEME or not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidBearerToken("`authorization` must have the form `Bearer TOKEN`")
    return token
