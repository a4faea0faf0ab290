"""Which users a list names beside a typed wildcard."""

from __future__ import annotations

import pytest

from authz.tuples import UserKind
from tests.support.models import model, tuples
from tests.support.world import World

MODEL = model("""
model
  schema 1.1
type user
type doc
  relations
    define base: [user, user:*]
    define other: [user, user:*]
    define both: [user, user:*] and base
    define viewer: [user:*, user] but not both
    define either: viewer or base
    define blocked: [user, user:*] but not other
    define unblocked: [user, user:*] but not blocked
""")


@pytest.mark.parametrize(
    ("facts", "relation", "expected"),
    [
        # who is named on one side of an intersection that fails is covered by the wildcard, not listed beside it
        (["base@user:1", "viewer@user:*"], "viewer", ["user:*"]),
        (["base@user:1", "both@user:*", "viewer@user:*"], "viewer", ["user:*"]),
        (["base@user:1", "both@user:1", "viewer@user:*", "viewer@user:2"], "viewer", ["user:*", "user:2"]),
        # an exclusion names whom it takes out, and everybody who is named on its base
        (["unblocked@user:*", "blocked@user:1", "other@user:*"], "unblocked", ["user:*", "user:1"]),
        (["unblocked@user:*", "blocked@user:*", "other@user:1"], "unblocked", ["user:1"]),
        (["unblocked@user:*", "other@user:1"], "unblocked", ["user:*"]),
        # what one branch takes out, another gives to everybody
        (["viewer@user:1", "both@user:1", "base@user:1"], "either", ["user:1"]),
        (["viewer@user:1", "both@user:*", "base@user:*"], "either", ["user:*"]),
    ],
)
def test_named_users(facts: list[str], relation: str, expected: list[str]) -> None:
    """A user is listed when a tuple names it and it holds; a wildcard alone names nobody."""
    world = World(MODEL, tuples(*(f"doc:1#{fact}" for fact in facts)))
    assert sorted(world.list_users("doc:1", relation, UserKind("user"))) == expected
