"""Tuples as YAML and JSON write them: `user`, `relation`, `object` and an optional `condition`. Used wherever a file
holds tuples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz.tuples import RelationshipCondition, RelationshipTuple

if TYPE_CHECKING:
    from authz.cli.document import Part

# Reports of refused tuples can be imported again once they are mended: their remarks are known keys.
REMARKS = ("line", "reason")
_NAMES = ("user", "relation", "object")
_KEYS = (*_NAMES, "condition")


def tuple_part(part: Part, *, with_remarks: bool = False) -> RelationshipTuple | None:
    """The tuple that a part of a document holds; None when it holds none, which the document then notes."""
    members = part.members((*_KEYS, *REMARKS) if with_remarks else _KEYS, required=_NAMES)
    texts = {name: members[name].text() for name in _NAMES if name in members}
    if len(texts) < len(_NAMES) or not all(texts.values()):
        return None
    condition = _condition(members["condition"]) if "condition" in members else None
    return RelationshipTuple(texts["object"], texts["relation"], texts["user"], condition)


def _condition(part: Part) -> RelationshipCondition:
    members = part.members(("name", "context"), required=("name",))
    name = members["name"].text() if "name" in members else ""
    return RelationshipCondition(name, members["context"].context() if "context" in members else {})
