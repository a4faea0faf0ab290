"""The form of an object's id, the part after `type:`.

Used by the service and by tools that check tuples before they send them.
"""

from __future__ import annotations

import re

_OBJECT_ID = re.compile(r"[^#:\s*][a-zA-Z0-9_|*@.+/\-]*")


def is_object_id(text: str) -> bool:
    """Return whether a text can be an object id.

    It has letters, digits and `_ | * @ . + / -`; its first character may be any but `#`, `:`, `*` and whitespace.
    """
    return _OBJECT_ID.fullmatch(text) is not None
