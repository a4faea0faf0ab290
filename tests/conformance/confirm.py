"""Let the naive evaluator decide where two engines differ. Used by test_fga_oracle.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conformance.fga import ERROR, Asked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.reference import Reference

Relation = tuple[str, str]
"""(type, relation)."""

_DECISIONS = {"True": {"allowed"}, "False": {"denied", "paradox"}, ERROR: {"conditional", "paradox"}}


def confirmed(reference: Reference, question: Asked, ours: str) -> bool:
    """Whether the naive evaluator agrees with our answer."""
    kind, subject, relation, target = question
    if kind == "check":
        return reference.check(subject, relation, target) in _DECISIONS[ours]
    listed = set(filter(None, ours.strip("[]").split(", ")))
    if kind == "list_objects":
        certain, possible = reference.list_objects(subject, relation, target)
        return possible > certain if ours == ERROR else listed == certain
    if ours == ERROR:
        return None in reference.values.values()
    verdicts = {user: reference.check(user, relation, target) for user in _named(reference, subject, target) | listed}
    allowed = {user for user, verdict in verdicts.items() if verdict == "allowed"}
    is_covered = f"{subject}:*" in listed
    return listed <= allowed and (is_covered or allowed <= listed)


def _named(reference: Reference, kind: str, target: str) -> set[str]:
    """The users of a kind that tuples (or the question) name."""
    type_, _, relation = kind.partition("#")
    names = {name for name in reference.objects | {target} if name.startswith(f"{type_}:")}
    return {f"{name}#{relation}" for name in names} if relation else names


def has_recursion_below_subtraction(model: Mapping[str, Any]) -> bool:
    """Whether a subtracted operand leads to a relation that leads to itself.

    The other engine takes such a relation for met when it comes around to it while it is being evaluated; by the set
    semantics a cycle alone gives nobody anything.
    """
    uses: dict[Relation, set[Relation]] = {}
    subtracted: set[Relation] = set()
    for definition in model["type_definitions"]:
        metadata = (definition.get("metadata") or {}).get("relations") or {}
        parents = {name: _types(entry) for name, entry in metadata.items()}
        for relation, rewrite in (definition.get("relations") or {}).items():
            key = (definition["type"], relation)
            own = {
                (entry["type"], entry["relation"])
                for entry in metadata.get(relation, {}).get("directly_related_user_types") or ()
                if entry.get("relation")
            }
            uses[key] = set()
            for used, is_subtracted in _leaves(rewrite, key, parents, own, is_subtracted=False):
                uses[key].add(used)
                if is_subtracted:
                    subtracted.add(used)
    reached = _closure(uses, subtracted)
    return any(relation in _closure(uses, uses.get(relation, set())) for relation in reached)


def _types(entry: Mapping[str, Any]) -> list[str]:
    return [reference["type"] for reference in entry.get("directly_related_user_types") or ()]


def _leaves(
    rewrite: Mapping[str, Any],
    key: Relation,
    parents: Mapping[str, list[str]],
    own: set[Relation],
    *,
    is_subtracted: bool,
) -> Iterator[tuple[Relation, bool]]:
    """The relations that a rewrite uses, and whether it subtracts them."""
    ((operator, operand),) = rewrite.items()
    match operator:
        case "this":
            yield from ((used, is_subtracted) for used in own)
        case "computedUserset":
            yield (key[0], operand["relation"]), is_subtracted
        case "tupleToUserset":
            for type_ in parents.get(operand["tupleset"]["relation"], ()):
                yield (type_, operand["computedUserset"]["relation"]), is_subtracted
        case "difference":
            yield from _leaves(operand["base"], key, parents, own, is_subtracted=is_subtracted)
            yield from _leaves(operand["subtract"], key, parents, own, is_subtracted=True)
        case _:
            for child in operand["child"]:
                yield from _leaves(child, key, parents, own, is_subtracted=is_subtracted)


def _closure(uses: Mapping[Relation, set[Relation]], start: set[Relation]) -> set[Relation]:
    reached: set[Relation] = set()
    pending = list(start)
    while pending:
        relation = pending.pop()
        if relation not in reached:
            reached.add(relation)
            pending += uses.get(relation, ())
    return reached
