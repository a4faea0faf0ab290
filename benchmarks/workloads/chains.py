"""Two workloads that grow in one direction: `deep`, chains of groups and folders, and `wide`, groups of many members.

Built by `registry`; their depth and width are the growth curves of the report.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from authz.tuples import RelationshipTuple
from benchmarks.workloads.shapes import mixed
from benchmarks.workloads.size import Size
from benchmarks.workloads.world import Question, World

MODEL = """
model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type folder
  relations
    define parent: [folder]
    define viewer: [user] or viewer from parent
type document
  relations
    define parent: [folder]
    define viewer: [user, group#member] or viewer from parent
"""

DEPTH, DEEP_TUPLES = 20, 20_000
WIDTH, WIDE_GROUPS = 10_000, 4
_USERS_OF_CHAIN, _DOCUMENTS_OF_GROUP = 4, 50
_DEEP_SHARES = {"group": 0.3, "folder": 0.3, "miss": 0.4}
_WIDE_SHARES = {"member": 0.5, "miss": 0.5}


def build_deep(size: Size) -> World:
    """Chains of groups (even numbers) and folders (odd numbers): who is at one end may view what is at the other."""
    depth, random = max(size.depth or DEPTH, 1), Random(f"deep {size.seed}")
    chains = max((size.tuples or DEEP_TUPLES) // (depth + _USERS_OF_CHAIN), 4)

    def tuples() -> Iterator[RelationshipTuple]:
        for chain in range(chains):
            yield from _chain_of_groups(chain, depth) if chain % 2 == 0 else _chain_of_folders(chain, depth)

    def allowed(parity: int) -> tuple[int, str]:
        chain = random.randrange(parity, chains, 2)
        return chain, f"user:{chain}-{random.randrange(_USERS_OF_CHAIN)}"

    def miss() -> tuple[int, str] | None:
        chain, other = random.randrange(chains), random.randrange(chains)
        return None if chain == other else (chain, f"user:{other}-{random.randrange(_USERS_OF_CHAIN)}")

    draws = {"group": lambda: allowed(0), "folder": lambda: allowed(1), "miss": miss}
    found = mixed(random, size.questions, _DEEP_SHARES, draws)
    questions = [
        Question(kind, f"document:{chain}", "viewer", user, allowed=kind != "miss") for kind, (chain, user) in found
    ]
    sizes = {"tuples": sum(1 for _ in tuples()), "chains": chains, "depth": depth}
    return World("deep", size.seed, sizes, MODEL, tuples, questions)


def _chain_of_groups(chain: int, depth: int) -> Iterator[RelationshipTuple]:
    yield RelationshipTuple(f"document:{chain}", "viewer", f"group:{chain}-0#member")
    for level in range(1, depth):
        yield RelationshipTuple(f"group:{chain}-{level - 1}", "member", f"group:{chain}-{level}#member")
    for user in range(_USERS_OF_CHAIN):
        yield RelationshipTuple(f"group:{chain}-{depth - 1}", "member", f"user:{chain}-{user}")


def _chain_of_folders(chain: int, depth: int) -> Iterator[RelationshipTuple]:
    yield RelationshipTuple(f"document:{chain}", "parent", f"folder:{chain}-0")
    for level in range(1, depth):
        yield RelationshipTuple(f"folder:{chain}-{level - 1}", "parent", f"folder:{chain}-{level}")
    for user in range(_USERS_OF_CHAIN):
        yield RelationshipTuple(f"folder:{chain}-{depth - 1}", "viewer", f"user:{chain}-{user}")


def build_wide(size: Size) -> World:
    """A few groups of many members, each with documents of its own; members of one are no members of another."""
    width, random = max(size.width or WIDTH, 1), Random(f"wide {size.seed}")

    def tuples() -> Iterator[RelationshipTuple]:
        for group in range(WIDE_GROUPS):
            for number in range(_DOCUMENTS_OF_GROUP):
                yield RelationshipTuple(f"document:{group}-{number}", "viewer", f"group:{group}#member")
            for user in range(width):
                yield RelationshipTuple(f"group:{group}", "member", f"user:{group}-{user}")

    def draw(distance: int) -> tuple[str, str]:
        group, number = random.randrange(WIDE_GROUPS), random.randrange(_DOCUMENTS_OF_GROUP)
        return f"document:{group}-{number}", f"user:{(group + distance) % WIDE_GROUPS}-{random.randrange(width)}"

    draws = {"member": lambda: draw(0), "miss": lambda: draw(random.randrange(1, WIDE_GROUPS))}
    found = mixed(random, size.questions, _WIDE_SHARES, draws)
    questions = [Question(kind, name, "viewer", user, allowed=kind == "member") for kind, (name, user) in found]
    sizes = {"tuples": sum(1 for _ in tuples()), "groups": WIDE_GROUPS, "group size": width}
    return World("wide", size.seed, sizes, MODEL, tuples, questions)
