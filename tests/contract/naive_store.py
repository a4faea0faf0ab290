"""A datastore as plain as can be: every revision of one store is a dict. The contract tests compare with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz.errors import InvalidWrite, WriteConflict
from authz.store.api import OnExisting, Operation, TupleWrite
from authz.tuples import RelationshipCondition, RelationshipTuple, TupleKey, object_type

if TYPE_CHECKING:
    from authz.store.api import ForwardKey, ReverseKey, TupleFilter

State = dict[TupleKey, RelationshipCondition | None]
Entry = tuple[int, int, Operation, RelationshipTuple]


class NaiveStore:
    """`states[r]` is what is alive at revision r; `entries` is the changelog without times."""

    def __init__(self) -> None:
        self.states: list[State] = [{}]
        self.entries: list[Entry] = []

    @property
    def head(self) -> int:
        return len(self.states) - 1

    def write(self, write: TupleWrite) -> list[Entry]:
        """The changes, or the error."""
        state = dict(self.states[-1])
        done: list[tuple[Operation, RelationshipTuple]] = []
        for key in write.deletes:
            if key in state:
                done.append((Operation.DELETE, RelationshipTuple(*key, state.pop(key))))
            elif write.on_missing is OnExisting.ERROR:
                raise InvalidWrite(str(key))
        for item in write.writes:
            if item.key not in state:
                state[item.key] = item.condition
                done.append((Operation.WRITE, item))
            elif write.on_duplicate is OnExisting.ERROR:
                raise InvalidWrite(str(item.key))
            elif _spelled(state[item.key]) != _spelled(item.condition):
                raise WriteConflict(str(item.key))
        if not done:
            return []
        self.states.append(state)
        entries = [(self.head, ordinal, operation, item) for ordinal, (operation, item) in enumerate(done)]
        self.entries.extend(entries)
        return entries

    def at(self, revision: int) -> list[RelationshipTuple]:
        """Everything alive at a revision."""
        return [RelationshipTuple(*key, condition) for key, condition in self.states[revision].items()]

    def rows(self, revision: int, forward: list[ForwardKey], reverse: list[ReverseKey]) -> list[RelationshipTuple]:
        """The rows of the index."""
        return [
            item
            for item in self.at(revision)
            if any(key == (item.object, item.relation) for key in forward)
            or any(key == (item.user, object_type(item.object), item.relation) for key in reverse)
        ]

    def matching(self, revision: int, filter_: TupleFilter) -> list[RelationshipTuple]:
        """The tuples that match a filter."""

        def matches(item: RelationshipTuple) -> bool:
            whole_type = filter_.object.endswith(":") and item.object.startswith(filter_.object)
            return (
                (not filter_.object or whole_type or filter_.object == item.object)
                and filter_.relation in ("", item.relation)
                and filter_.user in ("", item.user)
            )

        return [item for item in self.at(revision) if matches(item)]


def _spelled(condition: RelationshipCondition | None) -> str:
    """A text that tells JSON values apart: `repr`, with whole floats as integers and members in order."""
    if condition is None:
        return ""

    def spell(value: object) -> str:
        if isinstance(value, dict):
            return "{" + ",".join(f"{name!r}:{spell(value[name])}" for name in sorted(value)) + "}"
        if isinstance(value, list):
            return "[" + ",".join(map(spell, value)) + "]"
        if isinstance(value, float) and value.is_integer():
            return repr(int(value))
        return repr(value)

    return condition.name + spell(condition.context)
