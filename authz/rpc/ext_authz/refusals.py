"""Why a request is not let through. Raised by all parts that read a request; answered by `gateway`."""

from __future__ import annotations


class Refused(Exception):
    """The request is denied; `message` is what its sender may know."""

    status = 403
    """The HTTP status."""
    code = "forbidden"
    """The name of it in the body."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unidentified(Refused):
    """The request names nobody, or its credential proves nobody."""

    status = 401
    code = "unauthenticated"
