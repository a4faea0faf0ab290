"""A naive evaluator of relationship models: set semantics by fixpoint, sharing no code with the engine.

Property tests compare the engine with it. It is slow and plain on purpose: for one user it computes the truth of
*every* (object, relation) by the alternating fixpoint of the well-founded semantics (Van Gelder 1993), scanning a
list of tuples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

Atom = tuple[str, str]
"""(`type:id`, relation)."""


class Fact(NamedTuple):
    """A tuple; `condition` is a name with its stored context, or None."""

    object: str
    relation: str
    user: str
    condition: tuple[str, Mapping[str, Any]] | None = None


class Bound(NamedTuple):
    """One side from which truth is approached: what holds, and what a condition without a value counts as."""

    held: frozenset[Atom] | set[Atom]
    unknown: bool


class Truth(NamedTuple):
    """The atoms that certainly hold, and those that possibly hold."""

    certain: frozenset[Atom]
    possible: frozenset[Atom]


ConditionValue = Callable[[str, Mapping[str, Any]], bool | None]
"""Value of a condition with a stored context under the request's; None when it has none."""


def _type(name: str) -> str:
    return name.split(":", 1)[0]


class Reference:
    """All answers for one model and one set of tuples."""

    def __init__(self, model: Mapping[str, Any], facts: Iterable[Fact], condition: ConditionValue) -> None:
        self.rewrites: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.restrictions: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
        for definition in model["type_definitions"]:
            self._add_type(definition)
        self.facts = [fact for fact in facts if self._is_valid(fact)]
        self.values = {index: self._value(fact, condition) for index, fact in enumerate(self.facts)}
        names = {fact.object for fact in self.facts} | {fact.user.split("#")[0] for fact in self.facts}
        self.objects = {name for name in names if not name.endswith(":*")}

    def _add_type(self, definition: Mapping[str, Any]) -> None:
        metadata = (definition.get("metadata") or {}).get("relations") or {}
        for relation, rewrite in (definition.get("relations") or {}).items():
            key = (definition["type"], relation)
            self.rewrites[key] = rewrite
            references = (metadata.get(relation) or {}).get("directly_related_user_types") or []
            self.restrictions[key] = [
                (
                    reference["type"],
                    "*" if reference.get("wildcard") is not None else reference.get("relation") or "",
                    reference.get("condition") or "",
                )
                for reference in references
            ]

    def _is_valid(self, fact: Fact) -> bool:
        name, _, relation = fact.user.partition("#")
        kind = "*" if name.endswith(":*") else relation
        condition = fact.condition[0] if fact.condition else ""
        return (_type(name), kind, condition) in self.restrictions.get((_type(fact.object), fact.relation), [])

    @staticmethod
    def _value(fact: Fact, condition: ConditionValue) -> bool | None:
        return True if fact.condition is None else condition(*fact.condition)

    def _atoms(self, extra: Iterable[str]) -> list[Atom]:
        objects = self.objects | set(extra)
        return [(name, relation) for name in objects for (type_, relation) in self.rewrites if type_ == _type(name)]

    def truth(self, user: str, extra: Iterable[str] = (), *, missing: bool | None = None) -> Truth:
        """Everything that `user` has. With `missing` given, conditions without a value count as that value."""
        own = [] if user.endswith(":*") else [user.split("#", 1)[0]]
        atoms = self._atoms([*extra, *own])
        certain: frozenset[Atom] = frozenset()
        possible = frozenset(atoms)
        high, low = (True, False) if missing is None else (missing, missing)
        while True:
            above, below = Bound(possible, high), Bound(certain, low)
            possible = self._least(atoms, user, high, below, above)
            is_settled = (
                possible == above.held
            )  # what is subtracted twice is judged by the possible of the round before
            above = Bound(possible, high)
            following = self._least(atoms, user, low, above, below)
            if following == certain and is_settled:
                return Truth(certain, possible)
            certain = following

    def _least(self, atoms: list[Atom], user: str, unknown: bool, against: Bound, beyond: Bound) -> frozenset[Atom]:
        """The least set that holds; what is subtracted is judged by `against`, what is subtracted there by `beyond`."""
        held: set[Atom] = set()
        changed = True
        while changed:
            changed = False
            for atom in atoms:
                if atom in held:
                    continue
                rewrite = self.rewrites[_type(atom[0]), atom[1]]
                own = Bound(held, unknown)
                if user == f"{atom[0]}#{atom[1]}" or self._holds(rewrite, atom, user, own, against, beyond):
                    held.add(atom)
                    changed = True
        return frozenset(held)

    def _holds(
        self, rewrite: Mapping[str, Any], atom: Atom, user: str, own: Bound, against: Bound, beyond: Bound
    ) -> bool:
        ((operator, operand),) = ((name, value) for name, value in rewrite.items() if value is not None)
        match operator:
            case "this":
                return self._direct(atom, user, own)
            case "computedUserset":
                return (atom[0], operand["relation"]) in own.held
            case "tupleToUserset":
                tupleset, computed = operand["tupleset"]["relation"], operand["computedUserset"]["relation"]
                return any((parent, computed) in own.held for parent in self._users(atom[0], tupleset, own.unknown))
            case "union":
                return any(self._holds(child, atom, user, own, against, beyond) for child in operand["child"])
            case "intersection":
                return all(self._holds(child, atom, user, own, against, beyond) for child in operand["child"])
            case "difference":
                base = self._holds(operand["base"], atom, user, own, against, beyond)
                return base and not self._holds(operand["subtract"], atom, user, against, beyond, against)
            case _:
                raise AssertionError(operator)

    def _users(self, name: str, relation: str, unknown: bool) -> list[str]:
        found = []
        for index, fact in enumerate(self.facts):
            if (fact.object, fact.relation) == (name, relation):
                value = self.values[index]
                if value or (value is None and unknown):
                    found.append(fact.user)
        return found

    def _direct(self, atom: Atom, user: str, own: Bound) -> bool:
        for subject in self._users(*atom, own.unknown):
            if subject == user:
                return True
            if subject.endswith(":*") and "#" not in user and _type(subject) == _type(user):
                return True
            name, _, relation = subject.partition("#")
            if relation and (name, relation) in own.held:
                return True
        return False

    def check(self, user: str, relation: str, name: str) -> str:
        """Check.

        Returns: `allowed`, `denied`, `conditional` (it depends on a condition without a value) or `paradox` (it
        depends on its own negation).
        """
        truth = self.truth(user, [name])
        if (name, relation) in truth.certain:
            return "allowed"
        if (name, relation) not in truth.possible:
            return "denied"
        for missing in (False, True):
            fixed = self.truth(user, [name], missing=missing)
            if (name, relation) in fixed.certain or (name, relation) not in fixed.possible:
                return "conditional"
        return "paradox"

    def list_objects(self, user: str, relation: str, type_: str) -> tuple[set[str], set[str]]:
        """The objects that certainly are in the answer, and those that may be."""
        truth = self.truth(user)
        certain = {name for name, held in truth.certain if held == relation and _type(name) == type_}
        possible = {name for name, held in truth.possible if held == relation and _type(name) == type_}
        return certain, possible

    def expand(self, relation: str, name: str) -> Any:
        """One level of a relation's definition as nested tuples; conditions are not evaluated."""
        return self._tree(self.rewrites[_type(name), relation], relation, name)

    def _tree(self, rewrite: Mapping[str, Any], relation: str, name: str) -> Any:
        ((operator, operand),) = ((key, value) for key, value in rewrite.items() if value is not None)
        match operator:
            case "this":
                return "users", frozenset(self._named(name, relation))
            case "computedUserset":
                return "computed", f"{name}#{operand['relation']}"
            case "tupleToUserset":
                tupleset, computed = operand["tupleset"]["relation"], operand["computedUserset"]["relation"]
                usersets = frozenset(f"{parent}#{computed}" for parent in self._named(name, tupleset))
                return "ttu", f"{name}#{tupleset}", usersets
            case "difference":
                return (operator, *(self._tree(operand[side], relation, name) for side in ("base", "subtract")))
            case _:
                return (operator, *(self._tree(child, relation, name) for child in operand["child"]))

    def _named(self, name: str, relation: str) -> list[str]:
        return [fact.user for fact in self.facts if (fact.object, fact.relation) == (name, relation)]
