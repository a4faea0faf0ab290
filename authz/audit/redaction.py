"""Values that must not be recorded in clear: replaced by keyed hashes, so that equal values stay comparable. Used by
`payloads`; asked by `rpc` to put filters of queries into the same form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from authz.audit.keys import Keys, Mac
from authz.store.trail import RecordFilter

HASH_BYTES = 16

# Members of a filter by the name that they have in a record.
_FILTERED = {
    "principal": "principal",
    "store": "store_id",
    "object": "object",
    "relation": "relation",
    "user": "user",
    "request_id": "request_id",
}
_KEPT = frozenset({"kind", "time"})
"""Members without which a record cannot be read."""


class Redaction:
    """Which members are hashed: by name, or by a path whose end must match, such as `context.ssn`.

    Hashes of one value are equal while the active key is the same.
    """

    def __init__(self, members: Sequence[str], keys: Keys) -> None:
        self._keys = keys
        self._paths = [tuple(member.split(".")) for member in members]

    def __bool__(self) -> bool:
        return bool(self._paths)

    def apply(self, record: dict[str, Any]) -> dict[str, Any]:
        """A record with hashes in place of what must not be seen."""
        if not self._paths:
            return record
        code = self._keys.ring.active.redaction
        kept = {name: value for name, value in record.items() if name in _KEPT}
        rest = {name: value for name, value in record.items() if name not in _KEPT}
        return {**kept, **self._walk(rest, (), code)}

    def in_filter(self, wanted: RecordFilter) -> RecordFilter:
        """A filter whose values look as they do in the records."""
        code = self._keys.ring.active.redaction
        hidden: dict[str, Any] = {
            member: _hashed(text, code)
            for name, member in _FILTERED.items()
            if (name,) in self._paths and (text := getattr(wanted, member))
        }
        return wanted._replace(**hidden)

    def _walk(self, value: Any, path: tuple[str, ...], code: Mac) -> Any:
        if isinstance(value, dict):
            return {name: self._member(inner, (*path, str(name)), code) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._walk(inner, path, code) for inner in value]
        return value

    def _member(self, value: Any, path: tuple[str, ...], code: Mac) -> Any:
        if value is not None and any(path[-len(hidden) :] == hidden for hidden in self._paths):
            return _hashed(value, code)
        return self._walk(value, path, code)


def _hashed(value: Any, code: Mac) -> str:
    raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else orjson.dumps(value)
    return f"hmac:{code(raw)[:HASH_BYTES].hex()}"
