"""Tuples out of columns. Used by tests that read whole stores."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from authz.store.api import TupleColumns
from authz.tuples import RelationshipCondition, RelationshipTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from authz.store.api import TupleReader


async def read_all(reader: TupleReader, store_id: str, revision: int) -> list[RelationshipTuple]:
    """All tuples of a store at a revision."""
    return [item async for batch in reader.columns(store_id, revision) for item in from_columns(batch)]


def from_columns(batch: Sequence[TupleColumns]) -> list[RelationshipTuple]:
    """The tuples of a batch."""
    return [item for columns in batch for item in _rows(columns)]


def to_columns(tuples: Iterable[RelationshipTuple]) -> list[TupleColumns]:
    """The columns of tuples, as a datastore gives them."""
    found: dict[tuple[str, str, str], TupleColumns] = {}
    for item in tuples:
        condition = item.condition
        shape = item.object.partition(":")[0], item.relation, condition.name if condition else ""
        columns = found.setdefault(shape, TupleColumns(*shape, [], [], []))
        columns.objects.append(item.object)
        columns.users.append(item.user)
        if condition:
            columns.contexts.append(json.dumps(condition.context))
    return list(found.values())


def _rows(columns: TupleColumns) -> Iterable[RelationshipTuple]:
    contexts: Sequence[str | None] = columns.contexts or [None] * len(columns.objects)
    assert bool(columns.condition) == bool(columns.contexts)
    for object_, user, text in zip(columns.objects, columns.users, contexts, strict=True):
        assert object_.startswith(f"{columns.object_type}:")
        condition = None if text is None else RelationshipCondition(columns.condition, json.loads(text or "{}"))
        yield RelationshipTuple(object_, columns.relation, user, condition)
