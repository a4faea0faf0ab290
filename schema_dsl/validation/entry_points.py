"""The rule that every relation can have users at all: some chain of definitions must end at tuples that name them.

Called by `check`. `viewer: viewer from parent` alone can never hold for anybody: nothing starts it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from schema_dsl.nodes import Computed, Direct, Leaf, Union, children, leaves
from schema_dsl.validation.report import Owner, Report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schema_dsl.nodes import Model, Relation, Rewrite

Key = tuple[str, str]


def check_entry_points(report: Report, model: Model) -> None:
    """Report relations that nobody can ever have. All references of the model must exist."""
    entries = _EntryPoints(model)
    for type_def in model.types:
        for relation in type_def.relations:
            name = relation.name
            if (type_def.name.text, name.text) in entries.found:
                continue
            is_loop = entries.is_loop((type_def.name.text, name.text))
            reason = "it depends on itself" if is_loop else "no tuple can ever lead to it"
            message = f"nobody can have relation `{name.text}` of type `{type_def.name.text}`: {reason}"
            report.add("relation-no-entry-point", message, name.text, name.span, Owner.of(type_def, relation))


class _EntryPoints:
    """The least set of relations with an entry point, grown from those that name plain types."""

    def __init__(self, model: Model) -> None:
        self._relations: dict[Key, Relation] = {
            (type_def.name.text, relation.name.text): relation
            for type_def in model.types
            for relation in type_def.relations
        }
        self.found: set[Key] = set()
        dependents: defaultdict[Key, set[Key]] = defaultdict(set)
        for key, relation in self._relations.items():
            for leaf in leaves(relation.rewrite):
                for needed in self._needed(key, leaf):
                    dependents[needed].add(key)
        waiting = list(self._relations)
        while waiting:
            key = waiting.pop()
            if key not in self.found and self._holds(key, self._relations[key].rewrite):
                self.found.add(key)
                waiting.extend(dependents[key])

    def _needed(self, key: Key, leaf: Leaf) -> Iterator[Key]:
        """Yield the relations, one of which must have an entry point for the leaf to have one."""
        type_name = key[0]
        if isinstance(leaf, Computed):
            yield type_name, leaf.relation.text
        elif isinstance(leaf, Direct):
            for restriction in self._relations[key].restrictions:
                if restriction.relation is not None:
                    yield restriction.type.text, restriction.relation.text
        elif (type_name, leaf.tupleset.text) in self._relations:
            for restriction in self._relations[type_name, leaf.tupleset.text].restrictions:
                yield restriction.type.text, leaf.computed.text

    def _holds(self, key: Key, rewrite: Rewrite) -> bool:
        if isinstance(rewrite, Union):
            return any(self._holds(key, child) for child in rewrite.children)
        if operands := children(rewrite):
            # Like an intersection, an exclusion needs entry points on both sides to be of any use.
            return all(self._holds(key, child) for child in operands)
        if isinstance(rewrite, Direct) and any(one.relation is None for one in self._relations[key].restrictions):
            return True
        return isinstance(rewrite, Leaf) and any(needed in self.found for needed in self._needed(key, rewrite))

    def is_loop(self, start: Key) -> bool:
        """Return whether a relation without entry point comes back to itself through relations of the same object."""
        seen: set[Key] = set()
        waiting = [start]
        while waiting:
            key = waiting.pop()
            for leaf in leaves(self._relations[key].rewrite) if key in self._relations else ():
                if not isinstance(leaf, Computed) or (key[0], leaf.relation.text) in self.found | seen:
                    continue
                following = (key[0], leaf.relation.text)
                if following == start:
                    return True
                seen.add(following)
                waiting.append(following)
        return False
