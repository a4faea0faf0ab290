"""Which tuples and names a model allows, and what is said of the others."""

from __future__ import annotations

import pytest

from authz.errors import InvalidRequest, InvalidTuple
from authz.model.tuples import check_contextual_tuples, check_question, check_tuple
from authz.tuples import RelationshipCondition, RelationshipTuple
from tests.support.models import conditional, model, tuples
from tests.support.world import World

MODEL = model("""
model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type doc
  relations
    define parent: [doc]
    define viewer: [user, user:*, group#member, user with big]
    define guest: [user:* with big]
    define can_view: viewer or viewer from parent
condition big(x: int) {
  x > 10
}
""")


@pytest.mark.parametrize(
    "line",
    [
        "doc:1#viewer@user:anne",
        "doc:1#viewer@user:*",
        "doc:1#viewer@group:eng#member",
        "doc:a/b.c@d|e+f-g#parent@doc:2",
        "doc:1#viewer@user:a*b",
    ],
)
def test_allowed(line: str) -> None:
    """What the direct type restrictions name is allowed."""
    left, _, user = line.rpartition("@")
    name, _, relation = left.rpartition("#")
    if line.startswith("doc:1#viewer@group"):
        name, relation, user = "doc:1", "viewer", "group:eng#member"
    check_tuple(MODEL, RelationshipTuple(name, relation, user))


@pytest.mark.parametrize(
    ("name", "relation", "user", "message"),
    [
        ("doc:1", "viewer", "robot:1", "type `robot`"),
        ("doc:1", "viewer", "group:eng", "`group`"),
        ("doc:1", "viewer", "group:eng#owner", "`group#owner`"),
        ("doc:1", "viewer", "group:*", r"`group:\*`"),
        ("doc:1", "viewer", "anne", "`anne`"),
        ("doc:1", "viewer", "user:", "`user:`"),
        ("doc:1", "viewer", ":anne", "`:anne`"),
        ("doc:1", "viewer", "user:an ne", "`user:an ne`"),
        ("doc:1", "viewer", "user:a:b", "`user:a:b`"),
        ("doc:1", "viewer", "user:*#member", r"`user:\*#member`"),
        ("doc:1", "viewer", "user:*anne", r"`user:\*anne`"),
        ("doc:1", "viewer", "user:a#b#c", "`user:a#b#c`"),
        ("doc:1", "viewer", "user:\x00", "user `"),
        ("doc:*", "viewer", "user:anne", r"`doc:\*`"),
        ("doc", "viewer", "user:anne", "`doc`"),
        ("doc:1#viewer", "viewer", "user:anne", "`doc:1#viewer`"),
        ("file:1", "viewer", "user:anne", "type `file`"),
        ("doc:1", "owner", "user:anne", "`doc#owner`"),
        ("doc:1", "can_view", "user:anne", "`doc#can_view`"),
        ("doc:1", "guest", "user:*", "without a condition"),
        ("doc:" + "x" * 300, "viewer", "user:anne", "object"),
        ("doc:1", "viewer", "user:" + "x" * 600, "user"),
    ],
)
def test_refused(name: str, relation: str, user: str, message: str) -> None:
    """What is malformed or not allowed is refused, and the message names it."""
    with pytest.raises(InvalidRequest, match=message):
        check_tuple(MODEL, RelationshipTuple(name, relation, user))
    with pytest.raises(InvalidTuple, match=message):
        check_contextual_tuples(MODEL, [RelationshipTuple(name, relation, user)])


def test_conditions_are_part_of_what_is_allowed() -> None:
    """A condition must be defined, allowed at this place, and its context must fit."""
    check_tuple(MODEL, conditional("doc:1#viewer@user:anne", "big", x=5))
    check_tuple(MODEL, conditional("doc:1#guest@user:*", "big"))
    for broken, message in [
        (conditional("doc:1#viewer@user:anne", ""), "no name"),
        (conditional("doc:1#viewer@user:*", "big"), "with condition `big`"),
        (conditional("doc:1#viewer@user:anne", "small"), "condition `small` is not defined"),
        (conditional("doc:1#viewer@user:anne", "big", y=1), "y"),
        (conditional("doc:1#viewer@user:anne", "big", x="many"), "x"),
    ]:
        with pytest.raises(InvalidRequest, match=message):
            check_tuple(MODEL, broken)


def test_a_contextual_tuple_that_contradicts_another_is_refused() -> None:
    """The same tuple may come twice, as some clients send it; two conditions for one key may not."""
    twice = tuples("doc:1#viewer@user:anne") * 2
    check_contextual_tuples(MODEL, twice)
    assert World(MODEL).check("user:anne", "viewer", "doc:1", contextual=twice)
    other = twice[0]._replace(condition=RelationshipCondition("big", {}))
    with pytest.raises(InvalidTuple, match="given twice"):
        check_contextual_tuples(MODEL, [twice[0], other])


def test_questions_are_checked_against_the_model() -> None:
    """A question about names that the model does not define is an error, not a denial."""
    check_question(MODEL, "doc:1", "can_view", "user:anne")
    check_question(MODEL, "doc:1", "can_view", "user:*")
    for name, relation, user in [
        ("doc:1", "can_edit", "user:anne"),
        ("file:1", "can_view", "user:anne"),
        ("doc:1", "can_view", "robot:1"),
        ("doc:*", "can_view", "user:anne"),
        ("doc:1", "can_view", "group:1#owner"),
    ]:
        with pytest.raises(InvalidRequest):
            check_question(MODEL, name, relation, user)
