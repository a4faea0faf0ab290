"""Our models and names in the schema language that SpiceDB and pemba share. Used by those two peers.

A relation that both names users directly and computes others becomes two: a stored one with a name of its own, and a
permission under the relation's name. Operators are always in parentheses. Names and ids that the language does not
admit are replaced by others that it does, always the same for the same name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from authz.model.compile import CompiledModel, Relation
from authz.model.rewrite import (
    Computed,
    Direct,
    Exclusion,
    Intersection,
    Restriction,
    Rewrite,
    TupleToUserset,
    Union,
)
from authz.tuples import JsonValue, split_object, split_userset

_NAME = re.compile(r"[a-z][a-z0-9_]{1,61}[a-z0-9]")
_ID = re.compile(r"[A-Za-z0-9/_|\-+]+")
_UNSAFE = re.compile(r"[^A-Za-z0-9/_|\-+]")
_RESERVED = frozenset(
    {"all", "and", "any", "caveat", "definition", "expiration", "false", "import", "nil", "partial", "permission"}
    | {"relation", "self", "true", "typechecking", "use", "with"}
)
_RelationKey = tuple[str, str]
MODEL_ID = "01HZZZZZZZZZZZZZZZZZZZZZZZ"
"""Under which id models are compiled that no store holds."""
Json = Mapping[str, JsonValue]


class Reference(NamedTuple):
    """An object, or a userset when the relation is not empty, in the peer's words."""

    type: str
    id: str
    relation: str = ""

    def __str__(self) -> str:
        whole = f"{self.type}:{self.id}"
        return f"{whole}#{self.relation}" if self.relation else whole


class Schema(NamedTuple):
    """A model as schema text, and under which names its parts are found there."""

    text: str
    types: Mapping[str, str]
    asked: Mapping[_RelationKey, str]
    """Where questions about a relation go."""
    stored: Mapping[_RelationKey, str]
    """Where tuples of a relation go."""

    def object(self, name: str) -> Reference:
        """An object."""
        type_, id_ = split_object(name)
        return Reference(self.types[type_], safe_id(id_))

    def asked_of(self, object_: str, relation: str) -> str:
        """Where a question about a relation of an object goes."""
        return self.asked[split_object(object_)[0], relation]

    def stored_in(self, object_: str, relation: str) -> str:
        """Where tuples of a relation of an object go."""
        return self.stored[split_object(object_)[0], relation]

    def user(self, name: str) -> Reference:
        """A user: an object, a userset or a typed wildcard."""
        whole, relation = split_userset(name)
        type_, id_ = split_object(whole)
        if id_ == "*":
            return Reference(self.types[type_], id_)
        return Reference(self.types[type_], safe_id(id_), self.asked[type_, relation] if relation else "")


def safe_id(id_: str) -> str:
    """An id in the alphabet of ids; other characters become `=` and their code point."""
    if _ID.fullmatch(id_):
        return id_
    return _UNSAFE.sub(lambda found: f"={ord(found[0]):x}=", id_)


def original_id(safe: str) -> str:
    """The id that `safe_id` was given."""
    return re.sub(r"=([0-9a-f]+)=", lambda found: chr(int(found[1], 16)), safe) if "=" in safe else safe


def translate(model: CompiledModel, body: Json) -> Schema:
    """The schema of a model.

    Args:
        model: the model.
        body: its JSON form, which has the conditions in their own words.

    """
    types = _named(model.types)
    asked: dict[_RelationKey, str] = {}
    stored: dict[_RelationKey, str] = {}
    relations = sorted({name for relations in model.types.values() for name in relations})
    # One name for all types: an arrow reaches a relation of several types by its name.
    names = _named([*relations, *(f"{name} direct" for name in relations)])
    for type_, defined in model.types.items():
        for name, relation in defined.items():
            asked[type_, name] = names[name]
            if relation.is_assignable:
                is_plain = isinstance(relation.rewrite, Direct)
                stored[type_, name] = names[name] if is_plain else names[f"{name} direct"]
    writing = _Writing(types, names, asked, stored)
    lines = [line for condition in _conditions(body) for line in _caveat(condition)]
    for type_, defined in model.types.items():
        lines += [f"definition {types[type_]} {{", *writing.relations(defined.values()), "}"]
    return Schema("\n".join(lines) + "\n", types, asked, stored)


class _Writing:
    """Writes relations of a model whose names are known."""

    def __init__(
        self,
        types: Mapping[str, str],
        names: Mapping[str, str],
        asked: Mapping[_RelationKey, str],
        stored: Mapping[_RelationKey, str],
    ) -> None:
        self._types = types
        self._names = names
        self._asked = asked
        self._stored = stored

    def relations(self, relations: Iterable[Relation]) -> Iterable[str]:
        for relation in relations:
            key = relation.type, relation.name
            if key in self._stored:
                users = " | ".join(map(self._restriction, relation.restrictions))
                yield f"  relation {self._stored[key]}: {users}"
            if self._stored.get(key) != self._asked[key]:
                yield f"  permission {self._asked[key]} = {self._expression(relation, relation.rewrite)}"

    def _restriction(self, restriction: Restriction) -> str:
        user = restriction.user
        text = self._types[user.type]
        if user.wildcard:
            text += ":*"
        elif user.relation:
            text += f"#{self._asked[user.type, user.relation]}"
        return f"{text} with {restriction.condition}" if restriction.condition else text

    def _expression(self, relation: Relation, rewrite: Rewrite) -> str:
        match rewrite:
            case Direct():
                return self._stored[relation.type, relation.name]
            case Computed(name):
                return self._asked[relation.type, name]
            case TupleToUserset(tupleset, computed):
                return f"{self._stored[relation.type, tupleset]}->{self._names[computed]}"
            case Union(operands):
                return self._joined(relation, operands, " + ")
            case Intersection(operands):
                return self._joined(relation, operands, " & ")
            case Exclusion(base, subtract):
                return self._joined(relation, (base, subtract), " - ")

    def _joined(self, relation: Relation, operands: Iterable[Rewrite], sign: str) -> str:
        return f"({sign.join(self._expression(relation, operand) for operand in operands)})"


def _named(originals: Iterable[str]) -> dict[str, str]:
    """Names that the language admits, each different; those that it admits anyhow stay."""
    originals = list(originals)
    found = {name: name for name in originals if _is_name(name)}
    taken = set(found)
    for original in originals:
        if original in found:
            continue
        stem = re.sub(r"[^a-z0-9_]", "_", original.lower()).strip("_")[:48] or "name"
        number, name = 0, stem
        while name in taken or not _is_name(name):
            number += 1
            name = f"x_{stem}_{number}"
        found[original] = name
        taken.add(name)
    return found


def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None and text not in _RESERVED


def _conditions(body: Json) -> Iterable[Json]:
    conditions = body.get("conditions") or {}
    assert isinstance(conditions, Mapping)
    for condition in conditions.values():
        assert isinstance(condition, Mapping)
        yield condition


def _caveat(condition: Json) -> Iterable[str]:
    parameters = condition.get("parameters") or {}
    assert isinstance(parameters, Mapping)
    listed = ", ".join(f"{name} {_type(reference)}" for name, reference in parameters.items())
    yield f"caveat {condition['name']}({listed}) {{"
    yield f"  {condition['expression']}"
    yield "}"


def _type(reference: JsonValue) -> str:
    assert isinstance(reference, Mapping)
    name = str(reference["type_name"]).removeprefix("TYPE_NAME_").lower()
    elements = reference.get("generic_types") or []
    assert isinstance(elements, list)
    return f"{name}<{_type(elements[0])}>" if elements else name
