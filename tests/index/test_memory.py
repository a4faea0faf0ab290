"""The resident index follows a changelog exactly, and its snapshots stay where they were taken."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.errors import Bug
from authz.index.memory import Snapshot, TupleIndex
from authz.index.rows import MISSING, Rows, View
from authz.model.plan import Edge
from authz.store.api import Change, Operation
from authz.tuples import RelationshipCondition, RelationshipTuple, UserKind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = Edge("doc", "viewer", UserKind("user"))
CONDITIONAL = Edge("doc", "viewer", UserKind("user"), "c")
names = st.sampled_from(["1", "2", "3"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("change"), names, names, st.sampled_from([None, {}, {"x": 1}])),
        st.tuples(st.sampled_from(["open", "close"]), st.just(""), st.just(""), st.none()),
    ),
    max_size=60,
)

Contents = dict[tuple[str, str], dict[str, int] | None]


def contents(view: View) -> Contents:
    """Everything a view says about the two edges, read forward and backward."""
    found: Contents = {}
    backward: Contents = {}
    for number in ("1", "2", "3"):
        for other in ("1", "2", "3"):
            for edge in (PLAIN, CONDITIONAL):
                name, user = view.find(f"doc:{number}"), view.find(f"user:{other}")
                if name is None or user is None:
                    continue
                _note(found, only(view.forward(edge)).get(name), (number, other), user)
                _note(backward, only(view.reverse(edge)).get(user), (number, other), name)
    assert found == backward
    return found


def only(rows: Sequence[Rows]) -> Rows:
    (single,) = rows
    return single


def _note(found: Contents, row: object, key: tuple[str, str], entry: int) -> None:
    assert row is not MISSING
    if isinstance(row, dict) and entry in row:
        found[key] = row[entry]
    elif row == entry or (isinstance(row, set | list) and entry in row):
        found[key] = None


@settings(max_examples=300, deadline=None)
@given(steps)
def test_index_and_snapshots_are_exact(script: list[tuple[str, str, str, dict[str, int] | None]]) -> None:
    """After every change the index holds what was written and not deleted; open snapshots what held then."""
    index, truth = TupleIndex(0), Contents()
    snapshots: list[tuple[Snapshot, Contents]] = []
    for action, number, other, context in script:
        if action == "open":
            snapshots.append((index.snapshot(), dict(truth)))
        elif action == "close" and snapshots:
            snapshots.pop(0)[0].close()
        elif action == "change":
            _toggle(index, truth, number, other, context)
        assert contents(index) == truth
        for snapshot, frozen in snapshots:
            assert contents(snapshot) == frozen


def _toggle(index: TupleIndex, truth: Contents, number: str, other: str, context: dict[str, int] | None) -> None:
    key = (number, other)
    operation = Operation.WRITE
    if key in truth:
        operation, context = Operation.DELETE, truth.pop(key)
    else:
        truth[key] = context
    condition = None if context is None else RelationshipCondition("c", dict(context))
    tuple_ = RelationshipTuple(f"doc:{number}", "viewer", f"user:{other}", condition)
    index.apply([Change(index.revision + 1, 0, operation, tuple_, NOW, "")])


def _change(revision: int, operation: Operation = Operation.WRITE) -> Change:
    return Change(revision, 0, operation, RelationshipTuple("doc:1", "viewer", "user:1"), NOW, "")


def test_changes_are_applied_once() -> None:
    """Changes that were applied already are passed over."""
    index = TupleIndex(0)
    index.apply([_change(1)])
    index.apply([_change(1), _change(2, Operation.DELETE)])
    assert index.revision == 2
    assert contents(index) == {}


def test_a_gap_in_the_changelog_is_a_bug() -> None:
    """An index never jumps over a revision."""
    with pytest.raises(Bug, match="revision 0 to 2"):
        TupleIndex(0).apply([_change(2)])


def test_deleting_what_is_not_there_is_a_bug() -> None:
    """An index that has lost a tuple says so."""
    with pytest.raises(Bug, match="doc:1#viewer@user:1"):
        TupleIndex(0).apply([_change(1, Operation.DELETE)])
