"""Check on data that is deep, wide, cyclic or paradoxical."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.errors import ConditionFailed
from authz.tuples import RelationshipTuple, UserKind
from tests.support.models import conditional, model, tuples
from tests.support.rows import HeldBackReader
from tests.support.world import World

FOLDERS = model("""
model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type folder
  relations
    define parent: [folder]
    define banned: [user]
    define viewer: [user, group#member] or viewer from parent
    define reader: ([user, group#member] or reader from parent) but not banned
""")

DEPTH = 10_000


def chain(relation: str, first: str) -> list[RelationshipTuple]:
    """`DEPTH` folders below one another; `first` has the relation on the topmost."""
    links = [RelationshipTuple(f"folder:{n + 1}", "parent", f"folder:{n}") for n in range(DEPTH)]
    return [RelationshipTuple("folder:0", relation, first), *links]


@pytest.mark.parametrize("relation", ["viewer", "reader"])
def test_ten_thousand_levels(relation: str) -> None:
    """Depth is only a longer walk, through unions as well as through exclusions on every level."""
    world = World(FOLDERS, chain(relation, "user:anne"))
    assert world.check("user:anne", relation, f"folder:{DEPTH}")
    assert not world.check("user:bob", relation, f"folder:{DEPTH}")
    assert len(world.list_objects("user:anne", relation, "folder")) == DEPTH + 1
    assert world.list_users(f"folder:{DEPTH}", relation, UserKind("user")) == ["user:anne"]


def test_a_ban_half_way_down_stops_what_is_inherited() -> None:
    """An exclusion on one of ten thousand levels takes the relation from everything below it."""
    world = World(FOLDERS, [*chain("reader", "user:anne"), *tuples("folder:5000#banned@user:anne")])
    assert world.check("user:anne", "reader", "folder:4999")
    assert not world.check("user:anne", "reader", "folder:5000")
    assert not world.check("user:anne", "reader", f"folder:{DEPTH}")
    assert len(world.list_objects("user:anne", "reader", "folder")) == 5000


def test_ten_thousand_nested_groups() -> None:
    """Groups in groups are a walk too."""
    nested = [RelationshipTuple(f"group:{n + 1}", "member", f"group:{n}#member") for n in range(DEPTH)]
    world = World(FOLDERS, [*tuples("group:0#member@user:anne"), *nested])
    assert world.check("user:anne", "member", f"group:{DEPTH}")
    assert world.check("group:5#member", "member", f"group:{DEPTH}")
    assert not world.check("user:bob", "member", f"group:{DEPTH}")


def test_a_hundred_thousand_members() -> None:
    """A wide group answers for the first, the last and a stranger, and lists every member once."""
    count = 100_000
    members = [RelationshipTuple("group:all", "member", f"user:{n}") for n in range(count)]
    world = World(FOLDERS, [*members, *tuples("folder:1#viewer@group:all#member", "folder:1#banned@user:7")])
    assert world.check("user:0", "viewer", "folder:1")
    assert world.check(f"user:{count - 1}", "viewer", "folder:1")
    assert not world.check("user:stranger", "viewer", "folder:1")
    found = world.list_users("folder:1", "viewer", UserKind("user"))
    assert len(found) == len(set(found)) == count


def test_a_cycle_contributes_nothing() -> None:
    """Groups that contain each other have the members that tuples give them, and no others."""
    world = World(
        FOLDERS,
        tuples("group:a#member@group:b#member", "group:b#member@group:a#member", "group:b#member@user:anne"),
    )
    assert world.check("user:anne", "member", "group:a")
    assert not world.check("user:bob", "member", "group:a")


def test_a_userset_has_its_own_relation() -> None:
    """`o#r` has `r` on `o`, also on objects that no tuple names."""
    world = World(FOLDERS)
    assert world.check("group:x#member", "member", "group:x")
    assert not world.check("group:x#member", "member", "group:y")
    assert world.list_objects("group:x#member", "member", "group") == ["group:x"]


def test_a_paradox_is_denied() -> None:
    """Who would be allowed only if not allowed is denied."""
    paradox = model("""
model
  schema 1.1
type user
type doc
  relations
    define blocked: [user, doc#viewer]
    define viewer: [user] but not blocked
""")
    world = World(paradox, tuples("doc:1#viewer@user:anne", "doc:1#blocked@doc:1#viewer"))
    assert not world.check("user:anne", "viewer", "doc:1")
    assert world.list_objects("user:anne", "viewer", "doc") == []


GAME = model("""
model
  schema 1.1
type user
type position
  relations
    define move: [position]
    define open: [user:*]
    define lost: open but not won
    define won: [user] or lost from move
""")

graphs = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20, unique=True)


@settings(max_examples=300, deadline=None)
@given(graphs)
def test_negation_through_recursion_is_the_game_of_moves(moves: list[tuple[int, int]]) -> None:
    """A position is won if a move leads to a lost one: the well-founded semantics is retrograde analysis."""
    positions = range(8)
    won: set[int] = set()
    lost: set[int] = set()
    for _ in itertools.repeat(None, 9):
        lost |= {p for p in positions if all(after in won for before, after in moves if before == p)}
        won |= {before for before, after in moves if after in lost}
    facts = [f"position:{before}#move@position:{after}" for before, after in moves]
    facts += [f"position:{p}#open@user:*" for p in positions]
    for world in (World(GAME, tuples(*facts)), World(GAME, view=HeldBackReader(tuples(*facts)).view)):
        assert {p for p in positions if world.check("user:x", "won", f"position:{p}")} == won
        assert {p for p in positions if world.check("user:x", "lost", f"position:{p}")} == lost
        assert set(world.list_objects("user:x", "won", "position")) == {f"position:{p}" for p in won}


CONDITIONS = model("""
model
  schema 1.1
type user
type doc
  relations
    define viewer: [user with big, user:*]
    define editor: [user with big] and viewer
condition big(x: int) {
  x > 10
}
""")


def test_a_definite_answer_wins_over_a_missing_parameter() -> None:
    """The wildcard decides, whatever the condition would say; alone, the condition is an error naming the parameter."""
    tuple_ = conditional("doc:1#viewer@user:anne", "big")
    assert World(CONDITIONS, [tuple_, *tuples("doc:1#viewer@user:*")]).check("user:anne", "viewer", "doc:1")
    with pytest.raises(ConditionFailed, match=r"`big`.*`x`"):
        World(CONDITIONS, [tuple_]).check("user:anne", "viewer", "doc:1")
    assert not World(CONDITIONS, [tuple_]).check("user:bob", "viewer", "doc:1")


def test_stored_context_wins_over_the_request() -> None:
    """A caller cannot override what was stored with the tuple."""
    world = World(CONDITIONS, [conditional("doc:1#viewer@user:anne", "big", x=5)])
    assert not world.check("user:anne", "viewer", "doc:1", context={"x": 50})


def test_a_contextual_tuple_takes_the_place_of_a_stored_one() -> None:
    """With the same key, the contextual tuple's condition counts and the stored one's does not."""
    world = World(CONDITIONS, [conditional("doc:1#viewer@user:anne", "big", x=50)])
    contextual = [conditional("doc:1#viewer@user:anne", "big", x=5)]
    assert world.check("user:anne", "viewer", "doc:1")
    assert not world.check("user:anne", "viewer", "doc:1", contextual=contextual)


def test_rows_on_demand_cost_one_round_trip_per_level() -> None:
    """All rows of a level are fetched together, however many there are."""
    wide = [f"folder:top#parent@folder:{n}" for n in range(50)] + [f"folder:{n}#parent@folder:root" for n in range(50)]
    reader = HeldBackReader(tuples(*wide, "folder:root#viewer@group:g#member", "group:g#member@user:anne"))
    world = World(FOLDERS, view=reader.view)
    assert world.check("user:anne", "viewer", "folder:top")
    assert reader.rounds <= 4


OPEN = model("""
model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member with big]
type doc
  relations
    define parent: [doc with big]
    define other: [user]
    define reach: [user] or reach from parent
    define both: reach and other
    define some: [user, group#member] but not other
condition big(x: int) {
  x > 1
}
""")


def test_a_cycle_of_conditions_without_a_value_ends() -> None:
    """Open conditions in a circle are walked once, by checks and by lists, and are an error if they matter."""
    circle = [conditional(f"doc:{a}#parent@doc:{b}", "big") for a, b in ((1, 2), (2, 3), (3, 2), (2, 1))]
    world = World(OPEN, [*circle, *tuples("doc:3#reach@user:anne", "doc:9#reach@user:bob", "doc:1#other@user:cleo")])
    with pytest.raises(ConditionFailed, match="`x`"):
        world.check("user:anne", "reach", "doc:1")
    assert not world.check("user:bob", "reach", "doc:1")
    assert not world.check("user:anne", "both", "doc:1")
    with pytest.raises(ConditionFailed):
        world.list_objects("user:anne", "reach", "doc")
    assert world.list_objects("user:anne", "both", "doc") == []
    groups = [conditional(f"group:{a}#member@group:{b}#member", "big") for a, b in ((1, 2), (2, 1), (1, 1))]
    assert not World(OPEN, groups).check("user:anne", "member", "group:1")
    assert World(OPEN, groups).check("user:anne", "member", "group:1", contextual=tuples("group:1#member@user:anne"))


def test_a_userset_behind_a_gate_is_listed_on_an_object_without_tuples() -> None:
    """ListUsers and Check agree on an object's own userset, also where no tuple names the object."""
    world = World(OPEN)
    assert world.check("doc:new#some", "some", "doc:new")
    assert world.list_users("doc:new", "some", UserKind("doc", "some")) == ["doc:new#some"]
    inner = model("""
model
  schema 1.1
type user
type doc
  relations
    define other: [user]
    define base: [user]
    define some: base but not other
""")
    assert World(inner).check("doc:new#base", "some", "doc:new")
    assert World(inner).list_users("doc:new", "some", UserKind("doc", "base")) == ["doc:new#base"]
