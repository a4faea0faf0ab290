"""Expand of what is large."""

from __future__ import annotations

import pytest

from authz.engine import expand
from authz.engine.expand import UsersLeaf
from tests.support.models import model, tuples
from tests.support.world import World

GROUP = model("""
model
  schema 1.1
type user
type group
  relations
    define member: [user]
""")


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 35])
def test_users_are_sorted_piece_by_piece(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """The same order as in one go, nobody twice and nobody left out."""
    monkeypatch.setattr(expand, "SORTED_AT_ONCE", 10)
    names = [f"user:{number * 7 % 97}" for number in range(count)]
    world = World(GROUP, tuples(*(f"group:1#member@{name}" for name in names)))
    assert world.expand("member", "group:1") == UsersLeaf("group:1#member", tuple(sorted(names)))
