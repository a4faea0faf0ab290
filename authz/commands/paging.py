"""How long a page is. Used by every command that answers in pages."""

from __future__ import annotations

from authz.commands.limits import Limits
from authz.errors import InvalidPageSize


def page_size(asked: int, limits: Limits) -> int:
    """The number of entries of a page; 0 asks for the default.

    Raises:
        InvalidPageSize: negative, or above the maximum.

    """
    if asked == 0:
        return limits.default_page_size
    if not 0 < asked <= limits.max_page_size:
        raise InvalidPageSize(f"`page_size` must be between 1 and {limits.max_page_size}: got `{asked}`")
    return asked
