"""Read a request off the wire. What every exchange does with its payload, unless it came in another form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from authz.errors import InvalidRequest

if TYPE_CHECKING:
    from google.protobuf.message import Message


def parse(type_: type[Message], payload: bytes) -> Message:
    """Read a message.

    Raises:
        InvalidRequest: not this message: wrong wire format, text that is not UTF-8, or nested too deeply.

    """
    try:
        return type_.FromString(payload)
    except DecodeError:
        raise InvalidRequest(
            f"the request is not a valid `{type_.DESCRIPTOR.name}` message (or has text that is not UTF-8)"
        ) from None
